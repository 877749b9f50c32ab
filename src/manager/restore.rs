//! Bringing in the records of a snapshot from another store.
//!
//! The whole snapshot is checked before anything is written. Records that the ledger has are never
//! changed.

use super::{
    BackgroundTaskManager, BackgroundTaskStateSnapshot, Bound, PersistedTaskMeta, RestoreError,
    mended::Mended,
    restoring::{Record, Restoring, batch_len},
    resume::ORPHANED,
    supervise::text_bytes_max,
};
use crate::{
    command::{ParentRef, Restore, Spawn},
    event::TaskStatus,
    ids::{TaskId, ThreadId},
    state::{Rejection, number_of},
    time::Millis,
};
use std::collections::{BTreeMap, BTreeSet};

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

/// The note of a restore about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreNote {
    /// The task.
    pub task: TaskId,
    /// The changes in it, or the reason that it was left out.
    pub what: String,
    /// True if it was brought in.
    pub restored: bool,
}

impl BackgroundTaskManager {
    /// Brings in the records of `snapshot`. All of them belong to `thread` or, if they are old, to
    /// no thread.
    ///
    /// An id that the ledger has is skipped. A running record becomes Failed with the text
    /// [`ORPHANED`], since no manager runs it; a terminal one is kept unchanged. New ids count from
    /// the highest restored one.
    ///
    /// A text that older rules allowed comes in escaped or cut: control characters in names, types
    /// and ids; names, types and ids of more than 256 bytes, descriptions of more than 4 KiB, other
    /// texts of more than 1 MiB. A note of that is recorded beside the task, as progress of the type
    /// `restored_changed`. A record that the ledger still refuses is left out alone;
    /// [`restore_for_thread_noting`](Self::restore_for_thread_noting) returns a note of each.
    ///
    /// # Durability
    /// As [`Ledger::append`](crate::Ledger::append); up to 4,096 records are brought in at once.
    ///
    /// # Errors
    /// [`RestoreError`]. Nothing was written, unless it is [`RestoreError::State`].
    ///
    /// # Cancel safety
    /// Not cancel safe: if it is dropped, some records may be there. Restoring again adds the others.
    ///
    /// # Cost
    /// O(snapshot).
    ///
    /// # Example
    /// ```
    /// use taskledger::manager::BackgroundTaskStateSnapshot;
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let snapshot = BackgroundTaskStateSnapshot::default(); // as another store kept it
    /// let report = manager.restore_for_thread("session-1", &snapshot).await?;
    /// assert_eq!(report.orphaned, 0);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
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
        self.restore_for_thread_noting(thread, snapshot, options, &mut Vec::new()).await
    }

    /// Like [`restore_for_thread_with`](Self::restore_for_thread_with), and adds a note for each
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

/// The reason that a chain of parents has no end.
fn cycle(chain: &[&PersistedTaskMeta], repeated: &PersistedTaskMeta) -> Rejection {
    let child = chain.last().map_or(&repeated.task_id, |child| &child.task_id);
    Rejection::Cycle { task: child.clone(), parent: repeated.task_id.clone() }
}
