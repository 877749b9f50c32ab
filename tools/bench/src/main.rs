//! Measures a task ledger on this machine: each workload alone, or all of them into one report.
//!
//! Times are of this machine at this moment: compare them only within one run. Start reading at
//! `all::measure`, which names every workload, or at the `measure` of one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod all;
mod append;
mod figures;
mod import;
mod instructions;
mod ledger;
mod look;
mod manager;
mod outside;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod serve;
mod spin;
mod stopwatch;
mod workload;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::path::PathBuf;

/// What a ledger costs, beside what people would use instead.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Put the tables into this file as well, in place of those of the run before. What stands
    /// around them stays.
    #[arg(long, global = true)]
    report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every workload, one after the other: about half an hour.
    All(all::Args),
    /// Appends, beside the raw disk and, built with `--features peers`, other stores.
    Append(append::Args),
    /// Ledgers of several sizes: open, replay, look back, verify, bytes.
    Ledger(ledger::Args),
    /// Looks from other processes: queries, past views, followers beside a writer.
    Look(look::Args),
    /// Spawns, ends and reads of the task manager, beside a model of a map that is cloned on
    /// every read.
    Manager(manager::Args),
    /// The import of a large recording.
    Import(import::Args),
    /// The server: spawns over HTTP beside other servers, and followers of its log.
    Serve(serve::Args),
    /// Stores that are reached through Python: see tools/bench/peers.
    Outside(outside::Args),
    /// Instructions of a few operations, held against those that are kept. Needs valgrind.
    Instructions(instructions::Args),
    /// Opens a ledger or decodes a snapshot, and says by how many bytes this process grew.
    #[command(hide = true)]
    Grow { path: PathBuf },
    /// Opens a ledger of this shape to read, asks once, and says how long that took and its peak
    /// memory.
    #[command(hide = true)]
    Ask { path: PathBuf, question: look::Question, events: u64, tasks: u64, round: u64 },
    /// Follows a ledger.
    #[command(hide = true)]
    Follow { path: PathBuf },
    /// Serves a new ledger in this directory until its standard input ends.
    #[command(hide = true)]
    Host { place: PathBuf },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut report = Report::new(args.report);
    match args.command {
        Command::All(args) => all::measure(&args, &mut report),
        Command::Append(args) => append::measure(&args, &mut report),
        Command::Ledger(args) => ledger::measure(&args, &mut report),
        Command::Manager(args) => manager::measure(&args, &mut report),
        Command::Import(args) => import::measure(&args, &mut report),
        Command::Outside(args) => outside::measure(&args, &mut report),
        Command::Instructions(args) => instructions::measure(&args),
        Command::Look(args) => look::measure(&args, &mut report),
        Command::Serve(args) => serve::measure(&args, &mut report),
        Command::Ask { path, question, events, tasks, round } => {
            println!("{}", look::ask(&path, question, ledger::Shape { events, tasks }, round)?);
            Ok(())
        }
        Command::Follow { path } => look::follow(&path),
        Command::Host { place } => serve::host(&place),
        Command::Grow { path } => {
            println!("{}", ledger::grow(&path)?);
            Ok(())
        }
    }
}
