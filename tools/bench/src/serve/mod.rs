//! The server: spawns over HTTP beside `PostgreSQL` and `UmaDB` with the same job, and followers of its
//! log. Every client is on the same cores. Start reading at [`measure`].

mod door;
mod host;
mod http;
mod live;
mod ours;
#[cfg(feature = "peers")]
mod postgres;
mod quiet;
mod race;
mod spawns;
mod umadb;

use crate::{append::Sample, report::Report, spin::Spinners};
use anyhow::{Context, Result};
use race::Load;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use host::serve as host;

/// One that takes part in the contest: how one turn of it is made.
struct Entrant {
    name: &'static str,
    /// The steps before it acknowledges.
    means: &'static str,
    /// Its work, and the way by which it is asked.
    promised: &'static str,
    run: Run,
}

/// Makes a turn in a directory that is to be made, for so long.
type Run = Box<dyn Fn(&Path, Load, Duration) -> Result<Sample>>;

/// A part of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Spawns beside the other servers.
    Spawns,
    /// Spawns beside followers that have nothing to read.
    Quiet,
    /// Followers of everything.
    Live,
}

/// The size of the workload, and its rounds.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Times that each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds of each turn of the contest.
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    /// Connections that spawn at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Spawns of a request in the second load.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=1_024))]
    batch: u16,
    /// Followers that have nothing to read: each follows a quiet thread.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=4_000))]
    quiet: u16,
    /// Spawns beside them, in each turn.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    spawns: u64,
    /// Followers of everything.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    live: u16,
    /// Events a second that they follow.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Seconds for which they do.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Keep idle cores awake, so that the servers are measured and not the kernel's tick.
    #[arg(long)]
    spin: bool,
    /// The Python to use: by default what `tools/bench/peers/install` has made, else `python3`.
    #[arg(long)]
    python: Option<PathBuf>,
}

impl Args {
    /// The workload that is reported.
    pub(crate) fn all(rounds: u32) -> Self {
        Self {
            rounds,
            millis: 2_000,
            connections: 64,
            batch: 64,
            quiet: 1_000,
            spawns: 20_000,
            live: 64,
            rate: 1_000,
            seconds: 10,
            only: Vec::new(),
            spin: false,
            python: None,
        }
    }

    /// For a look at whether all of it works.
    pub(crate) fn quick() -> Self {
        Self { millis: 200, quiet: 50, spawns: 1_000, live: 8, seconds: 1, ..Self::all(2) }
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The name of a section.
    fn named(&self, section: &str) -> String {
        format!("{section}{}", if self.spin { ", cores awake" } else { "" })
    }
}

/// Measures them all.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    host::raise_files()?;
    let _awake = args.spin.then(Spinners::start).transpose()?;
    if args.wants(Part::Spawns) {
        spawns::measure(args, report)?;
    }
    if args.wants(Part::Quiet) {
        quiet::measure(args, report)?;
    }
    if args.wants(Part::Live) {
        live::measure(args, report)?;
    }
    Ok(())
}

/// The runtime of the clients.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the clients")
}

/// A new directory.
fn place() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?)
}
