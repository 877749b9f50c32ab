//! Task ids with a number, `bg_0`, `bg_1`, ..: the ids that the writer assigns.

/// The first number that no id can have: 2^53. All smaller numbers are exact in JSON.
pub const NUMBER_END: u64 = 1 << 53;

/// The number of an id `bg_n`; `Some(None)` if it looks like one but has a leading zero or is not
/// below [`NUMBER_END`]. `None` for every other id.
#[must_use]
pub fn number_of(id: &str) -> Option<Option<u64>> {
    let digits = id.strip_prefix("bg_")?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let canonical = digits == "0" || !digits.starts_with('0');
    Some(digits.parse().ok().filter(|number| canonical && *number < NUMBER_END))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling_and_an_end() {
        assert_eq!(number_of("bg_0"), Some(Some(0)));
        assert_eq!(number_of("bg_9007199254740991"), Some(Some(NUMBER_END - 1)));
        assert_eq!(number_of("bg_9007199254740992"), Some(None));
        assert_eq!(number_of("bg_99999999999999999999999"), Some(None));
        assert_eq!(number_of("bg_01"), Some(None));
        assert_eq!(number_of("bg_00"), Some(None));
    }

    #[test]
    fn other_ids_have_no_number() {
        for id in
            ["bg_", "bg_x", "bg_1x", "bg_+1", "bg_-1", "bg 1", "toolu_1", "BG_1", "bg_\u{0661}"]
        {
            assert_eq!(number_of(id), None, "{id}");
        }
    }
}
