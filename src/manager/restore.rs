//! Bringing in the records of a snapshot that another store kept.
//!
//! The whole snapshot is checked before anything is written. What the ledger has is never changed.

use super::{
    BackgroundTaskManager, BackgroundTaskStateSnapshot, Bound, PersistedTaskMeta, RestoreError,
    mended::Mended, resume::ORPHANED, supervise::text_bytes_max,
};
use crate::{
    command::{Emit, ParentRef, Proposal, Restore, Spawn},
    event::TaskStatus,
    ids::{TaskId, ThreadId},
    ledger::AppendError,
    state::{LedgerState, Rejection, number_of},
    sync::yield_now,
    time::Millis,
};
use std::collections::{BTreeMap, BTreeSet};

/// The event type by which it is on the record that a text was changed.
const CHANGED: &str = "restored_changed";

/// How a snapshot is restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// A thread whose tasks are to belong to the restored thread from now on.
    pub adopt_from: Option<String>,
}

/// What a restore did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreReport {
    /// Records that were brought in.
    pub restored: usize,
    /// How many of them were running, and are Failed now.
    pub orphaned: usize,
    /// Records whose id the ledger has: unchanged.
    pub skipped: usize,
}

/// What a restore says about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreNote {
    /// The task.
    pub task: TaskId,
    /// What was changed in it, or why it was left out.
    pub what: String,
    /// Whether it was brought in.
    pub restored: bool,
}

impl BackgroundTaskManager {
    /// Brings in the records of `snapshot`, all of which belong to `thread` or, of old, to nobody.
    ///
    /// An id that the ledger has is skipped. A running record becomes Failed with the text
    /// [`ORPHANED`], since nobody runs it; a terminal one is kept as it is. New ids count on from
    /// the highest that was restored.
    ///
    /// A text that older rules allowed comes in escaped or cut: control characters in names, types
    /// and ids; names, types and ids of more than 256 bytes, descriptions of more than 4 KiB, other
    /// texts of more than 1 MiB. A note of that is recorded beside the task, as progress of the type
    /// `restored_changed`. A record that the ledger refuses all the same costs itself alone;
    /// [`restore_for_thread_noting`](Self::restore_for_thread_noting) tells of each.
    ///
    /// # Durability
    /// As [`Ledger::append`](crate::Ledger::append); up to 4,096 records are brought in at once.
    ///
    /// # Errors
    /// [`RestoreError`]. Nothing was written, unless it is [`RestoreError::State`].
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped, some records may be there. Restoring again adds the others.
    ///
    /// # Cost
    /// O(snapshot).
    pub async fn restore_for_thread(
        &self,
        thread: &str,
        snapshot: &BackgroundTaskStateSnapshot,
    ) -> Result<RestoreReport, RestoreError> {
        self.restore_for_thread_with(thread, snapshot, &RestoreOptions::default()).await
    }

    /// As [`restore_for_thread`](Self::restore_for_thread), and may change the owner of tasks:
    /// both threads are named.
    ///
    /// # Durability
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Errors
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Cancel safety
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Cost
    /// O(snapshot).
    pub async fn restore_for_thread_with(
        &self,
        thread: &str,
        snapshot: &BackgroundTaskStateSnapshot,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, RestoreError> {
        self.restore_for_thread_noting(thread, snapshot, options, &mut Vec::new()).await
    }

    /// As [`restore_for_thread_with`](Self::restore_for_thread_with), and adds a note for each
    /// record that was changed or left out.
    ///
    /// # Durability
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Errors
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Cancel safety
    /// As [`restore_for_thread`](Self::restore_for_thread).
    ///
    /// # Cost
    /// O(snapshot), and for each record that is left out O(log snapshot) more appends.
    pub async fn restore_for_thread_noting(
        &self,
        thread: &str,
        snapshot: &BackgroundTaskStateSnapshot,
        options: &RestoreOptions,
        notes: &mut Vec<RestoreNote>,
    ) -> Result<RestoreReport, RestoreError> {
        let bound = self.bound.get().ok_or(RestoreError::StoreNotConfigured)?;
        check(thread, snapshot, options)?;
        let records = records(bound, thread, snapshot)?;
        let mut restoring = Restoring { bound, report: RestoreReport::default(), notes };
        let mut left: &[Record] = &records;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(batch_len(bound, left));
            restoring.bring_in(batch).await?;
            left = rest;
        }
        Ok(restoring.report)
    }
}

/// A record as it is brought in.
#[derive(Debug, Clone)]
struct Record {
    restore: Restore,
    /// Whether it was running.
    orphaned: bool,
    /// What was changed in its texts.
    changes: Vec<String>,
}

impl Record {
    fn proposals(&self) -> impl Iterator<Item = Proposal> {
        let note = self.restore.spawn.task.clone().filter(|_| !self.changes.is_empty());
        let content = || serde_json::json!(self.changes).to_string();
        let note = note.map(|task| Proposal::new(Emit::new(task, CHANGED, content())));
        std::iter::once(Proposal::new(self.restore.clone())).chain(note)
    }
}

/// Records on their way into a ledger.
struct Restoring<'a> {
    bound: &'a Bound,
    report: RestoreReport,
    notes: &'a mut Vec<RestoreNote>,
}

impl Restoring<'_> {
    /// Brings in what fits one batch. If a rule forbids it, half of it at a time, down to the one
    /// that is left out.
    async fn bring_in(&mut self, batch: &[Record]) -> Result<(), RestoreError> {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            let new: Vec<&Record> = {
                let state = self.bound.state();
                batch.iter().filter(|one| !is_known(&state, &one.restore)).collect()
            };
            let proposals: Vec<Proposal> = new.iter().flat_map(|one| one.proposals()).collect();
            let appended = match proposals.is_empty() {
                true => Ok(Vec::new()),
                false => self.bound.ledger.append(proposals).await,
            };
            match (appended, batch) {
                (Ok(_), _) => self.count(&new, batch.len() - new.len()),
                // Others brought it in since we looked: look again.
                (Err(AppendError::Rejected(Rejection::TaskExists { .. })), _) => {
                    yield_now().await;
                    left.push(batch);
                }
                (Err(AppendError::Rejected(rejection)), [one]) => {
                    self.bring_in_alone(one, rejection).await?;
                }
                (Err(error @ AppendError::TooLarge { .. }), [one]) => {
                    self.leave_out(one, error.to_string());
                }
                (Err(AppendError::Rejected(_) | AppendError::TooLarge { .. }), _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    left.extend([second, first]);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Brings in a record that a rule forbids as it is, if it can be without its parent.
    async fn bring_in_alone(
        &mut self,
        one: &Record,
        rejection: Rejection,
    ) -> Result<(), RestoreError> {
        if !matches!(rejection, Rejection::TooDeep { .. }) {
            self.leave_out(one, rejection.to_string());
            return Ok(());
        }
        let mut one = one.clone();
        one.restore.spawn.parent = None;
        one.changes.push(format!("parent left out: {rejection}"));
        match self.bound.ledger.append(one.proposals().collect::<Vec<_>>()).await {
            Ok(_) => self.count(&[&one], 0),
            Err(AppendError::Rejected(rejection)) => self.leave_out(&one, rejection.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn count(&mut self, restored: &[&Record], skipped: usize) {
        self.report.restored += restored.len();
        self.report.orphaned += restored.iter().filter(|one| one.orphaned).count();
        self.report.skipped += skipped;
        for one in restored.iter().filter(|one| !one.changes.is_empty()) {
            self.note(one, one.changes.join("; "), true);
        }
    }

    fn leave_out(&mut self, one: &Record, why: String) {
        self.note(one, why, false);
    }

    fn note(&mut self, one: &Record, what: String, restored: bool) {
        let Some(task) = one.restore.spawn.task.clone() else { return };
        tracing::warn!(%task, what, restored, "a restored record is not what it was");
        self.notes.push(RestoreNote { task, what, restored });
    }
}

/// Refuses a snapshot that is not what it says it is.
fn check(
    thread: &str,
    snapshot: &BackgroundTaskStateSnapshot,
    options: &RestoreOptions,
) -> Result<(), RestoreError> {
    for (key, meta) in &snapshot.tasks {
        if *key != meta.task_id {
            let (key, task) = (key.clone(), meta.task_id.clone());
            return Err(RestoreError::KeyMismatch { key, task });
        }
        let owner = &meta.owner_thread_id;
        let adopted = options.adopt_from.as_ref() == Some(owner);
        if !owner.is_empty() && owner != thread && !adopted {
            let (task, owner) = (key.clone(), owner.clone());
            return Err(RestoreError::OtherThread { task, owner, thread: thread.to_owned() });
        }
        if number_of(key.as_str()) == Some(None) {
            return Err(RestoreError::Rejected(Rejection::BadNumber { task: key.clone() }));
        }
    }
    Ok(())
}

/// The records, parents before their children, with texts that the ledger takes.
fn records(
    bound: &Bound,
    thread: &str,
    snapshot: &BackgroundTaskStateSnapshot,
) -> Result<Vec<Record>, RestoreError> {
    let now = bound.ledger.options().clock.now();
    let ordered = parents_first(&snapshot.tasks)?;
    ordered
        .into_iter()
        .map(|meta| {
            let mut mended = Mended::new(text_bytes_max(&bound.ledger));
            let spawn = spawn(bound, thread, meta, &mut mended)?;
            let orphaned = meta.status == TaskStatus::Running;
            let error = if orphaned { Some(ORPHANED) } else { meta.error.as_deref() };
            let result = meta.result.as_ref().filter(|_| !orphaned);
            let restore = Restore {
                spawn,
                status: if orphaned { TaskStatus::Failed } else { meta.status },
                error: error.map(|error| mended.text("error", error).into()),
                result: result.map(|value| mended.json("result", value).into()),
                completed: if orphaned { Some(now) } else { meta.completed_at_ms.map(Millis) },
            };
            Ok(Record { restore, orphaned, changes: mended.into_changes() })
        })
        .collect()
}

fn spawn(
    bound: &Bound,
    thread: &str,
    meta: &PersistedTaskMeta,
    mended: &mut Mended,
) -> Result<Spawn, RestoreError> {
    let owner = ThreadId::new(thread).map_err(|source| {
        let (what, task) = ("owner thread id", meta.task_id.clone());
        RestoreError::InvalidId { what, task, source }
    })?;
    let from = &meta.parent_context;
    let parent: Option<TaskId> = mended.id("parent task id", from.task_id.as_deref());
    Ok(Spawn {
        task: Some(meta.task_id.clone()),
        name: mended.name("name", meta.name.as_deref()).map(Into::into),
        description: mended.description(&meta.description).into(),
        parent: parent.map(ParentRef::from),
        run: mended.id("run id", from.run_id.as_deref()),
        call: mended.id("call id", from.call_id.as_deref()),
        agent: mended.id("agent id", from.agent_id.as_deref()),
        created: Some(Millis(meta.created_at_ms)),
        host: bound.seat.host(),
        ..Spawn::new(owner, mended.label("type", &meta.task_type))
    })
}

/// Parents before children, so that a parent of the snapshot is found in the ledger.
fn parents_first(
    tasks: &BTreeMap<TaskId, PersistedTaskMeta>,
) -> Result<Vec<&PersistedTaskMeta>, RestoreError> {
    let mut by_age: Vec<&PersistedTaskMeta> = tasks.values().collect();
    by_age.sort_by_key(|meta| (meta.created_at_ms, number_of(meta.task_id.as_str()).flatten()));
    let (mut ordered, mut placed) = (Vec::with_capacity(tasks.len()), BTreeSet::new());
    for meta in by_age {
        let (mut chain, mut in_chain) = (Vec::new(), BTreeSet::new());
        let mut at = Some(meta);
        while let Some(meta) = at.filter(|meta| !placed.contains(meta.task_id.as_str())) {
            if !in_chain.insert(meta.task_id.as_str()) {
                return Err(RestoreError::Rejected(cycle(&chain, meta)));
            }
            chain.push(meta);
            let parent = meta.parent_context.task_id.as_deref();
            at = parent.and_then(|parent| tasks.get(parent));
        }
        for meta in chain.into_iter().rev() {
            placed.insert(meta.task_id.as_str());
            ordered.push(meta);
        }
    }
    Ok(ordered)
}

/// Why a chain of parents has no end.
fn cycle(chain: &[&PersistedTaskMeta], repeated: &PersistedTaskMeta) -> Rejection {
    let child = chain.last().map_or(&repeated.task_id, |child| &child.task_id);
    Rejection::Cycle { task: child.clone(), parent: repeated.task_id.clone() }
}

/// How many of these fit one batch with certainty.
fn batch_len(bound: &Bound, records: &[Record]) -> usize {
    /// What a frame takes besides its texts, generously.
    const FRAME_BYTES: usize = 4 * 1024;
    let options = bound.ledger.options();
    let mut bytes = 0_usize;
    let mut events = 0_usize;
    let fit = records.iter().take_while(|Record { restore: one, changes, .. }| {
        let texts = [Some(&one.spawn.description), one.error.as_ref(), one.result.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let noted = usize::from(!changes.is_empty());
        bytes += texts + (1 + noted) * FRAME_BYTES;
        events += 1 + noted;
        bytes <= options.batch_bytes_max && events <= options.batch_events_max
    });
    fit.count().max(1)
}

fn is_known(state: &LedgerState, restore: &Restore) -> bool {
    restore.spawn.task.as_ref().is_some_and(|id| state.task(id).is_some())
}
