//! State at a moment of the past.

use super::{Position, QueryError, Source, marks::Marks, moment::Moment};
use crate::{
    ids::{RunId, Seq, Size, TaskId, ThreadId},
    state::LedgerState,
    time::Millis,
};

/// The part of a ledger that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The whole ledger.
    All,
    /// One thread and its tasks.
    Thread(&'a ThreadId),
    /// One task.
    Task(&'a TaskId),
}

/// The state at a position. No later event changes this value. A text that is redacted later is
/// missing from views that are taken later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// The fold of the events that count. It is complete for the scope that was asked for. Of other
    /// threads and tasks it may hold all or nothing, so ask it about the scope only.
    pub state: LedgerState,
    /// The position that was asked for.
    pub position: Position,
    /// No event after this many counts: the size of the prefix or, for a time of occurrence, of the
    /// whole log.
    pub size: Size,
    /// For a log position the time at which its last event was recorded; otherwise the time of
    /// occurrence.
    pub time: Millis,
    marks: Marks,
}

impl View {
    /// The first request to cancel the tree below `task`, if it counts at this position. O(log
    /// marks).
    ///
    /// Also answers for ancestors in other threads, as the tasks in scope had them at this
    /// position.
    #[must_use]
    pub fn tree_mark(&self, task: &TaskId) -> Option<Seq> {
        self.state.tree_mark(task).or_else(|| self.marks.tree(task))
    }

    /// The first request to cancel the tasks of `run`, if it counts at this position. O(log marks).
    ///
    /// The request counts in whichever thread it was made. Answers for the runs of the tasks in
    /// scope and of the ancestors that they had at this position.
    #[must_use]
    pub fn run_mark(&self, run: &RunId) -> Option<Seq> {
        self.state.run_mark(run).or_else(|| self.marks.run(run))
    }
}

/// Folds the state of `scope` at `position`.
///
/// # Cost
/// At the head it costs what [`Source::state_of`] does. At other positions a thread or a task costs
/// one read for each of its own events, also for those after the position (up to four cores share a
/// thread of several tasks), and the same for each ancestor in another thread that has events after
/// the position. A time of occurrence also costs a scan of the log from the first request to cancel
/// a run of these tasks, if that request occurred later. The whole ledger costs a snapshot and the
/// events since it at a log position, and a scan of the log at a time of occurrence.
///
/// # Errors
/// - [`QueryError::UnknownThread`] or [`QueryError::UnknownTask`] if the ledger does not hold it
///   even now. A thread or task that came after the position is no error: the view does not hold
///   it.
/// - [`QueryError::PastHead`] if the log is shorter than the position.
/// - [`QueryError::Damaged`] if the links between the events do not hold together.
/// - [`QueryError::Read`] if an event could not be read.
///
/// # Example
/// ```
/// use taskledger::query::{Point, Scope, as_of};
/// # use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::{TaskId, ThreadId}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = Ledger::in_memory(Options::default())?;
/// # let thread = ThreadId::new("t")?;
/// # let (build, test) = (TaskId::new("build")?, TaskId::new("test")?);
/// # ledger.append_blocking([
/// #     Spawn::new(&thread, "agent").task(&build),
/// #     Spawn::new(&thread, "tool").task(&test).parent(&build),
/// # ])?;
/// # ledger.append_blocking(Finish::failed(&test, "2 of 31"))?;
/// // `test`, below `build`, has failed.
/// let reader = ledger.reader();
/// let before_its_end: Point = "@-1".parse()?;
/// let position = before_its_end.resolve(&reader, ledger.options().clock.now())?;
/// let view = as_of(&reader, Scope::Thread(&thread), position)?;
/// assert!(view.state.task(&test).is_some_and(|task| !task.status.is_terminal()));
/// # Ok(())
/// # }
/// ```
pub fn as_of(
    source: &impl Source,
    scope: Scope<'_>,
    position: Position,
) -> Result<View, QueryError> {
    let marks = Marks::default();
    if let (Position::Log(at), Scope::All) = (position, scope) {
        let size = Moment::new(source.now()?.size.get(), position)?.size();
        let state = source.state_at(at)?;
        let time = state.recorded();
        return Ok(View { state, position, size: Size::new(size), time, marks });
    }
    let now = source.state_of(scope)?;
    check_known(&now, scope)?;
    let moment = Moment::new(now.size().get(), position)?;
    let size = moment.size();
    match position {
        Position::Log(at) if at == now.size() => {
            let time = now.recorded();
            Ok(View { state: now, position, size: Size::new(size), time, marks })
        }
        Position::Log(_) => {
            let state = moment.fold(source, &now, scope)?;
            let marks = Marks::gather(source, &now, &state, position)?;
            let time = match Seq::new(size) {
                Some(last) => source.cursor()(last)?.event.recorded,
                None => Millis(0),
            };
            Ok(View { state, position, size: Size::new(size), time, marks })
        }
        Position::Occurred(time) => {
            let state = moment.fold(source, &now, scope)?;
            let marks = match scope {
                Scope::All => marks,
                Scope::Thread(_) | Scope::Task(_) => Marks::gather(source, &now, &state, position)?,
            };
            Ok(View { state, position, size: Size::new(size), time, marks })
        }
    }
}

fn check_known(now: &LedgerState, scope: Scope<'_>) -> Result<(), QueryError> {
    match scope {
        Scope::Thread(id) if now.thread(id).is_none() => {
            Err(QueryError::UnknownThread { thread: id.clone() })
        }
        Scope::Task(id) if now.task(id).is_none() => {
            Err(QueryError::UnknownTask { task: id.clone() })
        }
        Scope::All | Scope::Thread(_) | Scope::Task(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
