//! The times at which the tasks of a thread ran, for a chart over time.

use crate::{
    ids::ThreadId,
    state::{LedgerState, Task},
    time::Millis,
};
use std::sync::Arc;

/// The time spans of the tasks of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeline {
    /// One for each task, in the order of creation.
    pub spans: Vec<Span>,
    /// The earliest start; the time of the view if there are no tasks.
    pub start: Millis,
    /// The latest end; if a task runs, not before the time of the view.
    pub end: Millis,
}

/// The time span of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// The task, with its status.
    pub task: Arc<Task>,
    /// The time at which it was created.
    pub start: Millis,
    /// The time at which it ended, never before `start`; `None` while it runs. If the time of the
    /// end is not known, its last activity.
    pub end: Option<Millis>,
}

/// The spans of the tasks of `thread`. `time` is the time of the view that `state` is from. O(tasks
/// of the thread).
///
/// # Example
/// ```
/// use taskledger::query::{timeline};
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
/// let line = timeline(&reader.state()?, &thread, ledger.options().clock.now());
/// assert!(line.spans[0].end.is_none(), "`build` runs");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn timeline(state: &LedgerState, thread: &ThreadId, time: Millis) -> Timeline {
    let spans: Vec<Span> = state.tasks_in(thread).map(span).collect();
    let start = spans.iter().map(|span| span.start).min().unwrap_or(time);
    let end = spans.iter().map(|span| span.end.unwrap_or(time).max(span.start)).max();
    Timeline { spans, start, end: end.unwrap_or(time) }
}

fn span(task: &Arc<Task>) -> Span {
    let start = task.record.created;
    let ended = task.completed.unwrap_or(task.last_activity);
    let end = task.status.is_terminal().then(|| ended.max(start));
    Span { task: Arc::clone(task), start, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::testing::{Log, thread};

    #[test]
    fn a_span_goes_from_creation_to_end_or_is_open() {
        let mut log = Log::new();
        log.at(10).spawn("t", "a", None);
        log.at(20).spawn("t", "b", Some("a"));
        log.at(30).fail("b", "broken");
        log.at(35).spawn("u", "c", None);
        let line = timeline(&log.state_now(), &thread("t"), Millis(40));
        let spans: Vec<_> =
            line.spans.iter().map(|s| (s.task.id.to_string(), s.start.0, s.end)).collect();
        assert_eq!(spans, [("a".into(), 10, None), ("b".into(), 20, Some(Millis(30)))]);
        assert_eq!((line.start, line.end), (Millis(10), Millis(40)));
    }

    #[test]
    fn a_span_never_ends_before_it_starts() {
        let mut log = Log::new();
        log.at(30).spawn("t", "a", None);
        log.occurring(5).finish("a");
        let line = timeline(&log.state_now(), &thread("t"), Millis(30));
        assert_eq!(line.spans.first().unwrap().end, Some(Millis(30)));
        assert_eq!((line.start, line.end), (Millis(30), Millis(30)));
    }

    #[test]
    fn a_thread_without_tasks_spans_nothing() {
        let line = timeline(&LedgerState::default(), &thread("t"), Millis(7));
        assert_eq!(line, Timeline { spans: vec![], start: Millis(7), end: Millis(7) });
    }
}
