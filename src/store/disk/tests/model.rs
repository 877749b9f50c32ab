//! Looks at files that change between any two calls, held against what the writer did.
//!
//! `history` records the writer, `world` gives its files to a reader step by step. Every claim names
//! the seeds of its failure, and `TASKLEDGER_MODEL=8,2` in the environment does that one alone.

use super::*;

mod history;
mod world;

use crate::store::{FrameRead, disk::look::Look};
use history::{Dice, History, state_at};
use world::World;

/// Seeds of histories, and of readers of each.
const HISTORIES: u64 = 24;
const READERS: u64 = 12;

/// A look, and what must be true of it.
struct Reader {
    world: World,
    log: Arc<dyn FrameRead>,
    snapshots: Arc<dyn SnapshotStore>,
    /// Texts that were gone when it last looked.
    erased: std::collections::BTreeSet<u64>,
    shown: Head,
    /// False after a refresh that gave up.
    settled: bool,
}

/// Errors that say that another try, or another look, can help.
fn is_transient(error: &Error, exchanged: bool) -> bool {
    matches!(error, Error::Unsettled { .. })
        || (exchanged && matches!(error, Error::Replaced { .. }))
}

impl Reader {
    /// Looks for the first time; `None` if there was no ledger yet, or no rest.
    fn begin(world: &World) -> Option<Self> {
        let (told, erased, at) = {
            let state = world.state();
            (state.told, state.erased.clone(), state.at)
        };
        let looked = match Look::over(Arc::new(world.clone())) {
            Ok(looked) => looked,
            Err(Error::NotFound { .. }) => {
                assert!(told == 0 && at < 40 || world.state().exchanged, "it was there");
                return None;
            }
            Err(error) => {
                assert!(is_transient(&error, world.state().exchanged), "{error}");
                return None;
            }
        };
        assert!(looked.identity.is_some(), "the file was always whole");
        let reader = Self {
            world: world.clone(),
            shown: looked.log.shown(),
            log: looked.log,
            snapshots: looked.snapshots,
            erased,
            settled: true,
        };
        reader.holds(told);
        Some(reader)
    }

    /// Says whether all that is shown is there, was durable, and is what was written.
    fn holds(&self, told: u64) {
        let shown = self.log.shown();
        let size = shown.size.get();
        let (durable, written) = {
            let state = self.world.state();
            (state.durable, state.written)
        };
        assert_eq!(shown, head_at(size));
        assert!(size >= told, "{size} events of {told} that were acknowledged");
        assert!(size <= durable, "{size} events, and {durable} are durable");
        assert!(size + self.log.pending() <= written, "more is waiting than was written");
        assert_eq!(self.log.shortfall(), None);
    }

    fn refresh(&mut self) {
        let (told, erased, exchanged) = {
            let state = self.world.state();
            (state.told, state.erased.clone(), state.exchanged)
        };
        match self.log.refresh() {
            Ok(shown) => {
                assert!(!exchanged, "another directory is there");
                self.settled = true;
                assert_eq!(shown, self.log.shown());
                assert!(shown.size >= self.shown.size, "what is shown has become less");
                self.shown = shown;
                self.erased = erased;
                self.holds(told);
            }
            Err(error) => {
                assert!(is_transient(&error, self.world.state().exchanged), "{error}");
                self.settled = false;
            }
        }
    }

    /// Reads from `from` on. Returns the number of frames, all of them right.
    fn read(&self, from: u64, bytes_max: usize) -> u64 {
        let frames = match self.log.read(seq(from), bytes_max) {
            Ok(frames) => frames,
            Err(error) => {
                let exchanged = self.world.state().exchanged;
                assert!(!self.settled || exchanged, "event {from}: {error}");
                assert!(is_transient(&error, exchanged), "event {from}: {error}");
                return 0;
            }
        };
        let shown = self.log.shown().size.get();
        assert!(from + frames.len() as u64 <= shown + 1, "more than is shown");
        assert_eq!(frames.is_empty(), from > shown, "event {from} of {shown}");
        for (number, frame) in (from..).zip(&frames) {
            let whole = frame_of(number);
            let may_be_gone = self.world.state().erasing.contains(&number);
            let must_be_gone = self.erased.contains(&number);
            let gone = may_be_gone && *frame == whole[..5];
            assert!(gone || (*frame == whole && !must_be_gone), "event {number}");
        }
        frames.len() as u64
    }

    fn read_all(&self) {
        let mut next = 1;
        while next <= self.log.shown().size.get() {
            match self.read(next, 3_000) {
                0 => return,
                count => next += count,
            }
        }
    }

    fn roots(&self, dice: &mut Dice) {
        let size = dice.below(self.log.shown().size.get() + 1);
        match self.log.root_at(head_at(size).size) {
            Ok(root) => assert!(root.is_none_or(|root| root == root_at(size))),
            Err(error) => assert!(is_transient(&error, self.world.state().exchanged), "{error}"),
        }
    }

    fn states(&self) {
        for at in self.snapshots.list().unwrap() {
            match self.snapshots.load(at) {
                Ok(bytes) => assert_eq!(bytes, state_at(at.get())),
                Err(error) => assert_eq!(error.code(), crate::code::Code::NotFound, "{error}"),
            }
        }
    }
}

/// Readers of one history, one after the other, until the writer has done all.
fn read(history: &Arc<History>, seed: u64) -> u64 {
    let world = World::of(Arc::clone(history), seed);
    let mut dice = Dice(seed ^ 0x5eed);
    let mut looks = 0;
    loop {
        // Where no reader is, the power may go.
        {
            let mut state = world.state();
            state.reading = false;
            let pace = state.pace;
            let calls = 1 + state.dice.below(pace);
            state.go_on(calls);
            state.reading = true;
        }
        let over = world.state().is_over();
        looks += 1;
        let Some(mut reader) = Reader::begin(&world) else {
            assert!(!over || world.state().exchanged, "a look without a writer ends");
            if over {
                return looks;
            }
            continue;
        };
        for _ in 0..dice.below(12) {
            match dice.below(8) {
                0..3 => reader.refresh(),
                3..5 => {
                    reader.read(1 + dice.below(reader.shown.size.get() + 1), 900);
                }
                5 => reader.roots(&mut dice),
                6 => reader.states(),
                _ => reader.read_all(),
            }
        }
        if over {
            reader.refresh();
            reader.read_all();
            return looks;
        }
    }
}

#[test]
fn a_look_beside_a_writer_shows_what_is_durable_whatever_the_writer_does_meanwhile() {
    if let Ok(one) = std::env::var("TASKLEDGER_MODEL") {
        let (history, reader) = one.split_once(',').unwrap();
        read(&Arc::new(History::of(history.parse().unwrap())), reader.parse().unwrap());
        return;
    }
    let mut told = std::collections::BTreeMap::<_, u64>::new();
    let mut failed = Vec::new();
    for seed in 0..HISTORIES {
        let history = Arc::new(History::of(seed));
        for (name, times) in &history.told {
            *told.entry(*name).or_default() += times;
        }
        for reader in 0..READERS {
            if std::panic::catch_unwind(|| read(&history, reader)).is_err() {
                failed.push((seed, reader));
            }
        }
    }
    assert!(failed.is_empty(), "histories and their readers that fail: {failed:?}");
    assert!(told.values().all(|times| *times > 2) && told.len() == 12, "{told:?}");
}
