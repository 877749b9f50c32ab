//! What one run of one contestant gave.

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
        let rate = crate::report::float(times.len() * batch) / took.as_secs_f64();
        Self { rate, p50: at(50), p99: at(99) }
    }
}

/// The middle one; of an even number, the lower of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
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
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.0).abs() < 1e-9);
    }
}
