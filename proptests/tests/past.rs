//! What bound a part of the ledger in the past, for any history of tasks that move about.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use proptest::{prelude::*, sample::Index};
use std::ops::ControlFlow;
use taskledger::{
    event::{Entry, PartSet},
    ids::{Head, Seq, Size},
    ledger::ReadError,
    query::{Now, Position, Scope, Source, as_of},
    state::LedgerState,
    time::Millis,
};
use taskledger_proptests::{
    config,
    histories::{History, families},
    marks::same_marks,
    plain::place,
};

/// A history as something that can be asked about its past.
struct Log<'h>(&'h History);

impl Source for Log<'_> {
    fn now(&self) -> Result<Now, ReadError> {
        Ok(Now::of(&self.0.state()))
    }

    fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError> {
        Ok(self.0.state().redacted(seq))
    }

    fn state_of(&self, scope: Scope<'_>) -> Result<LedgerState, ReadError> {
        Ok(self.0.state_of(scope))
    }

    fn state_at(&self, size: Size) -> Result<LedgerState, ReadError> {
        Ok(self.0.states[usize::try_from(size.get()).unwrap()].clone())
    }

    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        |seq| {
            let found = self.0.entries.get(place(seq)).cloned();
            found.ok_or(ReadError::NoSuchEvent { seq, head: Head::EMPTY })
        }
    }

    fn scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        for entry in &self.0.entries[place(from)..=place(to)] {
            if visit(entry.clone())?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The views of each thread, and of one task, hold what the view of everything does.
fn check(log: &Log<'_>, position: Position, task: Index) -> Result<(), String> {
    let (now, all) = (log.0.state(), as_of(log, Scope::All, position).unwrap().state);
    for thread in now.threads() {
        let view = as_of(log, Scope::Thread(&thread.id), position).unwrap();
        same_marks(&view, all.tasks_in(&thread.id).map(|task| &task.id), &all)?;
    }
    let tasks: Vec<_> = now.tasks().map(|task| &task.id).collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let task = task.get(&tasks);
    let view = as_of(log, Scope::Task(task), position).unwrap();
    same_marks(&view, [*task], &all)
}

proptest! {
    #![proptest_config(config("past", 256))]

    /// After each event.
    #[test]
    fn what_bound_a_thread_or_task_at_a_position_is_what_all_of_it_says(
        history in families(40),
        task in any::<Index>(),
    ) {
        let log = Log(&history);
        for size in 0..=log.0.state().size().get() {
            prop_assert_eq!(check(&log, Position::Log(Size::new(size)), task), Ok(()));
        }
    }

    /// At times at which some of it had occurred.
    #[test]
    fn what_bound_a_thread_or_task_by_a_time_is_what_all_of_it_says(
        history in families(40),
        task in any::<Index>(),
    ) {
        let log = Log(&history);
        for at in (0..2_000).step_by(100) {
            prop_assert_eq!(check(&log, Position::Occurred(Millis(at)), task), Ok(()));
        }
    }
}
