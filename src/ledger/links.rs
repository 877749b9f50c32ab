//! Whether an event continues a history: what the writer asserts and every reader checks again.

use crate::{event::Event, state::LedgerState};

/// Why an event does not follow what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Its number is not the next one.
    #[error("its number is {found}, not {expected}")]
    Number {
        /// The next number.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// It was recorded before the event before it.
    #[error("it was recorded at {found} ms, before {previous} ms")]
    Time {
        /// When the event before it was recorded.
        previous: u64,
        /// When it says that it was.
        found: u64,
    },
    /// It names another event as the one before it of its task or thread.
    #[error("its link to the event before it {whose} is {found}, not {expected}")]
    Link {
        /// `of its task` or `in its thread`.
        whose: &'static str,
        /// The event before it; 0 for none.
        expected: u64,
        /// What it names; 0 for none.
        found: u64,
    },
    /// Its epoch is older than that of the event before it, or changes without a reason.
    #[error("its epoch {found} does not follow {previous}")]
    Epoch {
        /// The epoch before.
        previous: String,
        /// Its epoch.
        found: String,
    },
}

/// Holds the numbers, links, times and epochs of `event` against the state before it. O(1).
///
/// # Errors
/// The first that does not fit.
pub fn check_continues(state: &LedgerState, event: &Event) -> Result<(), LinkError> {
    let (expected, found) = (state.size() + 1, event.seq.get());
    if expected != found {
        return Err(LinkError::Number { expected, found });
    }
    let (previous, found) = (state.recorded().0, event.recorded.0);
    if found < previous {
        return Err(LinkError::Time { previous, found });
    }
    check_epoch(state, event)?;
    let of_task = event.task.as_ref().and_then(|id| Some(state.task(id)?.last_seq));
    check_link("of its task", of_task, event.prev_in_task)?;
    let in_thread = event.thread.as_ref().and_then(|id| Some(state.thread(id)?.last_seq));
    check_link("in its thread", in_thread, event.prev_in_thread)
}

fn check_link(
    whose: &'static str,
    expected: Option<crate::ids::Seq>,
    found: Option<crate::ids::Seq>,
) -> Result<(), LinkError> {
    if expected == found {
        return Ok(());
    }
    let number = |seq: Option<crate::ids::Seq>| seq.map_or(0, crate::ids::Seq::get);
    Err(LinkError::Link { whose, expected: number(expected), found: number(found) })
}

/// The epoch changes with a Began that is not a mere opening, and only upwards.
fn check_epoch(state: &LedgerState, event: &Event) -> Result<(), LinkError> {
    use crate::event::{Action, Began};
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
    Err(LinkError::Epoch { previous: previous.to_string(), found: event.epoch.to_string() })
}
