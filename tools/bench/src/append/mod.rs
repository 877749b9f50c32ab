//! Appends, beside the raw disk and what people would use instead: same events, same promise.
//!
//! Every sample is of a new store in a new directory, runs for a fixed time, and the contestants
//! take turns, so that a machine that changes its speed changes it for all of them. Only ratios of
//! one run count. Start reading at [`measure`].

mod contest;
mod grouped;
#[cfg(feature = "peers")]
mod job;
mod limit;
mod ours;
mod sample;
mod tables;

use crate::{report::Report, spin::Spinners};
use anyhow::Result;
use clap::ValueEnum;
use std::{path::Path, time::Duration};

pub(crate) use contest::{Contestant, Load};
pub(crate) use sample::Sample;
#[cfg(feature = "peers")]
pub(crate) use {
    grouped::{Store, grouped},
    job::{Change, Event},
};

/// The end of the name of a store that does the job of the ledger, instead of being handed bytes.
pub(crate) const SAME_JOB: &str = ", same job";

/// What must be true before an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Promise {
    /// It survives loss of power.
    Durable,
    /// It survives the end of the process.
    Written,
}

/// Makes an empty store in a directory, for a load.
type Open = Box<dyn Fn(&Path, Load) -> Result<Box<dyn Contestant>>>;

/// One that takes part: how it is opened, and what its acknowledgement is said to mean.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    /// What has happened before it acknowledges.
    pub(crate) means: &'static str,
    /// Who says so.
    pub(crate) promised: &'static str,
    pub(crate) open: Open,
}

impl Entrant {
    fn is_peer(&self) -> bool {
        self.name != limit::NAME && self.name != ours::OURS
    }
}

/// Which appends, how long and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What an acknowledgement means.
    #[arg(value_enum)]
    pub(crate) promise: Promise,
    /// Times that each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Milliseconds of each turn.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) millis: u64,
    /// Keep idle cores awake, so that the disk is measured and not the kernel's tick.
    #[arg(long)]
    pub(crate) spin: bool,
    /// Only contestants whose name begins with this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Only loads whose description has this in it.
    #[arg(long, default_value = "")]
    pub(crate) loads: String,
}

/// Measures every load of one promise: a section of the report.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let (mut entrants, mut skipped) = entrants(args.promise, place.path());
    entrants.retain(|entrant| entrant.name.starts_with(&args.only));
    let _awake = args.spin.then(Spinners::start).transpose()?;
    let wanted = |load: &Load| load.to_string().contains(&args.loads);
    let mut tables = Vec::new();
    for load in loads(args.promise).into_iter().filter(wanted) {
        let mut samples: Vec<Vec<Sample>> = entrants.iter().map(|_| Vec::new()).collect();
        for round in 1..=args.rounds {
            eprintln!("append, {load}, round {round} of {}", args.rounds);
            // Who has failed once is left out of the rounds that follow.
            let before = usize::try_from(round - 1)?;
            for (entrant, taken) in entrants.iter().zip(&mut samples) {
                if taken.len() < before {
                    continue;
                }
                match sample(entrant, load, Duration::from_millis(args.millis)) {
                    Ok(sample) => taken.push(sample),
                    Err(error) if entrant.is_peer() => {
                        eprintln!("FAILED: {}: {error:#}", entrant.name);
                        let name = entrant.name;
                        skipped.push(format!("{name}, {load}, from round {round} on: {error:#}"));
                    }
                    Err(error) => {
                        return Err(error.context(format!("{} with {load}", entrant.name)));
                    }
                }
            }
        }
        tables.push(tables::of(args, load, &entrants, &samples));
    }
    let name = match (args.promise, args.spin) {
        (Promise::Durable, false) => "durable appends",
        (Promise::Durable, true) => "durable appends, cores awake",
        (Promise::Written, false) => "written appends",
        (Promise::Written, true) => "written appends, cores awake",
    };
    let mut how = format!(
        "{} rounds of {} ms each, contestants in turn, {}.",
        args.rounds,
        args.millis,
        regime(args)
    );
    how.push_str(" What stands behind an acknowledgement:\n");
    for Entrant { name, promised, .. } in &entrants {
        how = format!("{how}\n- {name}: {promised}");
    }
    for what in skipped {
        how = format!("{how}\n\n**SKIPPED: {what}**");
    }
    report.section(name, &how, &tables)
}

fn regime(args: &Args) -> &'static str {
    if args.spin { "cores kept awake" } else { "machine as it is" }
}

fn loads(promise: Promise) -> Vec<Load> {
    let one = Load { callers: 1, tasks: false, outstanding: 1, batch: 1 };
    let of_each = |tasks| [1, 8, 64, 512].map(|callers| Load { callers, tasks, ..one });
    match promise {
        Promise::Durable => [false, true].into_iter().flat_map(of_each).collect(),
        Promise::Written => {
            vec![one, Load { outstanding: 64, ..one }, Load { batch: 64, ..one }]
        }
    }
}

/// Who takes part, and who should and cannot.
fn entrants(promise: Promise, place: &Path) -> (Vec<Entrant>, Vec<String>) {
    let mut here = vec![limit::entrant(promise), ours::entrant(promise)];
    let (peers, skipped) = peers(promise, place);
    here.extend(peers);
    (here, skipped)
}

#[cfg(feature = "peers")]
fn peers(promise: Promise, place: &Path) -> (Vec<Entrant>, Vec<String>) {
    crate::peers::entrants(promise, place)
}

#[cfg(not(feature = "peers"))]
fn peers(_: Promise, _: &Path) -> (Vec<Entrant>, Vec<String>) {
    (Vec::new(), vec!["every other store: built without `--features peers`".to_owned()])
}

fn sample(entrant: &Entrant, load: Load, each: Duration) -> Result<Sample> {
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let contestant = (entrant.open)(&place.path().join("store"), load)?;
    contest::run(contestant, load, each)
}
