//! How long something took, by the clock on the wall and by the processor.

use crate::figures::float;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// A running measurement.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

/// A finished one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// Of all threads of this process together.
    pub(crate) cpu: Duration,
}

impl Took {
    pub(crate) fn seconds(&self) -> f64 {
        self.wall.as_secs_f64().max(f64::EPSILON)
    }

    /// So many of them a second.
    pub(crate) fn rate(&self, count: u64) -> f64 {
        float(count) / self.seconds()
    }
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// So far.
    pub(crate) fn wall(&self) -> Duration {
        self.wall.elapsed()
    }

    pub(crate) fn stop(&self) -> Took {
        Took { wall: self.wall.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

/// What this process has used of the processors so far.
fn cpu() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(tv_nsec).unwrap_or(0))
}
