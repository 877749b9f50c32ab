//! Callers that append to one store for a while, and how long each of their appends took.

use super::sample::Sample;
use anyhow::{Result, anyhow};
use std::{
    fmt,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// How a store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Threads that append.
    pub(crate) callers: usize,
    /// Appends that a caller has begun and not seen acknowledged.
    pub(crate) outstanding: usize,
    /// Events in one append.
    pub(crate) batch: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callers, outstanding, batch } = self;
        write!(f, "{callers} caller{}", if *callers == 1 { "" } else { "s" })?;
        match (outstanding, batch) {
            (1, 1) => write!(f, ", each waits for every append"),
            (_, 1) => write!(f, ", {outstanding} appends outstanding"),
            _ => write!(f, ", batches of {batch}"),
        }
    }
}

/// A store that many can append to at once.
pub(crate) trait Contestant: Sync {
    /// What thread number `caller` appends with.
    fn caller(&self, caller: usize) -> Result<Box<dyn Caller + '_>>;
}

/// One caller's view of a store.
pub(crate) trait Caller {
    /// Appends until it is `until`, as `load` says, and gives `done` how long each append took.
    fn append(&mut self, load: Load, until: Instant, done: &mut dyn FnMut(Duration)) -> Result<()>;
}

/// Starts all callers at the same moment and waits for them.
pub(crate) fn run(contestant: &dyn Contestant, load: Load, each: Duration) -> Result<Sample> {
    let start = Barrier::new(load.callers + 1);
    let (began, times) = thread::scope(|scope| {
        let callers: Vec<_> = (0..load.callers)
            .map(|number| {
                let start = &start;
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
