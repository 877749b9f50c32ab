//! Rounds on one directory: run a child, bring it to its end, see what is left.

use crate::{
    check::{Known, check},
    child::{Order, spin},
    ending::{Ending, Plan},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::DirBuilderExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};
use taskledger::{
    ledger::Durability,
    time::{Entropy, SeededEntropy},
};
use tempfile::TempDir;

/// What the signals are called that a child may end by.
const SIGNALS: [i32; 2] = [9, 6];

/// What happened in all rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    endings: BTreeMap<Ending, u64>,
    /// Children that did not come as far as having the ledger open.
    ended_before_open: u64,
    batches_acknowledged: u64,
    events_acknowledged: u64,
    /// Events that were there although nobody was told.
    events_beyond: u64,
}

/// One directory and all that is known of it.
#[derive(Debug)]
pub(crate) struct Life {
    place: TempDir,
    durability: Durability,
    random: SeededEntropy,
    known: Known,
    rounds: u64,
}

impl Life {
    pub(crate) fn new(durability: Durability, seed: u64) -> Self {
        Self {
            place: TempDir::new().unwrap(),
            durability,
            random: SeededEntropy::new(seed),
            known: Known::default(),
            rounds: 0,
        }
    }

    pub(crate) fn round(&mut self, tally: &mut Tally) -> Result<(), String> {
        self.rounds += 1;
        let plan = Plan::draw(&self.random);
        let before = (self.known.acknowledged.len(), self.known.seen.size);
        let status = self.run_child(&plan, tally);
        if !status.signal().is_some_and(|signal| SIGNALS.contains(&signal)) {
            return Err(format!("{plan:?}: the child ended by itself, {status}"));
        }
        self.check_what_is_left().map_err(|why| format!("{plan:?}: {why}"))?;

        let told = self.known.acknowledged.len() - before.0;
        let told = u64::try_from(told).unwrap();
        *tally.endings.entry(plan.ending).or_default() += 1;
        tally.events_acknowledged += told;
        tally.events_beyond += self.known.seen.size.saturating_sub(before.1 + told);
        Ok(())
    }

    /// Where the directory stays, for whoever looks into a failure.
    pub(crate) fn keep(self) -> PathBuf {
        self.place.keep()
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("ledger")
    }

    fn run_child(&mut self, plan: &Plan, tally: &mut Tally) -> ExitStatus {
        let order = Order {
            interval_ms: match self.durability {
                Durability::Synced => 0,
                Durability::Interval(every) => u64::try_from(every.as_millis()).unwrap(),
            },
            seed: self.random.number() >> 1,
            abort: plan.abort(),
            path: self.path(),
        };
        let (name, value) = order.variable();
        let mut child = plan
            .command()
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (mut lines, mut opened) = (0, false);
        // Read to the end: what is in the pipe was acknowledged before the end came.
        for line in out.lines() {
            match self.note(&line.unwrap()) {
                Line::NotOurs => continue,
                Line::Opening => {}
                Line::Opened => opened = true,
                Line::Acknowledged => tally.batches_acknowledged += 1,
            }
            if plan.ending == Ending::Killed && lines == plan.lines {
                spin(plan.turns);
                child.kill().unwrap();
            }
            lines += 1;
        }
        self.known.opened |= opened;
        tally.ended_before_open += u64::from(!opened);
        child.wait().unwrap()
    }

    fn note(&mut self, said: &str) -> Line {
        let mut words = said.split(' ');
        match words.next() {
            Some("opening") => Line::Opening,
            Some("opened") => Line::Opened,
            Some("acknowledged") => {
                let mut numbers = words.map(|word| word.parse::<u64>().unwrap());
                let (lane, first) = (numbers.next().unwrap(), numbers.next().unwrap());
                let events = numbers.zip(first..).map(|(seq, number)| (seq, (lane, number)));
                self.known.acknowledged.extend(events);
                Line::Acknowledged
            }
            _ => Line::NotOurs,
        }
    }

    /// In every other round in a copy, so that the next child meets what the kill left and not
    /// what a clean close made of it.
    fn check_what_is_left(&mut self) -> Result<(), String> {
        let path = self.path();
        if self.rounds.is_multiple_of(2) || !path.exists() {
            return check(&path, self.durability, &mut self.known);
        }
        let place = TempDir::new().unwrap();
        let copied = place.path().join("ledger");
        copy(&path, &copied);
        check(&copied, self.durability, &mut self.known).inspect_err(|_| drop(place.keep()))
    }
}

enum Line {
    NotOurs,
    Opening,
    Opened,
    Acknowledged,
}

fn copy(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
