//! Cancel requests of other threads that bind the tasks of one.
//!
//! A thread folded from its own events does not meet them, yet what is spawned below a cancelled
//! tree or run is refused wherever it is. Here they are what the fold of everything up to the
//! position says of the tasks and of the ancestors that they had then: a parent can be changed, so
//! each ancestor is asked for as it was. The current state answers for those that have not changed
//! since, and remembers the first request of each run.

use super::{Position, QueryError, Scope, Source, moment::Moment, walk};
use crate::{
    event::{Action, CancelScope, Parent},
    ids::{RunId, Seq, TaskId},
    state::{LedgerState, Task, trimmed},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

/// The requests, by what they stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    trees: BTreeMap<TaskId, Seq>,
    /// Spaces around run ids do not count.
    runs: BTreeMap<String, Seq>,
}

impl Marks {
    /// The requests that bind the tasks of `view`, which is a part of what was true at `position`.
    ///
    /// Looks at each task and ancestor once. An ancestor outside of `view` costs nothing if nothing
    /// was said about it after the position, or if by the time of occurrence it had done all that
    /// it ever did; else one read for each of its events. By a time of occurrence each request
    /// costs a read, and a run whose first request had not occurred yet a scan of the log from
    /// there: a later one may have.
    pub(super) fn gather(
        source: &impl Source,
        now: &LedgerState,
        view: &LedgerState,
        position: Position,
    ) -> Result<Self, QueryError> {
        let then = Then { source, now, view, position };
        let mut trees = BTreeMap::new();
        let mut runs = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for task in view.tasks() {
            let mut at = Some(Arc::clone(task));
            // Who was seen before had its ancestors looked at. A cycle ends here too.
            while let Some(task) = at.take_if(|task| seen.insert(task.id.clone())) {
                trees.extend(task.tree_cancel_seq.map(|seq| (task.id.clone(), seq)));
                runs.extend(task.record.run.clone());
                if let Some(Parent::Local(parent)) = &task.record.parent
                    && !seen.contains(parent)
                {
                    at = then.task(parent)?;
                }
            }
        }
        Ok(Self { trees, runs: then.run_marks(&runs)? })
    }

    pub(super) fn tree(&self, task: &TaskId) -> Option<Seq> {
        self.trees.get(task).copied()
    }

    pub(super) fn run(&self, run: &RunId) -> Option<Seq> {
        self.runs.get(trimmed(run)).copied()
    }
}

/// The ledger at a position, as far as it is asked about.
struct Then<'a, S> {
    source: &'a S,
    now: &'a LedgerState,
    /// What is known of it already.
    view: &'a LedgerState,
    position: Position,
}

impl<S: Source> Then<'_, S> {
    /// The task as it was, if it was there.
    fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, QueryError> {
        if let Some(task) = self.view.task(id) {
            return Ok(Some(Arc::clone(task)));
        }
        let Some(task) = self.now.task(id) else { return Ok(None) };
        let is_unchanged = match self.position {
            Position::Log(size) if task.first_seq.get() > size => return Ok(None),
            Position::Log(size) => task.last_seq.get() <= size,
            Position::Occurred(at) => {
                task.last_activity <= at
                    && task.tree_cancel_seq.map_or(Ok(true), |seq| self.counts(seq))?
            }
        };
        if is_unchanged {
            return Ok(Some(Arc::clone(task)));
        }
        let moment = Moment::new(self.now, self.position)?;
        let folded = moment.fold(self.source, self.now, Scope::Task(id))?;
        Ok(folded.task(id).cloned())
    }

    /// The first request of each run that counts.
    fn run_marks(&self, runs: &BTreeSet<RunId>) -> Result<BTreeMap<String, Seq>, QueryError> {
        let mut marks = BTreeMap::new();
        let mut late = BTreeMap::new();
        for run in runs {
            let Some(first) = self.now.run_mark(run) else { continue };
            let found = if self.counts(first)? { &mut marks } else { &mut late };
            found.insert(trimmed(run).to_owned(), first);
        }
        let (Position::Occurred(_), Some(from)) = (self.position, late.values().min()) else {
            return Ok(marks);
        };
        let Some(last) = Seq::last_of(self.now.size()) else { return Ok(marks) };
        walk::scan(self.source, *from, last, |entry| {
            if let Action::CancelRequested { scope: CancelScope::Run(run), .. } =
                &entry.event.action
                && Moment::admits(self.position, &entry.event)
                && let Some((run, _)) = late.remove_entry(trimmed(run))
            {
                marks.insert(run, entry.event.seq);
            }
            Ok(if late.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(marks)
    }

    /// Whether a request had been made. Reads it if that is a question of its time.
    fn counts(&self, seq: Seq) -> Result<bool, QueryError> {
        match self.position {
            Position::Log(size) => Ok(seq.get() <= size),
            Position::Occurred(_) => {
                Ok(Moment::admits(self.position, &self.source.cursor()(seq)?.event))
            }
        }
    }
}
