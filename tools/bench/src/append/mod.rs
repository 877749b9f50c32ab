//! Appends, beside the raw disk and what people would use instead: same events, same promise.
//!
//! Every sample is of a new store in a new directory, runs for a fixed time, and the contestants
//! take turns, so that a machine that changes its speed changes it for all of them. Only ratios of
//! one run count. Start reading at [`measure`].

mod contest;
mod grouped;
mod limit;
mod ours;
mod sample;

use crate::{
    report::{self, Table, count, micros},
    spin::Spinners,
};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use contest::{Contestant, Load};
#[cfg(feature = "peers")]
pub(crate) use grouped::{Store, grouped};
use sample::{Sample, median};

/// What must be true before an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Promise {
    /// It survives loss of power.
    Durable,
    /// It survives the end of the process.
    Written,
}

/// One that takes part: how it is opened, and what its acknowledgement is said to mean.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    /// What has happened before it acknowledges, for the reader of the table.
    pub(crate) means: &'static str,
    pub(crate) open: fn(&Path, Load) -> Result<Box<dyn Contestant>>,
}

/// Which appends, how long and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What an acknowledgement means.
    #[arg(value_enum)]
    promise: Promise,
    /// Times that each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each turn.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Keep idle cores awake, so that the disk is measured and not the kernel's tick.
    #[arg(long)]
    spin: bool,
    /// Only contestants whose name begins with this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only loads whose description has this in it.
    #[arg(long, default_value = "")]
    loads: String,
    /// Add the tables to this file as well, in Markdown.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Measures every load of one promise, and prints what was found for each.
pub(crate) fn measure(args: &Args) -> Result<()> {
    let _awake = args.spin.then(Spinners::start).transpose()?;
    args.tell(&format!("{}\n", report::machine()))?;
    let wanted = |load: &Load| load.to_string().contains(&args.loads);
    for load in loads(args.promise).into_iter().filter(wanted) {
        let mut entrants = entrants(args.promise);
        entrants.retain(|entrant| entrant.name.starts_with(&args.only));
        let mut samples: Vec<Vec<Sample>> = entrants.iter().map(|_| Vec::new()).collect();
        for round in 1..=args.rounds {
            for (entrant, taken) in entrants.iter().zip(&mut samples) {
                eprintln!("{load}, round {round} of {}: {}", args.rounds, entrant.name);
                let sample = sample(entrant, load, Duration::from_secs(args.seconds))
                    .with_context(|| format!("measuring {} with {load}", entrant.name))?;
                taken.push(sample);
            }
        }
        args.tell(&tabulate(load, args.spin, &entrants, &samples).to_string())?;
    }
    Ok(())
}

impl Args {
    /// Prints it, and adds it to the report.
    fn tell(&self, text: &str) -> Result<()> {
        println!("{text}");
        if let Some(path) = &self.report {
            writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{text}")?;
        }
        Ok(())
    }
}

fn loads(promise: Promise) -> Vec<Load> {
    let one = Load { callers: 1, outstanding: 1, batch: 1 };
    match promise {
        Promise::Durable => [1, 8, 64, 512].map(|callers| Load { callers, ..one }).into(),
        Promise::Written => {
            vec![one, Load { outstanding: 64, ..one }, Load { batch: 64, ..one }]
        }
    }
}

fn entrants(promise: Promise) -> Vec<Entrant> {
    let here = [limit::entrant(promise), ours::entrant(promise)];
    here.into_iter().chain(peers(promise)).collect()
}

#[cfg(feature = "peers")]
fn peers(promise: Promise) -> Vec<Entrant> {
    crate::peers::entrants(promise)
}

#[cfg(not(feature = "peers"))]
fn peers(_: Promise) -> Vec<Entrant> {
    Vec::new()
}

fn sample(entrant: &Entrant, load: Load, each: Duration) -> Result<Sample> {
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let contestant = (entrant.open)(&place.path().join("store"), load)?;
    contest::run(&*contestant, load, each)
}

/// The first entrant is the limit that the others are held against, round by round.
fn tabulate(load: Load, spin: bool, entrants: &[Entrant], samples: &[Vec<Sample>]) -> Table {
    let regime = if spin { "cores kept awake" } else { "machine as it is" };
    let mut table = Table::new(
        format!("{load} ({regime})"),
        &["store", "before the acknowledgement", "events/s", "range", "p50", "p99", "of the limit"],
    );
    let limit: Vec<f64> = samples.first().into_iter().flatten().map(|s| s.rate).collect();
    for (entrant, taken) in entrants.iter().zip(samples) {
        let rates: Vec<f64> = taken.iter().map(|sample| sample.rate).collect();
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rates.iter().copied().fold(0.0, f64::max);
        let ratios: Vec<f64> = rates.iter().zip(&limit).map(|(rate, limit)| rate / limit).collect();
        table.row([
            entrant.name.to_owned(),
            entrant.means.to_owned(),
            count(median(&rates)),
            format!("{} to {}", count(least), count(most)),
            micros(median(&taken.iter().map(|s| s.p50).collect::<Vec<_>>())),
            micros(median(&taken.iter().map(|s| s.p99).collect::<Vec<_>>())),
            format!("{:.2}", median(&ratios)),
        ]);
    }
    table
}
