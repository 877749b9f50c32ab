//! The first event after which a condition holds.

use super::{
    Predicate, QueryError, Scope, Source,
    walk::{self, Flow},
};
use crate::{event::Entry, ids::ThreadId, state::LedgerState};
use std::ops::ControlFlow;

/// Finds the first event of `thread` after which `predicate` holds for its tasks; `None` if it
/// never does.
///
/// Only the tasks of the thread count: a task of another one does not exist here.
///
/// # Cost
/// One read for each event of the thread. The fold continues from event to event, so each further
/// event costs one step, not a new fold of the thread.
///
/// # Errors
/// - [`QueryError::UnknownThread`] if the ledger does not hold the thread.
/// - [`QueryError::Damaged`] if the links between the events do not hold together.
/// - [`QueryError::Read`] if an event could not be read.
///
/// # Example
/// ```
/// use taskledger::query::{Predicate, first};
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
/// let predicate: Predicate = "failed>0".parse()?;
/// let event = first(&reader, &thread, &predicate)?.ok_or("it was never so")?;
/// assert_eq!(event.event.task, Some(test));
/// # Ok(())
/// # }
/// ```
pub fn first(
    source: &impl Source,
    thread: &ThreadId,
    predicate: &Predicate,
) -> Result<Option<Entry>, QueryError> {
    let now = source.state_of(Scope::Thread(thread))?;
    let mut state = LedgerState::default();
    let mut found = None;
    walk::oldest_first(
        source,
        &now,
        Scope::Thread(thread),
        now.size().get(),
        |_| true,
        |entry| -> Flow {
            state.apply(&entry);
            if predicate.holds(&state) {
                found = Some(entry);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::testing::{Log, thread};

    fn log() -> Log {
        let mut log = Log::new();
        log.began();
        log.spawn("t", "a", None);
        log.spawn("u", "other", None);
        log.spawn("t", "b", Some("a"));
        log.spawn("t", "c", Some("a"));
        log.fail("b", "broken");
        log.finish("a");
        log.fail("other", "broken");
        log
    }

    #[track_caller]
    fn check(text: &str, seq: Option<u64>) {
        let found = first(&log(), &thread("t"), &text.parse().unwrap()).unwrap();
        assert_eq!(found.map(|entry| entry.event.seq.get()), seq, "{text}");
    }

    #[test]
    fn the_first_event_after_which_something_holds_is_found() {
        check("exists(a)", Some(2));
        check("running>1", Some(4));
        check("running>2", Some(5));
        check("running>3", None);
        check("tasks>=3", Some(5));
        check("status(b)=failed", Some(6));
        check("status(b)=running", Some(4));
        check("status(b)!=running", Some(6));
        check("failed=1 and status(c)=running and running < 2", Some(7));
        check("completed!=0", Some(7));
        check("running=0 and exists(a)", None);
    }

    #[test]
    fn only_the_tasks_of_the_thread_count() {
        check("exists(other)", None);
        check("status(other)!=running", None);
        check("failed>1", None);
    }

    #[test]
    fn a_thread_that_never_was_is_an_error() {
        let refused = first(&log(), &thread("x"), &"running>0".parse().unwrap());
        assert!(matches!(refused, Err(QueryError::UnknownThread { .. })));
    }
}
