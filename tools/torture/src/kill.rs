//! `kill -9`: at random moments, and at every n-th system call of everything that a ledger does.

use crate::{
    life::{Life, Nature, Tally},
    order::{FIRST_JOURNAL_KIB, JOURNAL_KIB, LARGEST_JOURNAL_KIB, Script},
    plan::{Ending, Means, Plan},
    report::{FAILURES_MAX, Failure, Report},
    rounds::{Rounds, row},
    trace::{self, EVERY_CALL, Tamper, Thread},
};
use anyhow::{Context, Result};
use std::{path::PathBuf, str::FromStr, time::Duration};
use taskledger::{
    Durability,
    time::{Entropy, SeededEntropy},
};

/// Rounds on one directory, so that no round is spent on reading a long history.
pub const ROUNDS_OF_A_LIFE: u64 = 25;
/// About how many calls there are to be killed at, in all: with so many rounds, none is left out.
const POINTS_ABOUT: u64 = 2_000;
/// How many threads of how many things that is, with journals of two sizes.
const PAIRS_ABOUT: u64 = 52;
/// About how many calls a thread makes in one of them.
const CALLS_ABOUT: u64 = 40;

/// One call to be killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Within what.
    pub script: Script,
    /// Whose calls are counted.
    pub thread: Thread,
    /// Which of them.
    pub nth: u64,
    /// With journals of how many KiB.
    pub journal_kib: u64,
}

impl FromStr for Point {
    type Err = anyhow::Error;

    /// As in `redact:writer:12`, or `redact:writer:12:256` with journals of 256 KiB.
    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split(':');
        let mut next = || words.next().with_context(|| format!("{text:?} is not like open:any:7"));
        let (script, thread, nth) = (next()?, next()?, next()?.parse()?);
        let journal_kib = words.next().map_or(Ok(JOURNAL_KIB), str::parse)?;
        let script = Script::SHORT.into_iter().find(|known| known.name() == script);
        let thread = Thread::ALL.into_iter().find(|known| known.name() == thread);
        Ok(Self {
            script: script.context(
                "append, seal, checkpoint, open, redact, close, rebuild, create or spool",
            )?,
            thread: thread.context("any, main, writer or sealer")?,
            nth,
            journal_kib,
        })
    }
}

impl Point {
    fn plan(self) -> Plan {
        let tamper = Tamper::Kill(EVERY_CALL, self.nth);
        Plan { script: self.script, ending: Ending::Traced(self.thread, tamper) }
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Kill {
    /// The program that is the child.
    pub program: PathBuf,
    /// Below which directory.
    pub dir: PathBuf,
    /// How many rounds with each durability, and at most how many points.
    pub rounds: u64,
    /// What is drawn follows from it.
    pub seed: u64,
}

impl Kill {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let traced = trace::missing().is_none();
        self.random("kill -9 at a random moment", Durability::Synced, traced, report)?;
        let every = Durability::Interval(Duration::from_millis(40));
        self.random("the same, synced every 40 ms, journals that grow", every, traced, report)?;
        self.sweep(report)
    }

    /// Rounds that end at random moments.
    pub fn random(
        &self,
        fault: &str,
        durability: Durability,
        traced: bool,
        report: &mut Report,
    ) -> Result<()> {
        let Self { rounds, seed, .. } = *self;
        let of_a_life = ROUNDS_OF_A_LIFE;
        let rounds = Rounds { fault, command: "kill", rounds, of_a_life, seed };
        let journal_kib = match durability {
            Durability::Synced => JOURNAL_KIB,
            Durability::Interval(_) => LARGEST_JOURNAL_KIB,
        };
        rounds.run(&self.nature(durability, traced, journal_kib), report)
    }

    fn nature(&self, durability: Durability, traced: bool, journal_kib: u64) -> Nature {
        Nature {
            program: self.program.clone(),
            dir: self.dir.clone(),
            durability,
            means: Means { traced, dark: false, long: false, journal_kib },
        }
    }

    /// Kills within everything that a ledger does: with enough rounds at the first, second, third
    /// .. call of each thread, until it gets to its end; otherwise at some of them.
    pub fn sweep(&self, report: &mut Report) -> Result<()> {
        if let Some(why) = trace::missing() {
            report.skip("kills at system calls", why);
            return Ok(());
        }
        let every = self.rounds >= POINTS_ABOUT;
        let random = SeededEntropy::new(self.seed);
        let mut total = Tally::default();
        let mut sweep = Sweep { failures: 0, reached: Vec::new() };
        for script in Script::SHORT {
            let mut highest = 0;
            for (thread, journal_kib) in pairs_of(script) {
                report.progress(total.rounds, POINTS_ABOUT.min(self.rounds));
                let mut points = Points::new(self, &mut total);
                let at = |nth| Point { script, thread, nth, journal_kib };
                let reached = if every {
                    sweep.all(&mut points, at, report)
                } else {
                    let some = (self.rounds / PAIRS_ABOUT).max(1);
                    let drawn = (0..some).map(|_| at(1 + random.number() % CALLS_ABOUT));
                    sweep.these(&mut points, drawn, report)
                };
                highest = highest.max(reached);
            }
            sweep.reached.push(format!("{} (to {highest})", script.name()));
        }
        let which = if every { "every call" } else { "some calls" };
        let fault = format!("kill -9 at {which} of {}", sweep.reached.join(", "));
        report.row(row(&fault, &total, sweep.failures));
        Ok(())
    }

    /// The same point again and again.
    pub fn at(&self, point: Point, report: &mut Report) -> Result<()> {
        let mut total = Tally::default();
        let mut points = Points::new(self, &mut total);
        let mut failures = 0;
        for _ in 0..self.rounds {
            if let Err(why) = points.one(point) {
                failures += 1;
                report.failure(points.failure(point, &why));
            }
        }
        report.row(row(&point.plan().to_string(), &total, failures));
        Ok(())
    }
}

/// What came of points so far.
struct Sweep {
    failures: u64,
    reached: Vec<String>,
}

impl Sweep {
    /// Each call, until the child gets to its end; answers the last that was reached.
    fn all(
        &mut self,
        points: &mut Points<'_>,
        at: impl Fn(u64) -> Point,
        report: &mut Report,
    ) -> u64 {
        let mut reached = 0;
        while self.failures < FAILURES_MAX {
            let nth = reached + 1;
            if !self.one(points, at(nth), report) {
                break;
            }
            reached = nth;
        }
        reached
    }

    fn these(
        &mut self,
        points: &mut Points<'_>,
        drawn: impl Iterator<Item = Point>,
        report: &mut Report,
    ) -> u64 {
        let mut highest = 0;
        for point in drawn {
            if self.failures < FAILURES_MAX && self.one(points, point, report) {
                highest = highest.max(point.nth);
            }
        }
        highest
    }

    /// Whether the call was reached.
    fn one(&mut self, points: &mut Points<'_>, point: Point, report: &mut Report) -> bool {
        match points.one(point) {
            Ok(reached) => reached,
            Err(why) => {
                self.failures += 1;
                report.failure(points.failure(point, &why));
                true
            }
        }
    }
}

/// Rounds with points, on one ledger after the other.
struct Points<'a> {
    kill: &'a Kill,
    tally: &'a mut Tally,
    life: Option<Life>,
    rounds: u64,
}

impl<'a> Points<'a> {
    fn new(kill: &'a Kill, tally: &'a mut Tally) -> Self {
        Self { kill, tally, life: None, rounds: 0 }
    }

    /// Whether the call was reached.
    fn one(&mut self, point: Point) -> Result<bool> {
        let creates = point.script == Script::Create;
        if creates || self.rounds.is_multiple_of(ROUNDS_OF_A_LIFE) {
            self.life = None;
        }
        self.rounds += 1;
        let usual = Plan { script: Script::Mixed, ending: Ending::Killed(5, 0) };
        let life = match &mut self.life {
            Some(life) => life,
            empty => {
                let nature = self.kill.nature(Durability::Synced, true, point.journal_kib);
                let mut life = Life::new(&nature, self.kill.seed + self.rounds)?;
                if !creates {
                    // So that there is something to open.
                    life.round(usual, &mut Tally::default())?;
                }
                empty.insert(life)
            }
        };
        let reached = life.round(point.plan(), self.tally)?;
        if creates {
            // What was half made is in nobody's way.
            life.round(usual, &mut Tally::default()).context("after that")?;
        }
        Ok(reached)
    }

    fn failure(&mut self, point: Point, why: &anyhow::Error) -> Failure {
        self.rounds = 0;
        let left = self.life.take().map(Life::keep).unwrap_or_default();
        let Point { script, thread, nth, journal_kib } = point;
        let (script, thread) = (script.name(), thread.name());
        Failure {
            what: format!("{}: {why:#}; {left}", point.plan()),
            repeat: format!("kill --at {script}:{thread}:{nth}:{journal_kib} --rounds 10"),
        }
    }
}

/// Whose calls can be counted within it, with journals of which sizes.
fn pairs_of(script: Script) -> impl Iterator<Item = (Thread, u64)> {
    let sizes = [JOURNAL_KIB, FIRST_JOURNAL_KIB];
    threads_of(script).into_iter().flat_map(move |thread| sizes.map(|kib| (thread, kib)))
}

/// Whose calls can be counted within it.
fn threads_of(script: Script) -> Vec<Thread> {
    match script {
        // The others are not there.
        Script::Open | Script::Create | Script::Rebuild | Script::Spool => {
            vec![Thread::Any, Thread::Main]
        }
        Script::Mixed
        | Script::Append
        | Script::Seal
        | Script::Checkpoint
        | Script::Redact
        | Script::Close => Thread::ALL.to_vec(),
    }
}
