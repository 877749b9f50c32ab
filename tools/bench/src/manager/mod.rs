//! What the task manager costs: named and unnamed spawns, one and many callers, few and many tasks
//! in the ledger, and reads; beside a model of the design that it replaces.
//!
//! Contestants take turns within a round, and a figure is the median of the rounds: what else the
//! machine does comes and goes over all of them. Start reading at [`measure`].

mod older;
mod reads;
mod rows;
mod seed;
mod spawns;

use crate::stopwatch;
use anyhow::Result;
use rows::Row;
use std::{path::PathBuf, time::Duration};
use taskledger::Durability;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks that have ended and are in the ledger, one ledger for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 50_000])]
    tasks: Vec<usize>,
    /// Rounds; each figure is their median.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each contestant runs in each round, in milliseconds.
    #[arg(long, default_value_t = 400)]
    millis: u64,
    /// Threads that run tasks, beside the writer's.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Callers that spawn at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    callers: Vec<usize>,
    /// How often the device is synced under Interval, in milliseconds.
    #[arg(long, default_value_t = 50)]
    interval: u64,
    /// What an acknowledgement is to have survived.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Level::Interval, Level::Synced])]
    durability: Vec<Level>,
    /// Leave out the reads.
    #[arg(long)]
    no_reads: bool,
    /// Leave out the spawns.
    #[arg(long)]
    no_spawns: bool,
    /// Leave out the older design, among the spawns.
    #[arg(long)]
    no_older: bool,
    /// Where to make the ledgers: a temporary directory in there.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// An acknowledgement level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// The process may be killed.
    Interval,
    /// Power may fail.
    Synced,
}

impl Level {
    fn durability(self, interval: u64) -> Durability {
        match self {
            Self::Interval => Durability::Interval(Duration::from_millis(interval)),
            Self::Synced => Durability::Synced,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Synced => "synced",
        }
    }
}

/// Gives `print` each row, as soon as it is measured.
pub(crate) fn measure(args: &Args, print: &mut dyn FnMut(String)) -> Result<()> {
    print(stopwatch::machine());
    print(format!(
        "{} rounds of {} ms; {} worker threads; Interval syncs every {} ms",
        args.rounds, args.millis, args.workers, args.interval
    ));
    let temporary = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    if !args.no_reads {
        print("\nreads, nanoseconds each (median, range; the same in the older design)".to_owned());
        for row in reads::measure(args, temporary.path())? {
            print(row.to_string());
        }
    }
    if !args.no_spawns {
        for level in &args.durability {
            print(format!(
                "\nspawn + finish, {}: tasks a second (median, range), processor time each",
                level.name()
            ));
            print(Row::spawns_head());
            for callers in &args.callers {
                spawns::measure(args, *level, *callers, temporary.path(), print)?;
            }
        }
    }
    print(format!("\nload at the end: {}", stopwatch::load()));
    Ok(())
}
