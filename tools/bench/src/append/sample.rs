//! What one run of one contestant gave.

use crate::figures::length;
use std::time::Duration;

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Events a second.
    pub(crate) rate: f64,
    /// Of one append, in seconds.
    pub(crate) p50: f64,
    /// Of one append, in seconds.
    pub(crate) p99: f64,
}

impl Sample {
    pub(crate) fn of(mut times: Vec<Duration>, batch: usize, took: Duration) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(place).copied().unwrap_or_default().as_secs_f64()
        };
        let rate = length(times.len() * batch) / took.as_secs_f64();
        Self { rate, p50: at(50), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_what_was_measured_is_reported() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let sample = Sample::of(times, 2, Duration::from_secs(1));
        assert!((sample.rate - 200.0).abs() < 1e-9);
        assert!((sample.p50 - 0.051).abs() < 1e-9);
        assert!((sample.p99 - 0.1).abs() < 1e-9);
    }
}
