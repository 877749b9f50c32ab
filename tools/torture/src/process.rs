//! Memory, descriptors and threads of a process: looked at now and then, and flat once it is warm.

use anyhow::{Context, Result, ensure};
use std::fs;

/// Memory beyond that of a warm process that is still flat, in percent: a snapshot is made now and
/// then.
const GROWTH_PERCENT: u64 = 15;
/// And in kB, for what is small.
const GROWTH_KB: u64 = 24 << 10;

/// The memory, descriptors and threads of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) memory_kb: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl Sample {
    /// Of the process with this id.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).context("/proc is not as it was")
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self {
            memory_kb: number("VmRSS:")?,
            descriptors: u64::try_from(descriptors)?,
            threads: number("Threads:")?,
        })
    }

    /// The median of each.
    pub(crate) fn typical(samples: &[Self]) -> Self {
        let median = |of: fn(&Self) -> u64| {
            let mut all: Vec<_> = samples.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0)
        };
        Self {
            memory_kb: median(|sample| sample.memory_kb),
            descriptors: median(|sample| sample.descriptors),
            threads: median(|sample| sample.threads),
        }
    }
}

/// Fails if a process takes more at last than at first.
pub(crate) fn flat(first: Sample, last: Sample) -> Result<()> {
    let of_first = first.memory_kb * (100 + GROWTH_PERCENT) / 100;
    let bound = of_first.max(first.memory_kb + GROWTH_KB);
    ensure!(last.memory_kb <= bound, "memory grows: {first:?}, then {last:?}");
    ensure!(last.descriptors <= first.descriptors + 2, "descriptors: {first:?}, then {last:?}");
    // A pool of threads that read is as large as the load makes it.
    let threads = first.threads + (first.threads / 8).max(1);
    ensure!(last.threads <= threads, "threads: {first:?}, then {last:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taking(memory_kb: u64, descriptors: u64, threads: u64) -> Sample {
        Sample { memory_kb, descriptors, threads }
    }

    #[test]
    fn what_grows_is_noticed() {
        let warm = taking(100_000, 12, 13);
        flat(warm, warm).unwrap();
        flat(warm, taking(110_000, 13, 13)).unwrap();
        for last in [taking(140_000, 12, 13), taking(100_000, 20, 13), taking(100_000, 12, 20)] {
            flat(warm, last).unwrap_err();
        }
    }

    #[test]
    fn what_is_typical_is_in_the_middle() {
        let samples = [taking(9, 3, 3), taking(1, 1, 1), taking(2, 2, 2)];
        assert_eq!(Sample::typical(&samples), taking(2, 2, 2));
    }
}
