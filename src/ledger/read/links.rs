//! Checks that an event continues a history: the writer asserts it, and every reader checks it
//! again.

use crate::{
    event::{Action, Began, Event},
    ids::{LedgerId, Seq},
    ledger::{Discontinuity, Fork},
    state::{LedgerState, Place},
};

/// Checks the number, links, times, epoch and incarnation of `event` against the state before it.
/// O(1).
///
/// # Errors
/// The first one that does not continue it.
pub(crate) fn check_continues(state: &LedgerState, event: &Event) -> Result<(), Discontinuity> {
    check_continues_at(state, &state.locate(event), event)
}

/// Like [`check_continues`], for a known place of `event` in `state`.
pub(crate) fn check_continues_at(
    state: &LedgerState,
    place: &Place,
    event: &Event,
) -> Result<(), Discontinuity> {
    let (expected, found) = (Seq::FIRST.plus(state.size().get()), event.seq);
    if expected != Some(found) {
        // No event follows the last number, so any event is a wrong one.
        return Err(Discontinuity::Gap { expected: expected.unwrap_or(found), found });
    }
    let (previous, found) = (state.recorded(), event.recorded);
    if found < previous {
        return Err(Discontinuity::Fork(Fork::Time { previous, found }));
    }
    check_epoch(state, event)?;
    check_incarnation(state, event)?;
    let of_task = state.task_at(place).map(|task| task.last_seq);
    check_link("of its task", of_task, event.prev_in_task)?;
    let in_thread = state.thread_at(place).map(|thread| thread.last_seq);
    check_link("in its thread", in_thread, event.prev_in_thread)
}

fn check_link(
    whose: &'static str,
    expected: Option<Seq>,
    found: Option<Seq>,
) -> Result<(), Discontinuity> {
    if expected == found {
        return Ok(());
    }
    Err(Discontinuity::Fork(Fork::Link { whose, expected, found }))
}

/// An epoch changes only with a Began other than a plain opening, and only upwards.
fn check_epoch(state: &LedgerState, event: &Event) -> Result<(), Discontinuity> {
    let Some(previous) = state.epoch() else { return Ok(()) };
    let takes_over = matches!(
        &event.action,
        Action::Began {
            why: Began::Created | Began::Promoted | Began::Forked(_) | Began::RestoredFrom(_),
            ..
        }
    );
    let follows =
        if takes_over { event.epoch.number > previous.number } else { event.epoch == previous };
    if follows {
        return Ok(());
    }
    Err(Discontinuity::Epoch { previous, found: event.epoch })
}

/// A log that has become that of `ours` stays so. Before that, events of others are those that it was
/// copied from: only the last writer that began says whose log it is.
pub(crate) fn check_ledger(
    state: &LedgerState,
    ours: LedgerId,
    event: &Event,
) -> Result<(), Discontinuity> {
    let Action::Began { ledger: found, .. } = event.action else { return Ok(()) };
    if state.ledger() != Some(ours) || found == ours {
        return Ok(());
    }
    Err(Discontinuity::Fork(Fork::Ledger { expected: ours, found }))
}

/// Writers are numbered without a gap. After the last number there is none.
fn check_incarnation(state: &LedgerState, event: &Event) -> Result<(), Discontinuity> {
    let Action::Began { incarnation: found, .. } = event.action else { return Ok(()) };
    let previous = state.incarnation();
    if previous.checked_add(1) == Some(found) {
        return Ok(());
    }
    Err(Discontinuity::Fork(Fork::Incarnation { previous, found }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Cause, Entry, PartSet},
        ids::{Epoch, LedgerId, NodeId},
        time::Millis,
    };

    fn began(seq: Seq, incarnation: u64) -> Entry {
        let (ledger, node) = (LedgerId([1; 16]), NodeId([2; 16]));
        let why = if seq == Seq::FIRST { Began::Created } else { Began::Opened };
        let event = Event {
            seq,
            epoch: Epoch { number: 1, nonce: 0 },
            recorded: Millis(0),
            occurred: Millis(0),
            thread: None,
            task: None,
            prev_in_thread: None,
            prev_in_task: None,
            cause: Cause::default(),
            key: None,
            action: Action::Began { ledger, node, version: "1".into(), incarnation, why },
            parts: Vec::new(),
        };
        Entry { event, parts: Vec::new(), withheld: PartSet::default(), batch_goes_on: false }
    }

    /// Checks writer `found` after writer `previous`.
    fn after(previous: u64, found: u64) -> Result<(), Discontinuity> {
        let mut state = LedgerState::default();
        state.apply(&began(Seq::FIRST, previous));
        check_continues(&state, &began(Seq::new(2).unwrap(), found).event)
    }

    #[test]
    fn writers_are_numbered_without_a_gap() {
        assert_eq!(after(1, 2), Ok(()));
        for found in [0, 1, 3] {
            assert_eq!(
                after(1, found),
                Err(Discontinuity::Fork(Fork::Incarnation { previous: 1, found }))
            );
        }
        let none = LedgerState::default();
        assert_eq!(check_continues(&none, &began(Seq::FIRST, 1).event), Ok(()));
    }

    // A forged log may say that this many writers were there; adding one overflowed.
    #[test]
    fn no_writer_follows_the_last_number() {
        let previous = u64::MAX;
        for found in [0, previous] {
            assert_eq!(
                after(previous, found),
                Err(Discontinuity::Fork(Fork::Incarnation { previous, found }))
            );
        }
    }
}
