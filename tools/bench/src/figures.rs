//! One figure of several rounds: its median, its range, and ratios to another of the same rounds.

use std::fmt;

/// A figure in every round, in the order of the rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle one; of an even number, the lower of the two.
    pub(crate) fn median(&self) -> f64 {
        self.share(50)
    }

    /// The one that so many percent of them do not reach.
    pub(crate) fn share(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
        let place = if percent == 50 { sorted.len().saturating_sub(1) / 2 } else { place };
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The least and the most.
    pub(crate) fn range(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// Each divided by the other's of the same round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, other)| this / other).collect())
    }

    /// Each as something else.
    pub(crate) fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(of).collect())
    }

    /// The range as a report shows it.
    pub(crate) fn span(&self, show: impl Fn(f64) -> String) -> String {
        let (least, most) = self.range();
        format!("{} to {}", show(least), show(most))
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

/// A rate, short enough to compare.
pub(crate) fn count(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// A time, in the unit that suits it.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.1 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds >= 1e-5 => format!("{:.0} us", seconds * 1e6),
        seconds if seconds >= 1e-6 => format!("{:.1} us", seconds * 1e6),
        seconds => format!("{:.0} ns", seconds * 1e9),
    }
}

/// How many times as much, short enough to compare.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio.is_nan() => "-".to_owned(),
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio => format!("{ratio:.0}"),
    }
}

/// A number of events or tasks, as people write it.
pub(crate) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// For people: what is lost by it does not show.
#[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// As [`float`], of a length.
pub(crate) fn length(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", times(self.median()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_the_edges_and_the_ratios_of_rounds_are_reported() {
        let figures: Figures = [3.0, 1.0, 4.0, 2.0].into_iter().collect();
        assert!((figures.median() - 2.0).abs() < 1e-9);
        assert!((figures.share(99) - 4.0).abs() < 1e-9);
        assert_eq!(figures.range(), (1.0, 4.0));
        let other: Figures = [6.0, 1.0, 2.0, 1.0].into_iter().collect();
        let ratios = figures.over(&other);
        assert_eq!(ratios.range(), (0.5, 2.0));
        assert!((ratios.median() - 1.0).abs() < 1e-9, "by round, not of the medians");
    }

    #[test]
    fn numbers_are_shown_in_the_unit_that_suits_them() {
        assert_eq!([count(999.4), count(1_500.0), count(12_345.0)], ["999", "1.5k", "12k"]);
        assert_eq!(
            [time(2.5), time(0.012), time(2e-5), time(5e-8)],
            ["2.50 s", "12.0 ms", "20 us", "50 ns"]
        );
        assert_eq!([whole(1_000), whole(999), whole(10_000_000)], ["1,000", "999", "10,000,000"]);
    }
}
