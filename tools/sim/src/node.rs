//! A machine with a disk, a clock and at times a process on it.

use crate::{mutants::Mutant, promotion::Promotion, source::Session, standby::Following};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    ids::{Head, LedgerId},
    ledger::{Durability, OpenError, Role},
    store::{Identity, NodeStore as _, Opened, faulty::FaultyDisk},
    time::{ManualClock, Millis, SeededEntropy},
};

/// 2023-11-14T22:13:20Z.
const START: u64 = 1_700_000_000_000;

/// The ledger of every simulation.
pub(crate) const LEDGER: LedgerId = LedgerId([7; 16]);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) disk: FaultyDisk,
    clock: Arc<ManualClock>,
    /// How much the clock is ahead, in milliseconds.
    pub(crate) skew: u64,
    openings: u64,
    seed: u64,
    /// Earlier disks, whose tails are in no other history, with the end of each.
    pub(crate) divergent: Vec<(FaultyDisk, Head)>,
    pub(crate) process: Option<Process>,
}

/// What is lost when the process dies.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) ledger: Ledger,
    /// Only of a node that was opened as a standby.
    pub(crate) following: Option<Following>,
    pub(crate) promotion: Option<Promotion>,
    /// Its streams to standbys.
    pub(crate) sessions: BTreeMap<u64, Session>,
    /// Nodes that do not know yet that the epoch here has begun, and the time at which they are told.
    pub(crate) untold: BTreeSet<usize>,
    pub(crate) tell_at: Duration,
}

impl Node {
    pub(crate) fn new(seed: u64, place: usize, identity: Identity) -> Self {
        let seed = seed ^ u64::try_from(place).unwrap_or_default().wrapping_mul(0x1_0001);
        let disk = FaultyDisk::new(seed);
        set_identity(&disk, move |_| identity);
        Self {
            disk,
            clock: Arc::new(ManualClock::at(Millis(START))),
            skew: 0,
            openings: 0,
            seed,
            divergent: Vec::new(),
            process: None,
        }
    }

    pub(crate) fn set_clock(&self, now: Duration) {
        let since = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.clock.set(Millis(START + since + self.skew));
    }

    pub(crate) fn options(&mut self, mutant: Option<Mutant>) -> Options {
        self.openings += 1;
        let entropy = SeededEntropy::new(self.seed.wrapping_add(self.openings << 32));
        let durability = match mutant {
            Some(Mutant::AppendBeforeSync) => Durability::Interval(Duration::from_hours(1)),
            Some(_) | None => Durability::Synced,
        };
        let clock = Arc::clone(&self.clock);
        Options::default().clock(clock).entropy(Arc::new(entropy)).durability(durability)
    }

    /// Starts the process.
    pub(crate) fn open(&mut self, now: Duration, mutant: Option<Mutant>) -> Result<(), OpenError> {
        let options = self.options(mutant);
        let ledger = Ledger::over(Opened::of(self.disk.open()?), options)?;
        let status = ledger.node_status();
        let following = (status.role == Role::Standby).then(|| Following::new(&status));
        self.process = Some(Process {
            ledger,
            following,
            promotion: None,
            sessions: BTreeMap::new(),
            untold: BTreeSet::new(),
            tell_at: now,
        });
        Ok(())
    }

    /// The process dies; with the power, what was not synced goes.
    pub(crate) fn kill(&mut self, power: bool) {
        if power {
            self.disk.cut_power();
        } else {
            // Another opening halts what the old process still has.
            drop(self.disk.open());
        }
        self.process = None;
        self.disk.repair();
    }
}

/// Changes the identity on a disk whose store is not open.
pub(crate) fn set_identity(disk: &FaultyDisk, change: impl FnOnce(Identity) -> Identity) {
    if let Ok(store) = disk.open() {
        let changed = store.set_identity(change(store.identity()));
        debug_assert!(changed.is_ok(), "a disk that works");
    }
}
