//! The state after some events.
//!
//! [`LedgerState`] is a value: it knows no bytes, no disk, no clock and no running task.
//! [`LedgerState::apply`] folds one more event into it, and [`decide`] says whether a command may
//! become the next event. Everything else here only reads.
//!
//! Start reading at [`LedgerState`], then `apply.rs`, then `decide.rs`.

mod apply;
mod bytes;
mod decide;
mod encode;
mod index;
mod keys;
mod number;
mod place;
mod rejection;
mod roster;
mod row;
mod stops;
mod tables;
mod task;
#[cfg(test)]
mod tests;

pub use bytes::DecodeError;
pub use decide::{DEPTH_MAX, Draft, RESERVED_NAMES, Stamp, decide, same_command};
pub use encode::FOLD_VERSION;
pub use keys::KEYS_MAX;
pub use number::{NUMBER_END, number_of};
pub(crate) use place::Place;
pub use rejection::Rejection;
pub(crate) use tables::{Loading, Part, Section, Sections, Table, heads};
pub(crate) use task::holds;
pub use task::{Counts, TEXT_KEPT_BYTES_MAX, Task, Text, TextBody, Thread};
#[cfg(test)]
pub(crate) use tests::full_state;

use crate::{
    event::{Parent, PartSet},
    ids::{Epoch, Key, LedgerId, RunId, Seq, Size, TaskId, ThreadId},
    time::Millis,
};
use imbl::{OrdMap, OrdSet, Vector};
use keys::Keys;
use roster::{Children, Roster, Run};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// The contents of the log up to some event.
///
/// An immutable value for its readers: the maps are persistent, so a clone costs a few pointers and
/// shares everything. The default is the state before the first event.
///
/// Two states are equal exactly if their [`digest`](Self::digest)s are. Every iterator goes in
/// the order of creation, which is the order of `first_seq`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LedgerState {
    size: u64,
    recorded: Millis,
    ledger: Option<LedgerId>,
    incarnation: u64,
    epochs: Vector<(Seq, Epoch)>,
    tasks: Roster<Task>,
    threads: Roster<Thread>,
    counts: Counts,
    next_number: u64,
    run_marks: OrdMap<RunId, Seq>,
    redactions: OrdMap<Seq, Redaction>,
    keys: Keys,
    // The fields below can be rebuilt from `tasks`; `encode` does so.
    children: Children,
    runs: Roster<Run>,
    managed: OrdSet<usize>,
    names: OrdSet<RunningName>,
}

/// The erased texts of one event, and the task that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Redaction {
    parts: PartSet,
    task: Option<TaskId>,
}

/// The name of a running Managed task, and its thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RunningName {
    thread: ThreadId,
    name: Arc<str>,
    row: usize,
}

impl LedgerState {
    /// The number of the last event in it; 0 before the first.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.size)
    }

    /// The time at which the last event in it was recorded.
    #[must_use]
    pub fn recorded(&self) -> Millis {
        self.recorded
    }

    /// The ledger's id; `None` before the first writer recorded it.
    #[must_use]
    pub fn ledger(&self) -> Option<LedgerId> {
        self.ledger
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epochs.last().map(|(_, epoch)| *epoch)
    }

    /// Every epoch so far, and the event that began it.
    pub fn epochs(&self) -> impl Iterator<Item = (Seq, Epoch)> {
        self.epochs.iter().copied()
    }

    /// The incarnation of the last writer: 1, 2, 3; 0 before the first.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The task with this id. O(1).
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id.as_str())
    }

    /// Every task.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter()
    }

    /// The number of tasks. O(1).
    #[must_use]
    pub fn tasks_len(&self) -> usize {
        self.tasks.len()
    }

    /// The thread with this id. O(1).
    #[must_use]
    pub fn thread(&self, id: &ThreadId) -> Option<&Arc<Thread>> {
        self.threads.get(id.as_str())
    }

    /// Every thread that has or had a task.
    pub fn threads(&self) -> impl Iterator<Item = &Arc<Thread>> {
        self.threads.iter()
    }

    /// The tasks of a thread. O(result).
    pub fn tasks_in(&self, thread: &ThreadId) -> impl Iterator<Item = &Arc<Task>> {
        let rows = self.threads.get(thread.as_str()).into_iter().flat_map(|t| t.rows.iter());
        rows.filter_map(|row| self.tasks.row(*row))
    }

    /// The tasks whose parent is this task of this ledger. O(result).
    pub fn children(&self, parent: &TaskId) -> impl Iterator<Item = &Arc<Task>> {
        let rows = self.tasks.find(parent.as_str()).into_iter();
        rows.flat_map(|row| self.children.of(row)).filter_map(|row| self.tasks.row(row))
    }

    /// The tasks that this run spawned, nested ones too. Ignores spaces around run ids. O(result).
    pub fn tasks_of_run(&self, run: &RunId) -> impl Iterator<Item = &Arc<Task>> {
        let rows = self.runs.get(trimmed(run)).into_iter().flat_map(|run| run.rows.iter());
        rows.filter_map(|row| self.tasks.row(*row))
    }

    /// The running Managed task of this name in a thread. O(log running).
    #[must_use]
    pub fn running_named(&self, thread: &ThreadId, name: &str) -> Option<&Arc<Task>> {
        let from = RunningName { thread: thread.clone(), name: name.into(), row: 0 };
        let found = self.names.get_next(&from)?;
        let same = found.thread == *thread && *found.name == *name;
        if same { self.tasks.row(found.row) } else { None }
    }

    /// The running Managed tasks. O(result).
    pub fn running_managed(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.managed.iter().filter_map(|row| self.tasks.row(*row))
    }

    /// The number of tasks of each status. O(1).
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// 1 for a task without a parent here, one more for each ancestor; 0 if it is unknown.
    /// O(result).
    #[must_use]
    pub fn depth(&self, id: &TaskId) -> usize {
        if self.task(id).is_some() { 1 + self.ancestors(id).len() } else { 0 }
    }

    /// The task's parent, the parent's parent and so on, as far as this ledger holds them. Stops at
    /// a cycle, which only a forged log can have. O(result).
    #[must_use]
    pub fn ancestors(&self, id: &TaskId) -> Vec<&Arc<Task>> {
        let mut found: Vec<&Arc<Task>> = Vec::new();
        let mut seen = BTreeSet::from([id]);
        let mut at = self.task(id);
        while let Some(Parent::Local(parent)) = at.and_then(|task| task.record.parent.as_ref()) {
            at = if seen.insert(parent) { self.task(parent) } else { None };
            found.extend(at);
        }
        found
    }

    /// The event that was appended with this key, if it is among the last [`KEYS_MAX`] events with
    /// a key. O(1).
    #[must_use]
    pub fn key(&self, key: &Key) -> Option<Seq> {
        self.keys.get(key)
    }

    /// The texts of an event that have been redacted. O(log redactions).
    #[must_use]
    pub fn redacted(&self, seq: Seq) -> PartSet {
        self.redactions.get(&seq).map_or(PartSet::default(), |redaction| redaction.parts)
    }

    /// Every event with redacted texts, and those texts.
    pub fn redactions(&self) -> impl Iterator<Item = (Seq, PartSet)> {
        self.redactions.iter().map(|(seq, redaction)| (*seq, redaction.parts))
    }

    /// The first request to cancel the tree below this task. O(1).
    #[must_use]
    pub fn tree_mark(&self, id: &TaskId) -> Option<Seq> {
        self.task(id)?.tree_cancel_seq
    }

    /// The first request to cancel the tasks of this run. Ignores spaces around run ids. O(log
    /// marks).
    #[must_use]
    pub fn run_mark(&self, run: &RunId) -> Option<Seq> {
        self.run_marks.get(trimmed(run)).copied()
    }

    /// 1 + the highest n of all ids `bg_n`; 0 if there are none.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Sets the end of a part of a log: events that are not in it came after its last one.
    pub(crate) fn reach(&mut self, size: Size, recorded: Millis) {
        self.size = size.get();
        self.recorded = recorded;
    }

    /// Removes the texts that `later`, a later state of the same ledger, has redacted.
    /// O(redactions).
    pub fn mask(&mut self, later: &Self) {
        let Some(end) = Seq::new(self.size) else { return };
        for (seq, redaction) in later.redactions.range(..=end) {
            let row = redaction.task.as_ref().and_then(|task| self.tasks.find(task.as_str()));
            let Some(task) = row.and_then(|row| self.tasks.row_mut(row)) else { continue };
            task.erase(*seq, redaction.parts);
        }
    }
}

impl fmt::Debug for LedgerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerState")
            .field("size", &self.size)
            .field("ledger", &self.ledger)
            .field("epoch", &self.epoch())
            .field("threads", &self.threads.len())
            .field("tasks", &self.counts)
            .finish_non_exhaustive()
    }
}

/// The run id without spaces around it, unless it consists of spaces.
pub(crate) fn trimmed(run: &RunId) -> &str {
    match run.as_str().trim() {
        "" => run.as_str(),
        text => text,
    }
}
