//! Measures a ledger on this machine: one made history, filled, opened, looked into and verified;
//! or one part of it, as a command says.
//!
//! Times are of this machine at this moment: compare them only within one run, and on a busy
//! machine compare processor time. Start reading at `figures::measure`, `append::measure` or
//! `manager::measure`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod append;
mod figures;
mod manager;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod spin;
mod stopwatch;
mod workload;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
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
    /// Appends, beside the raw disk and, built with `--features peers`, other stores.
    Append(append::Args),
    /// Spawns, ends and reads of the task manager, beside a model of a map that is cloned on
    /// every read.
    Manager(manager::Args),
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.command {
        None => one(args),
        Some(Command::Append(args)) => append::measure(&args),
        Some(Command::Manager(args)) => manager::measure(&args, &mut |row| println!("{row}")),
    }
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
