//! Ledgers of several sizes: opened with and without a snapshot, looked into, verified, weighed,
//! each made once and deleted before the next. Start reading at [`measure`].

mod costs;
mod growth;
mod looks;
mod made;
mod opening;
mod parts;
mod tables;
mod whole;

use crate::report::Report;
use anyhow::{Context, Result, bail};
use costs::Costs;
use made::Made;
use std::{path::PathBuf, str::FromStr};

pub(crate) use made::{Shape, Threads};
pub(crate) use opening::grow;
pub(crate) use whole::bytes_below;

/// From so many events on, a round takes long enough to be content with fewer.
const LARGE: u64 = 5_000_000;

/// Which ledgers, how often, and what of them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Ledgers to make, as EVENTS/TASKS; the costs of those with 100 events a task are also shown
    /// as they grow.
    #[arg(long, value_delimiter = ',', default_values_t = Case::all())]
    pub(crate) sizes: Vec<Case>,
    /// Rounds of each measurement; of a ledger of five million events and more, three at the most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Keep the ledgers in this directory, and take those that are there.
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<What>,
}

/// What can be measured of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Opening it with a snapshot, and the memory that it takes.
    Open,
    /// Opening it without one, beside `SQLite`.
    Replay,
    /// Threads now and in the past, and the whole map in the past.
    Past,
    /// Verifying everything.
    Verify,
    /// Bytes on disk.
    Bytes,
}

/// A ledger to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case(Shape);

impl Case {
    /// The sizes that are reported.
    pub(crate) fn all() -> Vec<Self> {
        let grow = [10_000, 100_000, 1_000_000].map(|events| (events, events / 100));
        let large = [(1_000_000, 100_000), (10_000_000, 100_000)];
        let shapes = grow.into_iter().chain(large);
        shapes.map(|(events, tasks)| Self(Shape { events, tasks })).collect()
    }

    /// For a look at whether all of it works.
    pub(crate) fn quick() -> Vec<Self> {
        let shapes = [(10_000, 100), (100_000, 1_000), (100_000, 10_000)];
        shapes.map(|(events, tasks)| Self(Shape { events, tasks })).into()
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (events, tasks) = text.split_once('/').context("expected EVENTS/TASKS")?;
        Ok(Self(Shape { events: events.parse()?, tasks: tasks.parse()? }))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0.events, self.0.tasks)
    }
}

/// Measures them all: a section of the report for each kind of question.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let mut all = Vec::new();
    for Case(shape) in &args.sizes {
        all.push(one(args, *shape).with_context(|| format!("with {} events", shape.events))?);
    }
    if all.is_empty() {
        bail!("no sizes are given");
    }
    let how = format!(
        "Median and range of {} rounds, of ledgers of 5 million events and more of {}. Half of the \
         events belong to threads of 100 events, half to threads of 1,000, and all threads take \
         turns from the first event to the last. They were filled with events that were written \
         before they were acknowledged, and synced every 100 ms; all is durable when anything is \
         measured. Files are in the page cache.",
        args.rounds,
        args.rounds.min(3)
    );
    report.section("ledgers", &how, &tables::of(&all))?;
    let growing: Vec<_> =
        all.into_iter().filter(|costs| costs.shape.tasks * 100 == costs.shape.events).collect();
    if growing.len() > 1 {
        report.section("growth", growth::HOW, &[growth::of(&growing)])?;
    }
    Ok(())
}

fn one(args: &Args, shape: Shape) -> Result<Costs> {
    let Shape { events, tasks } = shape;
    let say = |what| eprintln!("ledger of {events} events, {tasks} tasks: {what}");
    let wanted = |what| args.only.is_empty() || args.only.contains(&what);
    let rounds = if events >= LARGE { args.rounds.min(3) } else { args.rounds };
    say("fill");
    let made = Made::new(shape, args.keep.as_deref())?;
    let mut costs = Costs::of(shape, made.filled);
    if wanted(What::Open) {
        say("open, memory");
        opening::with_snapshot(&made, rounds, &mut costs)?;
        parts::measure(&made, rounds, &mut costs)?;
        opening::memory(&made, &mut costs)?;
    }
    if wanted(What::Past) {
        say("threads and the map, now and then");
        looks::measure(&made, u64::from(rounds), &mut costs)?;
    }
    if wanted(What::Bytes) {
        say("bytes");
        whole::bytes(&made, &mut costs)?;
    }
    if wanted(What::Verify) {
        say("verify");
        whole::verify(&made, rounds, &mut costs)?;
    }
    if wanted(What::Replay) {
        say("open without a snapshot, beside SQLite");
        opening::replays(&made, rounds, &mut costs)?;
    }
    Ok(costs)
}
