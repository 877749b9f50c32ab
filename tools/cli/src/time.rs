//! Times as they are shown.
//!
//! Knows nothing of ledgers beyond [`Millis`]; reads no clock.

use crate::term::{Look, TimeStyle};
use taskledger::{query::format_time, time::Millis};

/// `at` as the user asked for it.
pub fn show(at: Millis, look: &Look) -> String {
    match look.time {
        TimeStyle::Iso => format_time(at),
        TimeStyle::UnixMs => at.0.to_string(),
        TimeStyle::Relative if at <= look.now => format!("{} ago", span(look.now.0 - at.0)),
        TimeStyle::Relative => format!("in {}", span(at.0 - look.now.0)),
    }
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
    use taskledger_contract::escape::Charset;

    fn look(time: TimeStyle) -> Look {
        let now = Millis(1_700_000_090_000);
        let (color, charset, width) = (false, Charset::Ascii, None);
        Look { color, charset, width, terminal: false, redraws: false, time, now }
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
    fn a_span_has_at_most_two_units() {
        assert_eq!(span(999), "999ms");
        assert_eq!(span(12_000), "12s");
        assert_eq!(span(3_600_000), "1h");
        assert_eq!(span(93_784_000), "1d2h");
        assert_eq!(span(86_400_000 + 60_000), "1d");
    }
}
