//! The process that is to be killed: opens, appends, and says what was acknowledged.
//!
//! It speaks in lines on its standard output, one write each; [`said`](crate::said) reads them.
//! Start reading at [`run`].

use crate::{
    order::{Order, Script},
    work::{LANES, Place, proposals},
};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    ops::ControlFlow,
    process,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};
use taskledger::{
    Ledger,
    command::Proposal,
    event::PartSet,
    ids::Seq,
    ledger::{AppendError, Receipt, Spool},
    time::{Entropy, Millis, SeededEntropy},
};

/// A child that nobody kills ends here, so that none is left for ever.
const BATCHES_MAX: u64 = 5_000;
/// Batches of the first lane from one flush to the next.
const BATCHES_OF_A_CHECKPOINT: u64 = 40;
/// Batches of the first lane from one sync to the next that is asked for, if not each commit is
/// one.
const BATCHES_OF_A_SYNC: u64 = 4;
/// Batches of the first lane from one redaction to the next.
const BATCHES_OF_A_REDACTION: u64 = 15;
/// Batches of the first lane from one purge to the next.
const BATCHES_OF_A_PURGE: u64 = 70;

/// Does what it is told, until somebody kills it.
pub fn run(order: &Order) -> Result<()> {
    let (said, count) = channel();
    if let Some((after, turns)) = order.abort {
        thread::spawn(move || abort(&count, after, turns));
    }
    let child = Child { order, said };
    match order.script {
        Script::Mixed => child.mixed(),
        Script::Open | Script::Create => {
            child.wait_for_the_word()?;
            child.open().map(drop)
        }
        Script::Append
        | Script::Seal
        | Script::Checkpoint
        | Script::Redact
        | Script::Close
        | Script::Rebuild
        | Script::Spool => child.one_thing(),
    }?;
    child.say("done");
    // What an orderly end would do is `Script::Close`.
    process::exit(0)
}

/// Counts lines, and ends the process after so many.
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
pub fn spin(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

struct Child<'a> {
    order: &'a Order,
    said: Sender<()>,
}

impl Child<'_> {
    /// All that a ledger does, at once and again and again.
    fn mixed(&self) -> Result<()> {
        self.wait_for_the_word()?;
        let (ledger, mut next) = self.open()?;
        let done: Vec<Result<()>> = thread::scope(|scope| {
            let lanes = (0..LANES).map(|number| {
                let first = next.remove(&number).unwrap_or(1);
                let mut lane = self.lane(&ledger, number, first);
                scope.spawn(move || lane.go_on())
            });
            let lanes: Vec<_> = lanes.collect();
            lanes.into_iter().filter_map(|lane| lane.join().ok()).collect()
        });
        ensure!(done.len() == usize::from(LANES), "a lane panicked");
        done.into_iter().collect()
    }

    /// Opens, waits, and then does one thing.
    fn one_thing(&self) -> Result<()> {
        let (ledger, next) = self.open()?;
        let mut lane = self.lane(&ledger, 0, next.get(&0).copied().unwrap_or(1));
        match self.order.script {
            Script::Append
            | Script::Seal
            | Script::Mixed
            | Script::Open
            | Script::Create
            | Script::Spool => {}
            Script::Checkpoint | Script::Close => lane.append_some(5)?,
            Script::Rebuild => {
                lane.append_some(5)?;
                ledger.close_blocking()?;
            }
            Script::Redact => {
                lane.append_some(20)?;
                lane.redact()?;
                ledger.flush_blocking()?;
                lane.append_some(5)?;
                lane.redact()?;
            }
        }
        self.wait_for_the_word()?;
        match self.order.script {
            Script::Mixed | Script::Open | Script::Create => {}
            Script::Append => lane.append_some(12)?,
            Script::Seal => {
                let before = self.archives();
                for _ in 0..BATCHES_MAX {
                    lane.append_some(1)?;
                    if self.archives() != before {
                        break;
                    }
                }
            }
            Script::Checkpoint => ledger.flush_blocking()?,
            Script::Redact => {
                lane.redact()?;
                lane.purge()?;
            }
            Script::Close => ledger.close_blocking()?,
            Script::Rebuild => {
                drop(ledger);
                Ledger::rebuild(&self.order.path, &self.order.options(), &mut |_, _| {})?;
            }
            Script::Spool => {
                lane.spool_some(3)?;
                ledger.close_blocking()?;
                drop(ledger);
                self.open()?.0.close_blocking()?;
            }
        }
        Ok(())
    }

    fn archives(&self) -> usize {
        let is_one = |file: &fs::DirEntry| file.path().extension().is_some_and(|e| e == "archive");
        let files = fs::read_dir(self.order.path.join("archive"));
        files.map_or(0, |files| files.flatten().filter(is_one).count())
    }

    /// Opens the ledger, makes sure that what came last is asked for in vain, and says where each
    /// lane goes on.
    fn open(&self) -> Result<(Ledger, BTreeMap<u8, u64>)> {
        self.say("opening");
        let ledger = Ledger::open_or_create(&self.order.path, self.order.options())?;
        self.say("opened");
        let last = last_of_each_lane(&ledger)?;
        for place in last.values() {
            repeat(&ledger, place)?;
        }
        let next = |(lane, place): (u8, Place)| (lane, place.first + u64::from(place.len));
        Ok((ledger, last.into_iter().map(next).collect()))
    }

    fn lane<'a>(&'a self, ledger: &'a Ledger, number: u8, next: u64) -> Lane<'a> {
        let random = SeededEntropy::new(self.order.seed.wrapping_add(number.into()));
        Lane { child: self, ledger, number, next, random, blocks: false, newest: None }
    }

    /// Whoever traces this process attaches now, and then writes a line.
    fn wait_for_the_word(&self) -> Result<()> {
        if !self.order.waits {
            return Ok(());
        }
        self.say("ready");
        io::stdin().read_line(&mut String::new()).context("nobody gives the word")?;
        Ok(())
    }

    /// One line, in one write.
    fn say(&self, line: &str) {
        let mut out = io::stdout().lock();
        // Nobody listens any more once this process is to be killed.
        let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
        drop(out);
        let _ = self.said.send(());
    }
}

fn last_of_each_lane(ledger: &Ledger) -> Result<BTreeMap<u8, Place>> {
    let (reader, mut last) = (ledger.reader(), BTreeMap::new());
    if let Some(head) = reader.head().seq() {
        reader.scan(Seq::FIRST, head, |entry| {
            last.extend(Place::of(&entry).map(|place| (place.lane, place)));
            ControlFlow::Continue(())
        })?;
    }
    Ok(last)
}

/// Whoever cannot know whether an append was kept asks again, with the same keys.
fn repeat(ledger: &Ledger, place: &Place) -> Result<()> {
    let head = ledger.reader().head();
    let batch = proposals(Place::batch(place.lane, place.sizes, place.first, place.len))?;
    let receipts = ledger.append_blocking(batch)?;
    ensure!(receipts.iter().all(|r| r.repeated), "the same keys are other events: {receipts:?}");
    ensure!(ledger.reader().head() == head, "what was asked for twice is written twice");
    Ok(())
}

/// One thread's events.
struct Lane<'a> {
    child: &'a Child<'a>,
    ledger: &'a Ledger,
    number: u8,
    next: u64,
    random: SeededEntropy,
    /// Whether the last batch was appended on this thread.
    blocks: bool,
    /// The first event of the last batch, and its place: what can be redacted.
    newest: Option<(Seq, Place)>,
}

impl Lane<'_> {
    fn go_on(&mut self) -> Result<()> {
        for batch in 1..=BATCHES_MAX {
            self.append_some(1)?;
            if self.number != 0 {
                continue;
            }
            if batch % BATCHES_OF_A_SYNC == 0 && self.child.order.interval_ms.is_some() {
                let head = go_or_die(self.ledger.sync_blocking())?;
                self.child.say(&format!("synced {}", head.size));
            }
            if batch % BATCHES_OF_A_CHECKPOINT == 0 {
                // A failed flush loses nothing; whether one can be made is not asked here.
                let _ = self.ledger.flush_blocking();
            }
            if batch % BATCHES_OF_A_REDACTION == 0 {
                self.redact()?;
            }
            if batch % BATCHES_OF_A_PURGE == 0 {
                // As a flush.
                let _ = self.purge();
            }
        }
        Ok(())
    }

    fn append_some(&mut self, batches: u64) -> Result<()> {
        for _ in 0..batches {
            let len = 1 + u8::try_from(self.random.number() % 8)?;
            let places: Vec<_> =
                Place::batch(self.number, self.child.order.sizes, self.next, len).collect();
            let receipts = go_or_die(self.append(proposals(places.iter().copied())?)?)?;
            let seqs: Vec<_> = receipts.iter().map(|receipt| receipt.seq.to_string()).collect();
            let seqs = seqs.join(" ").replace('#', "");
            self.child.say(&format!("acknowledged {} {} {seqs}", self.number, self.next));
            self.next += u64::from(len);
            let first = receipts.first().map(|receipt| receipt.seq);
            self.newest = first.zip(places.first().copied());
        }
        Ok(())
    }

    /// Leaves batches to the next opening.
    fn spool_some(&mut self, batches: u64) -> Result<()> {
        let (spool, id) = (Spool::of(&self.child.order.path), self.ledger.reader().ledger_id());
        for at in 0..batches {
            let len = 1 + u8::try_from(self.random.number() % 8)?;
            let places = Place::batch(self.number, self.child.order.sizes, self.next, len);
            spool.put(id, proposals(places)?, Millis(at))?;
            self.next += u64::from(len);
            self.child.say(&format!("spooled {} {}", self.number, self.next - 1));
        }
        Ok(())
    }

    /// In turns on this thread and, as async code, by the threads of the ledger.
    fn append(
        &mut self,
        batch: Vec<Proposal>,
    ) -> Result<std::result::Result<Vec<Receipt>, AppendError>> {
        self.blocks = !self.blocks;
        if self.blocks {
            return Ok(self.ledger.append_blocking(batch));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(self.ledger.append(batch)))
    }

    fn redact(&mut self) -> Result<()> {
        let Some((target, place)) = self.newest.take() else { return Ok(()) };
        let parts = PartSet::default().with(place.kind());
        let receipt = self.ledger.redact_blocking(target, parts, "it was secret");
        let receipt: Receipt = go_or_die(receipt)?;
        self.child.say(&format!("redacted {} {}", receipt.seq.get(), target.get()));
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        self.ledger.purge_blocking()?;
        let upto = self.ledger.reader().erased_upto().map_or(0, Seq::get);
        self.child.say(&format!("purged {upto}"));
        Ok(())
    }
}

/// Only a call that was made to fail, or a device that is gone, can make an outcome unknown; the
/// next opening will tell. Anything else that is refused is a finding.
fn go_or_die<T>(answer: std::result::Result<T, AppendError>) -> Result<T> {
    match answer {
        Err(AppendError::OutcomeUnknown { .. } | AppendError::Halted) => process::abort(),
        answer => Ok(answer?),
    }
}
