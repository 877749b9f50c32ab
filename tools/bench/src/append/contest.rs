//! Callers that append to one store for a while, and how long each of their appends took.

use super::sample::Sample;
use anyhow::{Context as _, Result, anyhow};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How a store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Threads, or tasks, that append.
    pub(crate) callers: usize,
    /// True if a caller is a task of a runtime, which awaits; else it is a thread, which waits.
    pub(crate) tasks: bool,
    /// Appends that a caller has begun and not seen acknowledged.
    pub(crate) outstanding: usize,
    /// Events in one append.
    pub(crate) batch: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callers, tasks, outstanding, batch } = self;
        let what = if *tasks { "task" } else { "caller" };
        write!(f, "{callers} {what}{}", if *callers == 1 { "" } else { "s" })?;
        match (outstanding, batch) {
            _ if *tasks => write!(f, ", each awaits every append"),
            (1, 1) => write!(f, ", each waits for every append"),
            (_, 1) => write!(f, ", {outstanding} appends outstanding"),
            _ => write!(f, ", batches of {batch}"),
        }
    }
}

/// A store that many can append to at once.
pub(crate) trait Contestant: Send + Sync {
    /// What thread number `caller` appends with.
    fn caller(&self, caller: usize) -> Result<Box<dyn Caller + '_>>;

    /// The append number `nth`, from 0, of task number `caller`. Nothing is appended before it is
    /// awaited.
    fn append(&self, caller: usize, nth: usize, batch: usize) -> Result<Appending>;
}

/// An append of a task.
pub(crate) type Appending = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One caller's view of a store.
pub(crate) trait Caller {
    /// Appends until it is `until`, as `load` says, and gives `done` how long each append took.
    fn append(&mut self, load: Load, until: Instant, done: &mut dyn FnMut(Duration)) -> Result<()>;
}

/// Starts all callers at the same moment and waits for them.
pub(crate) fn run(contestant: Box<dyn Contestant>, load: Load, each: Duration) -> Result<Sample> {
    if load.tasks {
        return run_tasks(&Arc::from(contestant), load, each);
    }
    let start = Barrier::new(load.callers + 1);
    let (began, times) = thread::scope(|scope| {
        let callers: Vec<_> = (0..load.callers)
            .map(|number| {
                let (contestant, start) = (&contestant, &start);
                scope.spawn(move || {
                    let caller = contestant.caller(number);
                    start.wait();
                    let mut times = Vec::new();
                    caller?.append(load, Instant::now() + each, &mut |took| times.push(took))?;
                    Ok::<_, anyhow::Error>(times)
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        Ok::<_, anyhow::Error>((began, times))
    })?;
    Ok(Sample::of(times, load.batch, began.elapsed()))
}

fn run_tasks(contestant: &Arc<dyn Contestant>, load: Load, each: Duration) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    runtime.block_on(async {
        let start = Arc::new(tokio::sync::Barrier::new(load.callers + 1));
        let mut callers = JoinSet::new();
        for number in 0..load.callers {
            let (contestant, start) = (Arc::clone(contestant), Arc::clone(&start));
            callers.spawn(async move {
                start.wait().await;
                let (until, mut times) = (Instant::now() + each, Vec::new());
                while Instant::now() < until {
                    let append = contestant.append(number, times.len(), load.batch)?;
                    let began = Instant::now();
                    append.await?;
                    times.push(began.elapsed());
                }
                Ok::<_, anyhow::Error>(times)
            });
        }
        start.wait().await;
        let (began, mut times) = (Instant::now(), Vec::new());
        while let Some(ended) = callers.join_next().await {
            times.extend(ended.context("a caller panicked")??);
        }
        Ok(Sample::of(times, load.batch, began.elapsed()))
    })
}
