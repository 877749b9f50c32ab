//! Times as they are shown.
//!
//! Knows nothing of ledgers beyond [`Millis`]; reads no clock.

use crate::term::Look;
use clap::ValueEnum;
use jiff::Timestamp;
use taskledger::time::Millis;

/// How times are shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
    /// How long ago: `3m ago`.
    Relative,
    /// RFC 3339 in UTC, to the millisecond.
    Iso,
    /// Milliseconds since 1970.
    UnixMs,
}

/// `at` as the user asked for it.
pub fn show(at: Millis, look: &Look) -> String {
    match look.time {
        TimeStyle::Iso => iso(at),
        TimeStyle::UnixMs => at.0.to_string(),
        TimeStyle::Relative if at <= look.now => format!("{} ago", span(look.now.0 - at.0)),
        TimeStyle::Relative => format!("in {}", span(at.0 - look.now.0)),
    }
}

/// RFC 3339 in UTC with three digits of a second; what no calendar holds is said in milliseconds.
pub fn iso(at: Millis) -> String {
    let stamp = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| at.to_string(), |stamp| format!("{stamp:.3}"))
}

/// A length of time in its two largest units: `1h4m`, `12s`, `300ms`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let Some(at) = UNITS.iter().position(|(unit, _)| ms >= *unit) else {
        return format!("{ms}ms");
    };
    let mut shown = String::new();
    let mut rest = ms;
    for (unit, name) in UNITS.iter().skip(at).take(2) {
        if rest >= *unit {
            shown = format!("{shown}{}{name}", rest / unit);
        }
        rest %= unit;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::Charset;

    fn look(time: TimeStyle) -> Look {
        let now = Millis(1_700_000_090_000);
        Look { color: false, charset: Charset::Ascii, width: None, terminal: false, time, now }
    }

    #[test]
    fn a_moment_is_shown_as_asked() {
        let at = Millis(1_700_000_000_123);
        assert_eq!(show(at, &look(TimeStyle::Iso)), "2023-11-14T22:13:20.123Z");
        assert_eq!(show(at, &look(TimeStyle::UnixMs)), "1700000000123");
        assert_eq!(show(at, &look(TimeStyle::Relative)), "1m29s ago");
        let later = Millis(1_700_000_093_000);
        assert_eq!(show(later, &look(TimeStyle::Relative)), "in 3s");
    }

    #[test]
    fn a_moment_that_no_calendar_holds_is_still_shown() {
        assert_eq!(iso(Millis(u64::MAX)), format!("{} ms", u64::MAX));
        assert_eq!(iso(Millis(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_span_has_at_most_two_units() {
        assert_eq!(span(999), "999ms");
        assert_eq!(span(12_000), "12s");
        assert_eq!(span(3_600_000), "1h");
        assert_eq!(span(93_784_000), "1d2h");
        assert_eq!(span(86_400_000 + 60_000), "1d");
    }
}
