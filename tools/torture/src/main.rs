//! `taskledger-torture`: what a ledger survives, as a table.
//!
//! Reads its arguments and hands over; everything else is in the library beside it.
#![allow(clippy::print_stdout, reason = "what a harness saw is what it prints")]
#![allow(clippy::print_stderr, reason = "and what went wrong")]

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, time::Duration};
use taskledger_torture::{
    child,
    damage::{Damage, probe},
    kill::{Kill, Point},
    look::Look,
    machine,
    order::Order,
    power::Power,
    refusals::{Refusals, limited},
    report::Report,
    serve::{Course, ServeSoak},
    soak::{self, Soak},
};

/// Events in a second of a long run: two million in an hour.
const RATE: u64 = 600;

/// Readers at once.
const READERS: u64 = 8;

/// What is done of each before a merge: two minutes, or four where six others use the two cores.
struct Brief {
    kills: u64,
    cuts: u64,
    blows: u64,
    limits_every: usize,
    looks_seconds: u64,
    serve: Course,
}

const BRIEF: Brief = Brief {
    kills: 6,
    cuts: 2,
    blows: 5,
    limits_every: 6,
    looks_seconds: 25,
    serve: Course { minutes: 10.0 / 60.0, kill_every: 4, rate: 300 },
};

/// Kills, power cuts, damage, refusals and long runs: what a ledger survives.
///
/// What cannot be done on this machine is skipped, loudly. Ends with 1 if anything did not end as
/// it must.
#[derive(Debug, Parser)]
struct Args {
    /// Write what came of it to this file, as a table in Markdown
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where to make ledgers; the directory for temporary files if not given
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Another number, other rounds
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Everything
    All {
        /// Kills; a fifth of it power cuts, and five times of it damage
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// How long the long run is
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
    },
    /// Some of everything but the long run, in a few minutes: as before each merge
    Brief,
    /// kill -9, at random moments and at system calls
    Kill {
        /// How many, with each durability
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// Only at this call, as in redact:writer:12
        #[arg(long)]
        at: Option<Point>,
        /// Only at system calls, and at every one
        #[arg(long, conflicts_with = "at")]
        sweep: bool,
    },
    /// The power goes
    Power {
        /// How often
        #[arg(long, default_value_t = 20)]
        rounds: u64,
    },
    /// Bits flipped, bytes zeroed, files cut, deleted, swapped for older copies
    Damage {
        /// Blows at sled; the other files have theirs in proportion
        #[arg(long, default_value_t = 200)]
        rounds: u64,
    },
    /// A full disk, no descriptors, a second process, an unsafe directory, a wrong clock ..
    Refusals,
    /// Readers beside kills, purges, rebuilds, a full disk and exchanges of the directory
    Look {
        /// For how long
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// How many readers
        #[arg(long, default_value_t = READERS)]
        readers: u64,
    },
    /// A long run: memory, descriptors and threads stay as they are
    Soak {
        /// For how long
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        /// Events in a second, at most
        #[arg(long, default_value_t = RATE)]
        rate: u64,
    },
    /// A server that is killed, beside clients that send again and come back
    ServeSoak(Course),
    /// The process of a long run
    #[command(hide = true)]
    Soaker {
        /// The ledger
        path: PathBuf,
        /// Events in a second, at most
        rate: u64,
        /// What is drawn follows from it
        seed: u64,
    },
    /// A process with a limit
    #[command(hide = true)]
    Limited {
        /// Of what
        limit: String,
        /// How much
        value: u64,
        /// How large journals are
        journal_bytes: u64,
        /// The ledger
        path: PathBuf,
    },
    /// What is to be seen of a damaged ledger
    #[command(hide = true)]
    Probe,
    /// What a child does
    #[command(hide = true)]
    Child {
        /// Its order
        order: String,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.what {
        What::Child { order } => serde_json::from_str::<Order>(order)
            .context("an order")
            .and_then(|order| child::run(&order))
            .map(|()| true),
        What::Soaker { path, rate, seed } => soak::work(path, *rate, *seed).map(|()| true),
        What::Probe => probe::run().map(|()| true),
        What::Limited { limit, value, journal_bytes, path } => {
            match limited::run(limit, *value, *journal_bytes, path) {
                Ok(code) => std::process::exit(code),
                Err(error) => Err(error),
            }
        }
        What::All { .. }
        | What::Brief
        | What::Kill { .. }
        | What::Power { .. }
        | What::Damage { .. }
        | What::Refusals
        | What::Look { .. }
        | What::ServeSoak(_)
        | What::Soak { .. } => {
            machine::own_mounts();
            torture(&args)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything ended as it must.
fn torture(args: &Args) -> Result<bool> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let mut report = Report::of(format!("taskledger-torture {}", words.join(" ")));
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let program = machine::program()?;
    let kill =
        |rounds| Kill { program: program.clone(), dir: dir.clone(), rounds, seed: args.seed };
    let power =
        |rounds| Power { program: program.clone(), dir: dir.clone(), rounds, seed: args.seed };
    let damage =
        |rounds| Damage { program: program.clone(), dir: dir.clone(), rounds, seed: args.seed };
    let refusals = |every| Refusals { program: program.clone(), dir: dir.clone(), every };
    let soak = |minutes: f64, rate| Soak {
        program: program.clone(),
        dir: dir.clone(),
        time: Duration::from_secs_f64(minutes * 60.0),
        rate,
        seed: args.seed,
    };
    let look = |seconds, readers| Look {
        program: program.clone(),
        dir: dir.clone(),
        time: Duration::from_secs(seconds),
        readers,
        seed: args.seed,
    };
    let serve = |course| ServeSoak { dir: dir.clone(), course, seed: args.seed };
    match &args.what {
        What::All { rounds, minutes } => {
            kill(*rounds).run(&mut report)?;
            power((*rounds / 5).max(1)).run(&mut report)?;
            damage(*rounds * 5).run(&mut report)?;
            refusals(1).run(&mut report)?;
            look(*rounds, READERS).run(&mut report)?;
            soak(*minutes, RATE).run(&mut report)?;
            serve(Course::of(*minutes)).run(&mut report)?;
        }
        What::Brief => {
            kill(BRIEF.kills).run(&mut report)?;
            power(BRIEF.cuts).run(&mut report)?;
            damage(BRIEF.blows).run(&mut report)?;
            refusals(BRIEF.limits_every).run(&mut report)?;
            look(BRIEF.looks_seconds, READERS).run(&mut report)?;
            serve(BRIEF.serve).run(&mut report)?;
        }
        What::Kill { rounds, at: Some(point), .. } => kill(*rounds).at(*point, &mut report)?,
        What::Kill { sweep: true, .. } => kill(u64::MAX).sweep(&mut report)?,
        What::Kill { rounds, .. } => kill(*rounds).run(&mut report)?,
        What::Power { rounds } => power(*rounds).run(&mut report)?,
        What::Damage { rounds } => damage(*rounds).run(&mut report)?,
        What::Look { seconds, readers } => look(*seconds, *readers).run(&mut report)?,
        What::Refusals => refusals(1).run(&mut report)?,
        What::Soak { minutes, rate } => soak(*minutes, *rate).run(&mut report)?,
        What::ServeSoak(course) => serve(*course).run(&mut report)?,
        What::Child { .. } | What::Probe | What::Limited { .. } | What::Soaker { .. } => {}
    }
    report.conclude();
    if let Some(path) = &args.report {
        report.write(path)?;
    }
    Ok(report.is_ok())
}
