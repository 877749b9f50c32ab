//! The process that is to be killed: opens, appends, and says what was acknowledged.

use crate::work::{LANES, Place};
use std::{
    collections::BTreeMap,
    env,
    io::{self, Write},
    ops::ControlFlow,
    path::PathBuf,
    process,
    str::FromStr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    ids::Seq,
    ledger::{AppendError, Durability},
    store::disk::DiskOptions,
    time::{Entropy, SeededEntropy},
};

/// The variable that makes a process a child.
const ORDER: &str = "TASKLEDGER_CRASH_CHILD";
/// A child that nobody kills ends here, so that none is left for ever.
const BATCHES_MAX: u64 = 5_000;
/// Batches of the first lane from one store checkpoint to the next.
const BATCHES_OF_A_CHECKPOINT: u64 = 40;

/// What a child is told to do.
#[derive(Debug)]
pub(crate) struct Order {
    /// How often the ledger is synced; 0: at each commit.
    pub(crate) interval_ms: u64,
    /// What the sizes of its batches follow from.
    pub(crate) seed: u64,
    /// After so many acknowledgements it aborts, and so many turns of an empty loop later.
    pub(crate) abort: (u64, u64),
    pub(crate) path: PathBuf,
}

impl Order {
    pub(crate) fn given() -> Option<Self> {
        let order = env::var(ORDER).ok()?;
        let mut words = order.splitn(5, ' ');
        let mut number = || u64::from_str(words.next().unwrap()).unwrap();
        let (interval_ms, seed, abort) = (number(), number(), (number(), number()));
        Some(Self { interval_ms, seed, abort, path: words.next().unwrap().into() })
    }

    /// The variable, and what it has to be for this order.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        let Self { interval_ms, seed, abort: (acks, turns), path } = self;
        (ORDER, format!("{interval_ms} {seed} {acks} {turns} {}", path.display()))
    }

    fn durability(&self) -> Durability {
        match self.interval_ms {
            0 => Durability::Synced,
            ms => Durability::Interval(Duration::from_millis(ms)),
        }
    }
}

/// Small journals and frequent store checkpoints, so that a kill finds all of it at work.
pub(crate) fn options(durability: Durability) -> Options {
    let store = DiskOptions {
        journal_bytes: 64 << 10,
        seal_bytes: 8 << 10,
        checkpoint_every: Some(Duration::from_millis(20)),
        reserve_bytes: 64 << 10,
        ..DiskOptions::default()
    };
    Options { durability, store, ..Options::default() }
}

pub(crate) fn run(order: &Order) {
    let (acknowledged, count) = channel();
    let (after, turns) = order.abort;
    thread::spawn(move || abort(&count, after, turns));
    say(&acknowledged, "opening");
    let ledger = Ledger::open_or_create(&order.path, options(order.durability())).unwrap();
    say(&acknowledged, "opened");
    let mut last = last_of_each_lane(&ledger);
    for place in last.values() {
        repeat(&ledger, place);
    }
    thread::scope(|scope| {
        for lane in 0..LANES {
            let next = last.remove(&lane).map_or(1, |place| place.first + place.len);
            let (ledger, acknowledged) = (ledger.clone(), acknowledged.clone());
            scope.spawn(move || append(&ledger, lane, next, order.seed, &acknowledged));
        }
    });
}

/// Counts lines; the first are "opening" and "opened".
fn abort(count: &Receiver<()>, after: u64, turns: u64) {
    for _ in 0..=after {
        if count.recv().is_err() {
            return;
        }
    }
    spin(turns);
    process::abort();
}

/// A little while that no clock measures.
pub(crate) fn spin(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

/// One line, in one write. What the harness prints before it is on a line of its own.
fn say(acknowledged: &Sender<()>, line: &str) {
    let mut out = io::stdout().lock();
    // Nobody listens any more once this process is to be killed.
    let _ = out.write_all(format!("\n{line}\n").as_bytes()).and_then(|()| out.flush());
    drop(out);
    let _ = acknowledged.send(());
}

fn last_of_each_lane(ledger: &Ledger) -> BTreeMap<u64, Place> {
    let (reader, mut last) = (ledger.reader(), BTreeMap::new());
    if let Some(head) = reader.head().seq() {
        let visit = |entry| {
            last.extend(Place::of(&entry).map(|place| (place.lane, place)));
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, head, visit).unwrap();
    }
    last
}

/// Whoever cannot know whether an append was kept asks again, with the same keys.
fn repeat(ledger: &Ledger, place: &Place) {
    let head = ledger.reader().head();
    let batch: Vec<_> =
        Place::batch(place.lane, place.first, place.len).map(|p| p.proposal()).collect();
    let receipts = ledger.append_blocking(batch).unwrap();
    assert!(receipts.iter().all(|receipt| receipt.repeated), "the same keys, the same events");
    assert_eq!(ledger.reader().head(), head, "nothing is written twice");
}

fn append(ledger: &Ledger, lane: u64, mut next: u64, seed: u64, acknowledged: &Sender<()>) {
    let random = SeededEntropy::new(seed + lane);
    for batch in 1..=BATCHES_MAX {
        let len = 1 + random.number() % 8;
        let proposals: Vec<_> = Place::batch(lane, next, len).map(|p| p.proposal()).collect();
        match ledger.append_blocking(proposals) {
            Ok(receipts) => {
                let seqs = receipts.iter().map(|receipt| receipt.seq.get().to_string());
                let seqs = seqs.collect::<Vec<_>>().join(" ");
                say(acknowledged, &format!("acknowledged {lane} {next} {seqs}"));
                next += len;
            }
            // Only a call that was made to fail can do that; the next opening will tell.
            Err(AppendError::OutcomeUnknown { .. } | AppendError::Halted) => process::abort(),
            Err(error) => panic!("{error}"),
        }
        if lane == 0 && batch % BATCHES_OF_A_CHECKPOINT == 0 {
            // A failed checkpoint loses nothing; whether one can be made is not asked here.
            let _ = ledger.checkpoint_store();
        }
    }
}
