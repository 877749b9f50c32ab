//! Cancel requests of other threads that bind the tasks of one.
//!
//! A thread folded from its own events does not meet them, yet what is spawned below a cancelled
//! tree or run is refused wherever it is. They are taken from the current state, which remembers
//! the first request of each scope, and count if they are not later than the position.

use super::{Position, QueryError, Source, moment::Moment};
use crate::{
    event::Parent,
    ids::{RunId, Seq, TaskId},
    state::{LedgerState, Task},
};
use std::collections::{BTreeMap, BTreeSet};

/// The requests, by what they stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    trees: BTreeMap<TaskId, Seq>,
    runs: BTreeMap<String, Seq>,
}

impl Marks {
    /// The requests that bind the tasks of `view`, as `now` knows them. O(tasks and ancestors).
    pub(super) fn gather(
        source: &impl Source,
        now: &LedgerState,
        view: &LedgerState,
        size: u64,
        position: Position,
    ) -> Result<Self, QueryError> {
        let mut marks = Self::default();
        let mut seen = BTreeSet::new();
        for task in view.tasks() {
            marks.note(now, task);
            let above = now.ancestors(&task.id);
            // Its parent may have been another one then.
            let then = match &task.record.parent {
                Some(Parent::Local(id)) => now.task(id),
                Some(Parent::External { .. }) | None => None,
            };
            let other = then.filter(|then| above.first().is_none_or(|parent| parent.id != then.id));
            let above_other = other
                .into_iter()
                .flat_map(|parent| std::iter::once(parent).chain(now.ancestors(&parent.id)));
            for ancestor in above_other.chain(above) {
                if seen.insert(&ancestor.id) {
                    marks.note(now, ancestor);
                }
            }
        }
        let mut read = source.cursor();
        let mut counts = |seq: Seq| -> Result<bool, QueryError> {
            Ok(match position {
                Position::Log(_) => seq.get() <= size,
                Position::Occurred(_) => Moment::admits(position, &read(seq)?.event),
            })
        };
        let mut late = BTreeSet::new();
        for seq in marks.trees.values().chain(marks.runs.values()) {
            if !counts(*seq)? {
                late.insert(*seq);
            }
        }
        marks.trees.retain(|_, seq| !late.contains(seq));
        marks.runs.retain(|_, seq| !late.contains(seq));
        Ok(marks)
    }

    fn note(&mut self, now: &LedgerState, task: &Task) {
        if let Some(seq) = now.tree_mark(&task.id) {
            self.trees.insert(task.id.clone(), seq);
        }
        if let Some(run) = &task.record.run
            && let Some(seq) = now.run_mark(run)
        {
            self.runs.insert(key(run).to_owned(), seq);
        }
    }

    pub(super) fn tree(&self, task: &TaskId) -> Option<Seq> {
        self.trees.get(task).copied()
    }

    pub(super) fn run(&self, run: &RunId) -> Option<Seq> {
        self.runs.get(key(run)).copied()
    }
}

/// Spaces around run ids do not count.
fn key(run: &RunId) -> &str {
    run.as_str().trim()
}
