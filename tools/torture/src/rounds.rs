//! Many rounds, on one ledger after the other.

use crate::{
    life::{Life, Nature, Tally},
    report::{FAILURES_MAX, Failure, Report, Row, thousands},
};
use anyhow::Result;

/// How many rounds, of what.
#[derive(Debug, Clone, Copy)]
pub struct Rounds<'a> {
    /// What is done to the ledgers.
    pub fault: &'a str,
    /// The command that does it.
    pub command: &'a str,
    /// How many rounds.
    pub rounds: u64,
    /// How many of them on one ledger.
    pub of_a_life: u64,
    /// What the first ledger's rounds follow from; each later one has the next number.
    pub seed: u64,
}

impl Rounds<'_> {
    /// Rounds that end as it is drawn.
    pub fn run(&self, nature: &Nature, report: &mut Report) -> Result<()> {
        let Self { fault, command, rounds, of_a_life, mut seed } = *self;
        let (mut tally, mut failures) = (Tally::default(), 0);
        while tally.rounds + failures < rounds && failures < FAILURES_MAX {
            let mut life = Life::new(nature, seed)?;
            report.progress(tally.rounds + failures, rounds);
            for round in 1..=of_a_life.min(rounds - tally.rounds - failures) {
                let Err(why) = life.random_round(&mut tally) else { continue };
                failures += 1;
                let left = life.keep();
                report.failure(Failure {
                    what: format!("{fault}, round {round}: {why:#}; {left}"),
                    repeat: format!("{command} --seed {seed} --rounds {round}"),
                });
                break;
            }
            seed += 1;
        }
        report.row(row(fault, &tally, failures));
        Ok(())
    }
}

/// What a table says of rounds.
pub fn row(fault: &str, tally: &Tally, failures: u64) -> Row {
    let lost = if failures == 0 { "0 lost".to_owned() } else { format!("{failures} FAILED") };
    let endings: Vec<_> =
        tally.endings.iter().map(|(ending, rounds)| format!("{ending} {rounds}")).collect();
    let gone = match tally.gone {
        0 => String::new(),
        gone => format!("; {} not yet synced, gone with the power", thousands(gone)),
    };
    let mended = match tally.mended {
        0 => String::new(),
        mended => format!("; sled made anew by {mended} openings"),
    };
    let outcome = format!(
        "{lost} of {} events acknowledged{gone}{mended}; {} there although not acknowledged; {} ended before it \
         was open ({})",
        thousands(tally.acknowledged),
        thousands(tally.beyond),
        tally.ended_before_open,
        endings.join(", "),
    );
    Row { fault: fault.to_owned(), rounds: tally.rounds + failures, outcome }
}
