//! Every workload in one go, into one report.

use crate::{
    append::{self, Promise},
    import, ledger, look,
    manager::{self, Level},
    outside,
    report::Report,
    serve,
    stopwatch::Stopwatch,
};
use anyhow::{Context, Result};

/// How often, and how much.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of each measurement; of one that takes long, fewer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Short turns, small ledgers, two rounds: whether all of it works, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Leave out these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    skip: Vec<Workload>,
}

/// What can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    Append,
    Ledger,
    Manager,
    Import,
    Outside,
    Look,
    Serve,
}

/// One workload, with its sizes.
type Measure<'a> = &'a dyn Fn(&mut Report) -> Result<()>;

/// Measures them. One that fails is told of, and the others are measured all the same.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let began = Stopwatch::start();
    let rounds = if args.quick { 2 } else { args.rounds };
    let mut failed = Vec::new();
    let workloads: [(Workload, Measure<'_>); 7] = [
        (Workload::Append, &|report| appends(args, rounds, report)),
        (Workload::Manager, &|report| managers(args, rounds, report)),
        (Workload::Import, &|report| {
            let mib = if args.quick { 20 } else { 200 };
            import::measure(&import::Args { mib, rounds }, report)
        }),
        (Workload::Outside, &|report| {
            let events = if args.quick { 2_000 } else { 10_000 };
            outside::measure(&outside::Args { events, rounds, python: None }, report)
        }),
        (Workload::Ledger, &|report| {
            let sizes = if args.quick { ledger::Case::quick() } else { ledger::Case::all() };
            let args = ledger::Args { sizes, rounds, keep: None, only: Vec::new() };
            ledger::measure(&args, report)
        }),
        (Workload::Look, &|report| {
            let args = if args.quick { look::Args::quick() } else { look::Args::all(rounds) };
            look::measure(&args, report)
        }),
        (Workload::Serve, &|report| {
            let args = if args.quick { serve::Args::quick() } else { serve::Args::all(rounds) };
            serve::measure(&args, report)
        }),
    ];
    for (workload, measure) in workloads {
        if args.skip.contains(&workload) {
            continue;
        }
        if let Err(error) = measure(report) {
            eprintln!("FAILED: {workload:?}: {error:#}");
            failed.push(error.context(format!("{workload:?}")));
        }
        eprintln!("{workload:?} done, {} s since the beginning", began.wall().as_secs());
    }
    report.goals(began.wall())?;
    failed.pop().map_or(Ok(()), Err).context("not everything was measured")
}

fn appends(args: &Args, rounds: u32, report: &mut Report) -> Result<()> {
    let millis = if args.quick { 100 } else { 1_000 };
    let (only, loads) = (String::new(), String::new());
    // Nothing waits for the disk where nothing is synced: cores that sleep are no matter there.
    for (promise, spin) in
        [(Promise::Durable, false), (Promise::Durable, true), (Promise::Written, false)]
    {
        let (only, loads) = (only.clone(), loads.clone());
        append::measure(&append::Args { promise, rounds, millis, spin, only, loads }, report)?;
    }
    Ok(())
}

fn managers(args: &Args, rounds: u32, report: &mut Report) -> Result<()> {
    let tasks = if args.quick { vec![0, 10_000] } else { vec![0, 10_000, 50_000] };
    let args = manager::Args {
        tasks,
        rounds: usize::try_from(rounds)?,
        millis: if args.quick { 100 } else { 400 },
        workers: 2,
        callers: vec![1, 8],
        interval: 50,
        durability: vec![Level::Interval, Level::Synced],
        no_reads: false,
        no_spawns: false,
        no_older: false,
        dir: None,
    };
    manager::measure(&args, report)
}
