//! `taskledger-sim`: seeds of a simulation of several nodes.
#![allow(clippy::print_stdout, reason = "what a simulation saw is what it prints")]

use clap::{Parser, Subcommand};
use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};
use taskledger_sim::{Failure, mutants::Mutant, run, schedule::schedule, shortest, world::NODES};

/// Threads that run seeds.
const THREADS: usize = 2;

#[derive(Debug, Parser)]
#[command(about = "Several nodes of a task ledger in one seeded simulation")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run seeds; the first one that fails is printed with the shortest schedule that shows it.
    Run {
        /// Seeds, from the first on.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Steps of each.
        #[arg(long, default_value_t = 400)]
        steps: usize,
        /// Run one seed, and print a number that stands for everything that has happened.
        #[arg(long)]
        trace_hash: bool,
    },
    /// Take safeguards away, one by one, and see that a check notices.
    Mutants {
        /// Seeds for each, at most.
        #[arg(long, default_value_t = 500)]
        seeds: u64,
        /// Steps of each.
        #[arg(long, default_value_t = 400)]
        steps: usize,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { seed, steps, trace_hash: true, .. } => {
            let outcome = run(seed, steps, None);
            println!("{:016x}", outcome.trace_hash);
            outcome.failure.map_or(ExitCode::SUCCESS, |failure| tell(seed, steps, None, &failure))
        }
        Command::Run { seeds, seed, steps, .. } => {
            let began = Instant::now();
            if let Some((seed, failure)) = first_failure(seed, seeds, steps, None) {
                return tell(seed, steps, None, &failure);
            }
            println!("{seeds} seeds of {steps} steps held, {:.1?}", began.elapsed());
            ExitCode::SUCCESS
        }
        Command::Mutants { seeds, steps } => {
            let mut code = ExitCode::SUCCESS;
            for mutant in Mutant::ALL {
                if let Some((seed, failure)) = first_failure(1, seeds, steps, Some(mutant)) {
                    println!("{mutant:?}: caught by seed {seed}: {}", failure.what);
                } else {
                    println!("{mutant:?}: NOT caught within {seeds} seeds");
                    code = ExitCode::FAILURE;
                }
            }
            code
        }
    }
}

/// The lowest seed that fails, as far as two threads tell.
fn first_failure(
    seed: u64,
    seeds: u64,
    steps: usize,
    mutant: Option<Mutant>,
) -> Option<(u64, Failure)> {
    let (next, end) = (AtomicU64::new(seed), AtomicU64::new(seed + seeds));
    let work = || {
        let mut found: Option<(u64, Failure)> = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return found;
            }
            if let Some(failure) = run(seed, steps, mutant).failure {
                end.fetch_min(seed, Ordering::Relaxed);
                found = found.filter(|(other, _)| *other < seed).or(Some((seed, failure)));
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let found = threads.into_iter().filter_map(|thread| thread.join().ok().flatten());
        found.min_by_key(|(seed, _)| *seed)
    })
}

fn tell(seed: u64, steps: usize, mutant: Option<Mutant>, failure: &Failure) -> ExitCode {
    println!("seed {seed}, step {}: {}", failure.step, failure.what);
    let all = schedule(seed, steps, NODES);
    let (fewer, again) = shortest(seed, &all, mutant, failure);
    println!("the shortest schedule found, {} steps, then: {}", fewer.len(), again.what);
    for step in fewer {
        println!("  {:?} {:#x}", step.act, step.seed);
    }
    ExitCode::FAILURE
}
