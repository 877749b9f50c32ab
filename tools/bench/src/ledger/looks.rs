//! Questions about single threads, and about everything, at the head and in the past.

use super::{
    costs::{Costs, Looks},
    made::{Made, Shape, Threads},
};
use crate::{figures::Figures, workload::mixed};
use anyhow::{Context, Result, ensure};
use std::{hint::black_box, time::Instant};
use taskledger::{
    Ledger, Options,
    ids::{Size, ThreadId},
    ledger::Reader,
    query::{Position, Scope, as_of, history_of_thread, tree},
};

/// Answers of each kind: enough for a p99.
const LOOKS: u64 = 1_000;
/// Of the long threads, whose answers take ten times as long.
const LONG_LOOKS: u64 = 300;

/// Asks all of them; of the whole map as of so many positions.
pub(super) fn measure(made: &Made, maps: u64, costs: &mut Costs) -> Result<()> {
    let ledger = Ledger::open(made.ledger(), Options::default())?;
    let (reader, shape) = (ledger.reader(), made.shape);
    let asked = Asked { reader: &reader, shape };
    costs.looks = Looks {
        as_of_100: asked.each(Threads::Of100, LOOKS, |thread, at| asked.past(thread, at))?,
        as_of_1000: asked.each(Threads::Of1000, LONG_LOOKS, |thread, at| asked.past(thread, at))?,
        history: asked.each(Threads::Of100, LOOKS, |thread, _| {
            let upto = Position::Log(reader.head().size);
            let events = black_box(history_of_thread(&reader, thread, upto)?);
            ensure!(events.len() == 100, "a thread has {} events instead of 100", events.len());
            Ok(())
        })?,
        tree: asked.each(Threads::Of1000, LOOKS, |thread, _| {
            let forest = black_box(tree(&reader.state()?, thread));
            ensure!(!forest.nodes.is_empty(), "the tree of a thread is empty");
            Ok(())
        })?,
        get: asked.each(Threads::Of100, LOOKS, |thread, _| {
            let state = reader.state()?;
            black_box(state.tasks_in(thread).next()).context("a thread without a task")?;
            Ok(())
        })?,
    };
    for number in 0..maps {
        // One in each part of the log, so that few of them still stand for all.
        let part = shape.events / maps.max(1);
        let at = number * part + mixed(number) % part + 1;
        let began = Instant::now();
        let view = as_of(&reader, Scope::All, Position::Log(Size::new(at)))?;
        costs.map.push(began.elapsed().as_secs_f64());
        ensure!(view.state.size() == at, "the map is of {} instead of {at}", view.state.size());
    }
    ledger.close_blocking()?;
    Ok(())
}

struct Asked<'a> {
    reader: &'a Reader,
    shape: Shape,
}

impl Asked<'_> {
    /// Seconds of each answer about another thread and position.
    fn each(
        &self,
        of: Threads,
        looks: u64,
        mut ask: impl FnMut(&ThreadId, u64) -> Result<()>,
    ) -> Result<Figures> {
        let mut times = Figures::default();
        for look in 0..looks {
            let thread = self.shape.thread(of, mixed(look))?;
            let at = mixed(look + looks) % self.shape.events + 1;
            let began = Instant::now();
            ask(&thread, at)?;
            times.push(began.elapsed().as_secs_f64());
        }
        Ok(times)
    }

    /// A thread as of a position.
    fn past(&self, thread: &ThreadId, at: u64) -> Result<()> {
        black_box(as_of(self.reader, Scope::Thread(thread), Position::Log(Size::new(at)))?);
        Ok(())
    }
}
