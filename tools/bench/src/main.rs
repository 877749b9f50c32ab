//! Measures a ledger on this machine, beside the raw disk and what people would use instead.
//!
//! Times are of this machine at this moment: compare them only within one run, and on a busy
//! machine compare processor time. Start reading at `figures::measure` for one ledger, and at
//! `append::measure` for the contest.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod append;
mod figures;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod spin;
mod stopwatch;
mod workload;

use anyhow::Result;
use append::{Plan, Promise};
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use workload::Size;

/// What a ledger costs. Without a command: fill, open, look back, verify one of this size.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Events to make.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Threads that take turns.
    #[arg(long, default_value_t = 10_000)]
    threads: u64,
    /// Events of each task: its spawn, its end, and progress in between.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    events_per_task: u64,
    /// Where to make the ledger, and leave it; a temporary directory if not given. One that is
    /// there is measured as it is.
    #[arg(long)]
    db: Option<PathBuf>,
    /// Print how busy the machine is before each figure.
    #[arg(long)]
    load: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Appends beside the raw disk and, built with `--features peers`, other stores.
    Append {
        /// What an acknowledgement means.
        #[arg(value_enum)]
        level: Level,
        /// Times that each contestant has its turn.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
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
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// It survives loss of power.
    Durable,
    /// It survives the end of the process.
    Written,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.command {
        None => one(args),
        Some(Command::Append { level, rounds, seconds, spin, only, loads, report }) => {
            let promise = match level {
                Level::Durable => Promise::Durable,
                Level::Written => Promise::Written,
            };
            let plan = Plan {
                rounds: rounds.max(1),
                each: Duration::from_secs(seconds),
                spin,
                only,
                loads,
            };
            let report = report.as_deref();
            tell(report, &format!("{}\n", report::machine()))?;
            let mut outcome = Ok(());
            append::measure(promise, &plan, &mut |what| eprintln!("{what}"), &mut |table| {
                if outcome.is_ok() {
                    outcome = tell(report, &table.to_string());
                }
            })?;
            outcome
        }
    }
}

/// Prints it, and adds it to the report.
fn tell(report: Option<&Path>, text: &str) -> Result<()> {
    println!("{text}");
    if let Some(path) = report {
        writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{text}")?;
    }
    Ok(())
}

fn one(args: Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let path = args.db.unwrap_or_else(|| temporary.path().join("ledger"));
    let (events, per_task) = (args.events, args.events_per_task);
    let size = Size { events, threads: args.threads.max(1), per_task };
    figures::measure(&path, size, &mut |row| {
        if args.load {
            print!("[load {}] ", stopwatch::load());
        }
        println!("{row}");
    })
}
