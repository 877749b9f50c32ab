//! Questions to a ledger that is opened to be read for each of them, as the command line does.

use super::{
    costs::{Costs, Parts},
    made::{Made, Threads},
};
use crate::{figures::Figures, stopwatch::Stopwatch, workload::mixed};
use anyhow::{Context, Result, ensure};
use std::hint::black_box;
use taskledger::{
    Ledger, Options,
    ids::Seq,
    ledger::Reader,
    query::{History, Scope, Source, history, threads, tree},
};

pub(super) fn measure(made: &Made, rounds: u32, costs: &mut Costs) -> Result<()> {
    let thread = |round| made.shape.thread(Threads::Of100, mixed(round));
    costs.parts = Parts {
        last: each(made, rounds, |reader, _| {
            let mut seen = 0;
            history(reader, &History::default().limit(5), |_| seen += 1)?;
            ensure!(seen == 5, "{seen} events instead of the last five");
            Ok(())
        })?,
        task: each(made, rounds, |reader, round| {
            let seq = Seq::new(mixed(round) % made.shape.events + 1).context("an event")?;
            let task = reader.entry(seq)?.event.task.context("an event about a task")?;
            let state = reader.state_of(Scope::Task(&task))?;
            black_box(state.task(&task)).context("the task")?;
            Ok(())
        })?,
        thread: each(made, rounds, |reader, round| {
            let thread = thread(round)?;
            let forest = tree(&reader.state_of(Scope::Thread(&thread))?, &thread);
            ensure!(!forest.nodes.is_empty(), "the tree of a thread is empty");
            Ok(())
        })?,
        all: each(made, rounds, |reader, _| {
            ensure!(!threads(&reader.state()?).is_empty(), "there is no thread");
            Ok(())
        })?,
    };
    Ok(())
}

/// Seconds of each opening and its answer.
fn each(made: &Made, rounds: u32, ask: impl Fn(&Reader, u64) -> Result<()>) -> Result<Figures> {
    let mut times = Figures::default();
    for round in 0..u64::from(rounds) {
        let watch = Stopwatch::start();
        let ledger = Ledger::open_read_only(made.ledger(), Options::default())?;
        ask(&ledger.reader(), round)?;
        times.push(watch.stop().seconds());
    }
    Ok(times)
}
