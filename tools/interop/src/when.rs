//! Times of recordings: RFC 3339, truncated to milliseconds.

use taskledger::time::Millis;

/// The time, or `None` if the text is none that a ledger can hold.
pub(crate) fn parse(text: &str) -> Option<Millis> {
    let time: jiff::Timestamp = text.parse().ok()?;
    // Truncated, not rounded: a sub-millisecond rest must not move an event past its neighbour.
    u64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_truncated_to_milliseconds_and_brought_to_utc() {
        assert_eq!(parse("2026-01-01T00:00:00.123999Z"), Some(Millis(1_767_225_600_123)));
        assert_eq!(parse("2026-01-01T01:00:00+01:00"), Some(Millis(1_767_225_600_000)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
