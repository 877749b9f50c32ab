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

use crate::report::Report;
use anyhow::Result;
use std::{path::PathBuf, time::Duration};
use taskledger::Durability;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks that have ended and are in the ledger, one ledger for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 50_000])]
    pub(crate) tasks: Vec<usize>,
    /// Rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each contestant runs in each round, in milliseconds.
    #[arg(long, default_value_t = 400)]
    pub(crate) millis: u64,
    /// Threads that run tasks, beside the writer's.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// Callers that spawn at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    pub(crate) callers: Vec<usize>,
    /// How often the device is synced under Interval, in milliseconds.
    #[arg(long, default_value_t = 50)]
    pub(crate) interval: u64,
    /// What an acknowledgement is to have survived.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Level::Interval, Level::Synced])]
    pub(crate) durability: Vec<Level>,
    /// Leave out the reads.
    #[arg(long)]
    pub(crate) no_reads: bool,
    /// Leave out the spawns.
    #[arg(long)]
    pub(crate) no_spawns: bool,
    /// Leave out the older design, among the spawns.
    #[arg(long)]
    pub(crate) no_older: bool,
    /// Where to make the ledgers: a temporary directory in there.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// An acknowledgement level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
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

    /// What has happened before a spawn or an end is acknowledged.
    fn means(self, interval: u64) -> String {
        match self {
            Self::Interval => format!("written before acknowledged, synced every {interval} ms"),
            Self::Synced => "durable before acknowledged".to_owned(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Synced => "synced",
        }
    }
}

/// Measures reads, then spawns: a section of the report.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let temporary = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?,
    };
    let mut tables = Vec::new();
    if !args.no_reads {
        eprintln!("manager: reads");
        tables.push(rows::reads(&reads::measure(args, temporary.path())?));
    }
    if !args.no_spawns {
        for level in &args.durability {
            for callers in &args.callers {
                eprintln!("manager: spawns, {}, {callers} callers", level.name());
                let rows = spawns::measure(args, *level, *callers, temporary.path())?;
                tables.push(rows::spawns(args, *level, *callers, &rows));
            }
        }
    }
    let how = format!(
        "{} rounds of {} ms for each contestant, in turn; {} worker threads. The older design is a \
         map in memory, cloned for every read: nothing of it is durable.",
        args.rounds, args.millis, args.workers
    );
    report.section("manager", &how, &tables)
}
