//! The power goes: at random moments, and within everything that a ledger does.

use crate::{
    device,
    life::{Life, Nature, Tally},
    order::{JOURNAL_KIB, Script},
    plan::{Ending, Means, Plan},
    report::{FAILURES_MAX, Failure, Report, Row},
    rounds::{Rounds, row},
    trace,
};
use anyhow::{Result, bail};
use std::{path::PathBuf, time::Duration};
use taskledger::{
    Durability,
    time::{Entropy, SeededEntropy},
};

/// Cuts on one ledger: what is durable must stay so over all of them.
const ROUNDS_OF_A_LIFE: u64 = 10;
/// After so many MiB, and up to twice as many, a device fails.
const FAILS_AFTER_MIB: u64 = 8;
/// Ledgers that are lied to.
const DECEIVED: u64 = 5;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Power {
    /// The program that is the child.
    pub program: PathBuf,
    /// Below which directory the devices are.
    pub dir: PathBuf,
    /// How many cuts.
    pub rounds: u64,
    /// What is drawn follows from it.
    pub seed: u64,
}

impl Power {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        if let Some(why) = crate::machine::no_mounts().or_else(|| device::missing(&self.dir)) {
            report.skip("power cuts", why);
            return Ok(());
        }
        let traced = match trace::missing() {
            None => true,
            Some(why) => {
                report.skip("power cuts at system calls, and with faked syncs", why);
                false
            }
        };
        let fault = "power cut, texts of 1 byte to 1 MiB, `blobs/` empty";
        self.random(fault, Durability::Synced, traced, self.rounds, report)?;
        let every = Durability::Interval(Duration::from_millis(40));
        let some = (self.rounds / 4).max(1);
        self.random("the same, synced every 40 ms", every, traced, some, report)?;
        self.fail(report)?;
        if traced { self.deceive(report) } else { Ok(()) }
    }

    /// A device that fails to write: a sync is told so once, and what it was to make durable is
    /// gone, though a second sync would succeed.
    fn fail(&self, report: &mut Report) -> Result<()> {
        let fault = "a device that fails to write, then a power cut";
        let nature = self.nature(Durability::Synced, false);
        let random = SeededEntropy::new(self.seed);
        let (mut tally, mut failures) = (Tally::default(), 0);
        for number in 0..(self.rounds / 4).max(1) {
            let mib = FAILS_AFTER_MIB + random.number() % FAILS_AFTER_MIB;
            let seed = self.seed + number;
            let mut life = Life::on_failing(&nature, seed, mib)?;
            let plan = Plan { script: Script::Mixed, ending: Ending::Failing };
            // Then the device is whole, and it goes on.
            let round = life.round(plan, &mut tally).and_then(|_| life.random_round(&mut tally));
            if let Err(why) = round {
                failures += 1;
                let left = life.keep();
                report.failure(Failure {
                    what: format!("{fault}, at {mib} MiB: {why:#}; {left}"),
                    repeat: format!("power --seed {seed} --rounds 4"),
                });
            }
            if failures >= FAILURES_MAX {
                break;
            }
        }
        report.row(row(fault, &tally, failures));
        Ok(())
    }

    fn nature(&self, durability: Durability, traced: bool) -> Nature {
        Nature {
            program: self.program.clone(),
            dir: self.dir.clone(),
            durability,
            means: Means { traced, dark: true, long: true, journal_kib: JOURNAL_KIB },
        }
    }

    fn random(
        &self,
        fault: &str,
        durability: Durability,
        traced: bool,
        rounds: u64,
        report: &mut Report,
    ) -> Result<()> {
        let (of_a_life, seed) = (ROUNDS_OF_A_LIFE, self.seed);
        let rounds = Rounds { fault, command: "power", rounds, of_a_life, seed };
        rounds.run(&self.nature(durability, traced), report)
    }

    /// The proof that these rounds would tell: with every sync faked, each must report a loss.
    fn deceive(&self, report: &mut Report) -> Result<()> {
        let nature = self.nature(Durability::Synced, true);
        let rounds = DECEIVED.min(self.rounds);
        let mut words = Vec::new();
        for number in 0..rounds {
            let mut life = Life::new(&nature, self.seed + number)?;
            let mut tally = Tally::default();
            let honest = Plan { script: Script::Mixed, ending: Ending::Killed(10, 0) };
            life.round(honest, &mut tally)?;
            let before = life.acknowledged();
            let deceived = Plan { script: Script::Mixed, ending: Ending::Deceived(15) };
            match life.round(deceived, &mut tally) {
                Err(why) if life.acknowledged() > before => words.push(format!("{why:#}")),
                Err(why) => bail!("nothing was acknowledged: {why:#}"),
                Ok(_) => report.failure(Failure {
                    what: "every sync was faked, and nobody noticed".to_owned(),
                    repeat: format!("power --seed {} --rounds 1", self.seed + number),
                }),
            }
        }
        let noticed = words.len();
        words.sort();
        let first: String =
            words.first().map(|word| word.chars().take(90).collect()).unwrap_or_default();
        report.row(Row {
            fault: "the same with every sync faked: it must be noticed".to_owned(),
            rounds,
            outcome: format!("noticed {noticed} of {rounds}: `{first}`"),
        });
        Ok(())
    }
}
