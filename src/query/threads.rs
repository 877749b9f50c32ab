//! Threads as flat rows.

use super::depth::Depths;
use crate::{
    ids::ThreadId,
    state::{LedgerState, Thread},
};

/// One thread, flat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRow {
    /// Its id.
    pub thread_id: ThreadId,
    /// The number of its tasks.
    pub tasks: u64,
    /// The number of its tasks that run.
    pub running: u64,
    /// The number of its tasks that completed.
    pub completed: u64,
    /// The number of its tasks that failed.
    pub failed: u64,
    /// The number of its tasks that were cancelled.
    pub cancelled: u64,
    /// The depth of its deepest task, ancestors in other threads included.
    pub depth: usize,
    /// The time at which its first event happened.
    pub first_ms: u64,
    /// The latest time at which an event of it happened.
    pub last_ms: u64,
}

/// Every thread, in the order of creation. O(tasks).
///
/// # Example
/// ```
/// use taskledger::query::{threads};
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
/// let rows = threads(&reader.state()?);
/// assert_eq!((rows[0].tasks, rows[0].running), (2, 1));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn threads(state: &LedgerState) -> Vec<ThreadRow> {
    let mut depths = Depths::new(state);
    state.threads().map(|thread| row(state, &mut depths, thread)).collect()
}

/// One thread as a row. O(tasks of the thread).
#[must_use]
pub fn thread_row(state: &LedgerState, thread: &Thread) -> ThreadRow {
    row(state, &mut Depths::new(state), thread)
}

fn row<'s>(state: &'s LedgerState, depths: &mut Depths<'s>, thread: &Thread) -> ThreadRow {
    let counts = thread.counts;
    ThreadRow {
        thread_id: thread.id.clone(),
        tasks: thread.tasks,
        running: counts.running,
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
        depth: state.tasks_in(&thread.id).map(|task| depths.of(&task.id)).max().unwrap_or(0),
        first_ms: thread.first.0,
        last_ms: thread.last.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::testing::{Log, thread};

    #[test]
    fn a_thread_counts_its_tasks_and_spans_its_events() {
        let mut log = Log::new();
        log.at(10).spawn("t", "a", None);
        log.at(20).spawn("t", "b", Some("a"));
        log.at(30).spawn("u", "c", Some("b"));
        log.at(40).fail("b", "broken");
        log.at(50).finish("c");
        let rows = threads(&log.state_now());
        let row = |id: &str, depth, first_ms, last_ms, (running, completed, failed)| ThreadRow {
            thread_id: thread(id),
            tasks: running + completed + failed,
            running,
            completed,
            failed,
            cancelled: 0,
            depth,
            first_ms,
            last_ms,
        };
        assert_eq!(rows, [row("t", 2, 10, 40, (1, 0, 1)), row("u", 3, 30, 50, (0, 1, 0))]);
    }
}
