//! Events that an answer leaves out, since they are not known to survive loss of power.
//!
//! Beside a busy writer there is nearly always a group on its way to the device. That is the order of
//! things, and durable before anybody has read the answer, so it is told only if it stays: where a writer
//! syncs at intervals, or was killed.

use std::time::Duration;
use taskledger::{Ledger, ids::Size};

/// The pauses after which they are looked for again: together longer than a sync takes.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(15),
    Duration::from_millis(40),
];

/// The events that a ledger held and did not show when it was opened.
pub struct Unshown {
    ledger: Ledger,
    upto: Size,
    /// Their number.
    pub events: u64,
}

impl Unshown {
    /// Those of a ledger that was just opened; `None` if it shows everything.
    pub fn of(ledger: &Ledger) -> Option<Self> {
        let events = ledger.pending();
        let upto = ledger.reader().head().size.more(events);
        (events > 0).then(|| Self { ledger: ledger.clone(), upto, events })
    }

    /// True if they are still not durable after a while.
    pub fn stay(&self, mut wait: impl FnMut(Duration)) -> bool {
        !PAUSES.iter().any(|pause| {
            wait(*pause);
            self.ledger.refresh_blocking().is_ok_and(|head| head.size >= self.upto)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::{Durability, Options, command::Spawn, ids::ThreadId};

    /// Findings of a busy writer: each query said that events were not shown yet.
    #[test]
    fn a_group_in_flight_is_not_told_and_one_that_stays_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ledger");
        let lazy = Options::default().durability(Durability::Interval(Duration::from_hours(1)));
        let writer = Ledger::create(&path, lazy).unwrap();
        let spawn = Spawn::new(ThreadId::new("t").unwrap(), "y");
        writer.append_blocking(spawn.clone()).unwrap();
        writer.sync_blocking().unwrap();
        let look = || Ledger::open_read_only(&path, Options::default()).unwrap();
        assert!(Unshown::of(&look()).is_none());
        writer.append_blocking(vec![spawn.clone(), spawn.clone()]).unwrap();
        let unshown = Unshown::of(&look()).unwrap();
        assert_eq!(unshown.events, 2);
        let mut waits = 0;
        assert!(unshown.stay(|_| waits += 1));
        assert_eq!(waits, PAUSES.len());
        // The sync comes between two looks. What is written meanwhile does not count.
        let synced_at_third = |pause| {
            if pause == PAUSES[2] {
                writer.sync_blocking().unwrap();
                writer.append_blocking(spawn.clone()).unwrap();
            }
        };
        assert!(!unshown.stay(synced_at_third));
        assert_eq!(unshown.ledger.pending(), 1);
    }
}
