//! JSON that means the same and holds nothing that acts on a terminal.
//!
//! Hostile characters can only stand in strings, where `\uXXXX` means the same.

use crate::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// One line of JSON.
///
/// # Errors
/// What the serializer said.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    Ok(safe(&serde_json::to_string(value)?))
}

/// The same over several lines, indented.
///
/// # Errors
/// What the serializer said.
pub fn to_string_pretty<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    Ok(safe(&serde_json::to_string_pretty(value)?))
}

/// The same JSON, with what is hostile in it as `\uXXXX`. O(bytes).
#[must_use]
pub fn safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !escape::is_hostile(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_holds_nothing_that_acts_on_a_terminal() {
        let hostile = "a\u{9b}2J\u{202e}\u{7f}\u{e0041}\u{1b}\n\u{4e16}";
        let text = to_string(hostile).unwrap();
        assert!(!text.contains(escape::is_hostile), "{text}");
        assert!(text.contains('\u{4e16}'));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
