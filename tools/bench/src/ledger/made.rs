//! A ledger of a known size and shape, made once and measured in many ways.
//!
//! Half of the events belong to threads of 100 events, half to threads of 1,000. All threads take
//! turns from the first event to the last, so that neighbours in the log are strangers and a
//! thread's events lie as far apart as they can.

use crate::{stopwatch::Stopwatch, workload};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use taskledger::{Durability, Ledger, Options, command::Proposal, ids::ThreadId};
use tempfile::TempDir;

/// Times that every thread has its turn.
const TURNS: u64 = 100;
/// Events of a large thread in each turn; a small one has one.
const LARGE: u64 = 10;

/// How large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) events: u64,
    pub(crate) tasks: u64,
}

/// The threads of a ledger that have so many events each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    Of100,
    Of1000,
}

impl Shape {
    /// Events that every shape is a multiple of.
    const STEP: u64 = 2 * TURNS * LARGE;

    pub(crate) fn check(self) -> Result<()> {
        let Self { events, tasks } = self;
        ensure!(
            events > 0 && events.is_multiple_of(Self::STEP),
            "{events} events cannot be made: it has to be a multiple of {}",
            Self::STEP
        );
        let per_task = self.per_task();
        ensure!(
            per_task >= 2 && TURNS.is_multiple_of(per_task) && per_task * tasks == events,
            "{events} events of {tasks} tasks cannot be made: {TURNS} has to be a multiple of the \
             events of a task"
        );
        Ok(())
    }

    fn per_task(self) -> u64 {
        self.events / self.tasks.max(1)
    }

    /// How many threads there are of this kind.
    pub(crate) fn threads(self, of: Threads) -> u64 {
        match of {
            Threads::Of100 => self.events / (2 * TURNS),
            Threads::Of1000 => self.events / (2 * TURNS * LARGE),
        }
    }

    /// One of them, any number.
    pub(crate) fn thread(self, of: Threads, number: u64) -> Result<ThreadId> {
        let number = number % self.threads(of);
        workload::thread(match of {
            Threads::Of100 => number,
            Threads::Of1000 => self.threads(Threads::Of100) + number,
        })
    }

    /// Event `number` of it, from 0.
    pub(crate) fn event(self, number: u64) -> Result<Proposal> {
        let (thread, turn) = self.place(number);
        workload::event(number, thread, turn, self.per_task())
    }

    /// The thread that it belongs to.
    pub(crate) fn thread_of(self, number: u64) -> Result<ThreadId> {
        workload::thread(self.place(number).0)
    }

    /// Which thread event `number` belongs to, and which of its events it is.
    fn place(self, number: u64) -> (u64, u64) {
        let round = self.events / TURNS;
        let (turn, place) = (number / round, number % round);
        let (large, half) = (self.threads(Threads::Of1000), place / 2);
        if place.is_multiple_of(2) {
            (half, turn)
        } else {
            (self.threads(Threads::Of100) + half % large, turn * LARGE + half / large)
        }
    }
}

/// Where it is: in a directory that goes with this value, or in one that stays.
#[derive(Debug)]
enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(place) => place.path(),
            Self::Kept(place) => place,
        }
    }
}

/// One in a directory of its own.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) shape: Shape,
    place: Place,
    /// Events a second while the last tenth was appended in batches.
    pub(crate) filled: f64,
}

impl Made {
    /// Appends them all, seals them, takes a snapshot and closes. In `keep`, if given, one that was
    /// made before is taken as it is.
    pub(crate) fn new(shape: Shape, keep: Option<&Path>) -> Result<Self> {
        shape.check()?;
        if let Some(keep) = keep {
            let path = keep.join(format!("{}-{}", shape.events, shape.tasks));
            let made = Self { shape, place: Place::Kept(path), filled: f64::NAN };
            if made.ledger().exists() {
                let ledger = Ledger::open(made.ledger(), Options::default())?;
                ledger.flush_blocking()?; // it may have been stopped before it had a snapshot
                ledger.close_blocking()?;
                return Ok(made);
            }
            fs::create_dir_all(made.place.path())?;
            let filled = Self::fill(shape, &made.ledger())?;
            return Ok(Self { filled, ..made });
        }
        let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
        let filled = Self::fill(shape, &place.path().join("ledger"))?;
        Ok(Self { shape, place: Place::Temporary(place), filled })
    }

    /// Answers how many events a second the last tenth was.
    fn fill(shape: Shape, path: &Path) -> Result<f64> {
        let written = Durability::Interval(Duration::from_millis(100)); // what is measured are reads
        let options = Options::default().durability(written);
        let ledger = Ledger::create(path, options)?;
        let mut filled = 0.0;
        for tenth in 0..10 {
            let (from, to) = (shape.events * tenth / 10, shape.events * (tenth + 1) / 10);
            let watch = Stopwatch::start();
            workload::fill(&ledger, (from..to).map(|number| shape.event(number)))?;
            filled = watch.stop().rate(to - from);
            if shape.events >= 1_000_000 {
                eprintln!("  {to} events, {filled:.0} a second");
            }
        }
        ledger.sync_blocking()?; // a snapshot is only taken of what is durable
        ledger.flush_blocking()?;
        ledger.close_blocking()?;
        Ok(filled)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.place.path().join("ledger")
    }

    /// A place beside it for other files.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Result<PathBuf> {
        files(&self.ledger().join("snapshots"))?.pop().context("the ledger has no snapshot")
    }

    /// Moves the snapshots out of the ledger, so that it opens without.
    pub(crate) fn set_snapshots_aside(&self) -> Result<()> {
        let aside = self.beside("snapshots");
        fs::create_dir_all(&aside)?;
        move_all(&self.ledger().join("snapshots"), &aside)
    }

    /// Moves them back.
    pub(crate) fn put_snapshots_back(&self) -> Result<()> {
        move_all(&self.beside("snapshots"), &self.ledger().join("snapshots"))
    }
}

fn move_all(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        fs::rename(&file, to.join(file.file_name().context("a file without a name")?))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<_> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn threads_of_both_kinds_take_turns_through_all_of_the_log() {
        let shape = Shape { events: 20_000, tasks: 200 };
        shape.check().unwrap();
        let mut turns: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for number in 0..shape.events {
            let (thread, turn) = shape.place(number);
            turns.entry(thread).or_default().push((turn, number));
        }
        let (small, large) = (shape.threads(Threads::Of100), shape.threads(Threads::Of1000));
        assert_eq!((small, large), (100, 10));
        for (thread, events) in turns {
            let count = if thread < small { 100 } else { 1_000 };
            assert!(events.iter().map(|(turn, _)| *turn).eq(0..count), "in order, without a gap");
            let (first, last) = (events[0].1, events[events.len() - 1].1);
            assert!(last - first > 19_000, "from the beginning to the end");
        }
    }

    #[test]
    fn a_shape_that_would_come_out_otherwise_is_refused() {
        assert!(Shape { events: 10_001, tasks: 100 }.check().is_err());
        assert!(Shape { events: 10_000, tasks: 3_000 }.check().is_err());
        assert!(Shape { events: 1_000_000, tasks: 100_000 }.check().is_ok());
        assert!(Shape { events: 10_000_000, tasks: 100_000 }.check().is_ok());
    }
}
