//! Bringing in the records of a snapshot from another store.
//!
//! The whole snapshot is checked before anything is written. Records that the ledger has are never
//! changed.

use super::{
    BackgroundTaskManager, BackgroundTaskStateSnapshot, Bound, PersistedTaskMeta, RestoreError,
    resume::ORPHANED,
};
use crate::{
    command::{Command, ParentRef, Proposal, Restore, Spawn},
    event::TaskStatus,
    ids::{IdError, TaskId, ThreadId},
    ledger::AppendError,
    state::{DEPTH_MAX, LedgerState, Rejection, number_of},
    sync::yield_now,
    time::Millis,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

/// Options of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// A thread whose tasks will belong to the restored thread from now on.
    pub adopt_from: Option<String>,
}

/// The result of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreReport {
    /// Records that were brought in.
    pub restored: usize,
    /// The number of these that were running, and are Failed now.
    pub orphaned: usize,
    /// Records whose id the ledger has: unchanged.
    pub skipped: usize,
}

impl BackgroundTaskManager {
    /// Brings in the records of `snapshot`. All of them belong to `thread` or, if they are old, to
    /// no thread.
    ///
    /// An id that the ledger has is skipped. A running record becomes Failed with the text
    /// [`ORPHANED`], since no manager runs it; a terminal one is kept unchanged. New ids count from
    /// the highest restored one.
    ///
    /// # Durability
    /// As [`Ledger::append`](crate::Ledger::append); up to 4,096 records are brought in at once.
    ///
    /// # Errors
    /// [`RestoreError`]. Nothing was written, unless it is [`RestoreError::State`].
    ///
    /// # Cancel safety
    /// Not cancel safe: if it is dropped, some records may be there. Restoring again adds the
    /// others.
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

    /// Like [`restore_for_thread`](Self::restore_for_thread), and may change the owner of tasks, if
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
        let bound = self.bound.get().ok_or(RestoreError::StoreNotConfigured)?;
        check(thread, snapshot, options)?;
        let restores = restores(bound, thread, snapshot)?;
        let mut report = RestoreReport::default();
        let mut left: &[Restore] = &restores;
        while !left.is_empty() {
            let count = batch_len(bound, left);
            let (batch, rest) = left.split_at(count);
            let new: Vec<&Restore> = {
                let state = bound.state();
                batch.iter().filter(|one| !is_known(&state, one)).collect()
            };
            let proposals: Vec<Proposal> =
                new.iter().map(|one| Command::Restore((*one).clone()).into()).collect();
            if !proposals.is_empty() {
                match bound.ledger.append(proposals).await {
                    Ok(_) => {}
                    // Other code brought it in since the check: check again.
                    Err(AppendError::Rejected(Rejection::TaskExists { .. })) => {
                        yield_now().await;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            report.restored += new.len();
            report.orphaned += new.iter().filter(|one| was_running(one)).count();
            report.skipped += batch.len() - new.len();
            left = rest;
        }
        Ok(report)
    }
}

/// Refuses a snapshot that contradicts itself.
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

/// The commands, parents before their children.
fn restores(
    bound: &Bound,
    thread: &str,
    snapshot: &BackgroundTaskStateSnapshot,
) -> Result<Vec<Restore>, RestoreError> {
    let now = bound.ledger.options().clock.now();
    let ordered = parents_first(&snapshot.tasks)?;
    ordered
        .into_iter()
        .map(|meta| {
            let spawn = spawn(bound, thread, meta)?;
            let running = meta.status == TaskStatus::Running;
            let error = if running { Some(ORPHANED) } else { meta.error.as_deref() };
            let result = meta.result.as_ref().filter(|_| !running);
            Ok(Restore {
                spawn,
                status: if running { TaskStatus::Failed } else { meta.status },
                error: error.map(Into::into),
                result: result.map(|value| value.to_string().into()),
                completed: if running { Some(now) } else { meta.completed_at_ms.map(Millis) },
            })
        })
        .collect()
}

fn spawn(bound: &Bound, thread: &str, meta: &PersistedTaskMeta) -> Result<Spawn, RestoreError> {
    let id =
        |what| move |source| RestoreError::InvalidId { what, task: meta.task_id.clone(), source };
    let from = &meta.parent_context;
    let parent: Option<TaskId> = optional(from.task_id.as_deref()).map_err(id("parent task id"))?;
    Ok(Spawn {
        task: Some(meta.task_id.clone()),
        name: meta.name.as_deref().map(Into::into),
        description: meta.description.as_str().into(),
        parent: parent.map(|id| ParentRef { ledger: None, id }),
        run: optional(from.run_id.as_deref()).map_err(id("run id"))?,
        call: optional(from.call_id.as_deref()).map_err(id("call id"))?,
        agent: optional(from.agent_id.as_deref()).map_err(id("agent id"))?,
        created: Some(Millis(meta.created_at_ms)),
        host: bound.seat.host(),
        ..Spawn::new(ThreadId::new(thread).map_err(id("owner thread id"))?, meta.task_type.as_str())
    })
}

/// An id; an empty one in old records is none.
fn optional<I: FromStr<Err = IdError>>(text: Option<&str>) -> Result<Option<I>, IdError> {
    text.filter(|text| !text.is_empty()).map(str::parse).transpose()
}

/// Parents before children, so that a parent of the snapshot is found in the ledger.
fn parents_first(
    tasks: &BTreeMap<TaskId, PersistedTaskMeta>,
) -> Result<Vec<&PersistedTaskMeta>, RestoreError> {
    let mut by_age: Vec<&PersistedTaskMeta> = tasks.values().collect();
    by_age.sort_by_key(|meta| (meta.created_at_ms, number_of(meta.task_id.as_str()).flatten()));
    let (mut ordered, mut placed) = (Vec::with_capacity(tasks.len()), BTreeSet::new());
    for meta in by_age {
        let mut chain = Vec::new();
        let mut at = Some(meta);
        while let Some(meta) = at.filter(|meta| !placed.contains(meta.task_id.as_str())) {
            if chain.len() >= DEPTH_MAX {
                let rejection = unending(&chain, meta);
                return Err(RestoreError::Rejected(rejection));
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

/// The reason that a chain of parents does not end within the limit.
fn unending(chain: &[&PersistedTaskMeta], last: &PersistedTaskMeta) -> Rejection {
    let repeated = chain.iter().any(|meta| meta.task_id == last.task_id);
    match (repeated, chain.last()) {
        (true, Some(child)) => {
            Rejection::Cycle { task: child.task_id.clone(), parent: last.task_id.clone() }
        }
        _ => Rejection::TooDeep { depth: chain.len() + 1, max: DEPTH_MAX },
    }
}

/// The number of these that certainly fit one batch.
fn batch_len(bound: &Bound, restores: &[Restore]) -> usize {
    /// The bytes of a frame besides its texts, more than enough.
    const FRAME_BYTES: usize = 4 * 1024;
    let options = bound.ledger.options();
    let mut bytes = 0_usize;
    let fit = restores.iter().take(options.batch_events_max).take_while(|one| {
        let texts = [Some(&one.spawn.description), one.error.as_ref(), one.result.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        bytes += texts + FRAME_BYTES;
        bytes <= options.batch_bytes_max
    });
    fit.count().max(1)
}

fn is_known(state: &LedgerState, restore: &Restore) -> bool {
    restore.spawn.task.as_ref().is_some_and(|id| state.task(id).is_some())
}

fn was_running(restore: &Restore) -> bool {
    restore.status == TaskStatus::Failed && restore.error.as_deref() == Some(ORPHANED)
}
