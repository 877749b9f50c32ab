//! Cancel marks from other threads that bind the tasks of one thread.
//!
//! The fold of a thread's own events does not meet these requests, and yet a spawn below a
//! cancelled tree or run is refused in every thread. This module gives the marks that the fold of
//! the whole log up to the position has for these tasks and their ancestors. A parent can change,
//! so each ancestor is looked up as it was at the position. The current state answers for ancestors
//! that have not changed since, and remembers the first request of each run.

use super::{
    Position, QueryError, Scope, Source,
    moment::Moment,
    walk::{self, Flow},
};
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

/// The marks, by the tree or run that they stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    trees: BTreeMap<TaskId, Seq>,
    /// By run id, without the spaces around it.
    runs: BTreeMap<String, Seq>,
}

impl Marks {
    /// Finds the requests that bind the tasks of `view`, which is a part of the state at
    /// `position`.
    ///
    /// Looks at each task and ancestor once. An ancestor outside `view` costs nothing if it has no
    /// event after the position or, for a time of occurrence, if all its events had occurred by
    /// then; otherwise one read for each of its events. For a time of occurrence each request costs
    /// a read. A run whose first request had not occurred by then costs a scan of the log from that
    /// request on, since a later one may have occurred earlier.
    pub(super) fn gather(
        source: &impl Source,
        now: &LedgerState,
        view: &LedgerState,
        position: Position,
    ) -> Result<Self, QueryError> {
        let then = AtPosition { source, now, view, position };
        let mut trees = BTreeMap::new();
        let mut runs = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for task in view.tasks() {
            let mut at = Some(Arc::clone(task));
            // The ancestors of a task in `seen` were looked at before. A cycle ends here too.
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

/// The part of the past ledger that has been asked about.
struct AtPosition<'a, S> {
    source: &'a S,
    now: &'a LedgerState,
    /// The part of it that is known already.
    view: &'a LedgerState,
    position: Position,
}

impl<S: Source> AtPosition<'_, S> {
    /// The task as it was at the position; `None` if it was not there yet.
    fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, QueryError> {
        if let Some(task) = self.view.task(id) {
            return Ok(Some(Arc::clone(task)));
        }
        let asked;
        let now = if self.now.task(id).is_some() {
            self.now
        } else {
            // It was an ancestor then and is none now.
            asked = self.source.state_of(Scope::Task(id))?;
            &asked
        };
        let Some(task) = now.task(id) else { return Ok(None) };
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
        let moment = Moment::new(now.size().get(), self.position)?;
        let folded = moment.fold(self.source, now, Scope::Task(id))?;
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
        let Some(last) = self.now.size().last_seq() else { return Ok(marks) };
        walk::scan(self.source, *from, last, |entry| -> Flow {
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

    /// Returns true if a request had been made. Reads it if the answer depends on its time.
    fn counts(&self, seq: Seq) -> Result<bool, QueryError> {
        match self.position {
            Position::Log(size) => Ok(seq.get() <= size),
            Position::Occurred(_) => {
                Ok(Moment::admits(self.position, &self.source.cursor()(seq)?.event))
            }
        }
    }
}
