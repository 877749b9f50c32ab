//! What was true at a moment of the past.

use super::{Position, QueryError, Source, marks::Marks, moment::Moment};
use crate::{
    ids::{RunId, Seq, TaskId, ThreadId},
    state::LedgerState,
    time::Millis,
};

/// How much of a ledger is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All of it.
    All,
    /// One thread and its tasks.
    Thread(&'a ThreadId),
    /// One task.
    Task(&'a TaskId),
}

/// What was true at a position: a value that no later event changes, except that texts which are
/// redacted later are missing from views taken later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The fold of the events that count. Complete for the scope that was asked for; of the rest
    /// it may hold all or nothing, so ask it for that thread or that task only.
    pub state: LedgerState,
    /// The position that was asked for.
    pub position: Position,
    /// No event after this many counts: the size of the prefix, or of all the log for a time of
    /// occurrence.
    pub size: u64,
    /// For a log position when its last event was recorded; else the time of occurrence.
    pub time: Millis,
    marks: Marks,
}

impl View {
    /// The first request to cancel the tree below `task`, if it counts at this position. Also
    /// answers for the ancestors, in other threads, that the tasks in scope had then.
    /// O(log marks).
    #[must_use]
    pub fn tree_mark(&self, task: &TaskId) -> Option<Seq> {
        self.state.tree_mark(task).or_else(|| self.marks.tree(task))
    }

    /// The first request to cancel what `run` started, if it counts at this position, whoever
    /// made it. Answers for the runs of the tasks in scope and of the ancestors that they had
    /// then. O(log marks).
    #[must_use]
    pub fn run_mark(&self, run: &RunId) -> Option<Seq> {
        self.state.run_mark(run).or_else(|| self.marks.run(run))
    }
}

/// What was true of `scope` at `position`.
///
/// # Cost
/// At the head O(1). Elsewhere a thread or a task costs one read for each of its own events, those
/// after the position included (up to four cores share a thread of several tasks), and as much for each
/// ancestor in another thread that something was said about after the position. By a time of
/// occurrence also a scan of the log from the first request to cancel a run of theirs, if that
/// occurred later. Everything at a log position costs a snapshot and the events since it, and
/// everything by a time of occurrence a scan of the log.
///
/// # Errors
/// - [`QueryError::UnknownThread`] or [`QueryError::UnknownTask`] if the ledger does not hold it
///   even now. One that came after the position is no error: it is not in the view.
/// - [`QueryError::PastHead`] if the log is shorter than the position.
/// - [`QueryError::Damaged`] if the links between the events do not hold together.
/// - [`QueryError::Read`] if an event could not be read.
pub fn as_of(
    source: &impl Source,
    scope: Scope<'_>,
    position: Position,
) -> Result<View, QueryError> {
    let now = source.state();
    check_known(&now, scope)?;
    let moment = Moment::new(&now, position)?;
    let size = moment.size();
    let marks = Marks::default();
    match (position, scope) {
        (Position::Log(at), _) if at == now.size() => {
            let time = now.recorded();
            Ok(View { state: now, position, size, time, marks })
        }
        (Position::Log(at), Scope::All) => {
            let state = source.state_at(at)?;
            let time = state.recorded();
            Ok(View { state, position, size, time, marks })
        }
        (Position::Log(_), Scope::Thread(_) | Scope::Task(_)) => {
            let state = moment.fold(source, &now, scope)?;
            let marks = Marks::gather(source, &now, &state, position)?;
            let time = match Seq::last_of(size) {
                Some(last) => source.cursor()(last)?.event.recorded,
                None => Millis(0),
            };
            Ok(View { state, position, size, time, marks })
        }
        (Position::Occurred(time), _) => {
            let state = moment.fold(source, &now, scope)?;
            let marks = match scope {
                Scope::All => marks,
                Scope::Thread(_) | Scope::Task(_) => Marks::gather(source, &now, &state, position)?,
            };
            Ok(View { state, position, size, time, marks })
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
