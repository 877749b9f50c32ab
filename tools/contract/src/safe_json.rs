//! JSON that means the same and holds nothing that acts on a terminal.
//!
//! Hostile characters can only stand in strings, where `\uXXXX` means the same.

use crate::escape;
use serde::Serialize;
use std::{fmt::Write as _, io};

/// One line of JSON.
///
/// # Errors
/// What the serializer said.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    Ok(safe(&serde_json::to_string(value)?))
}

/// The same as [`to_string`] gives, written piece by piece: it is never in memory as a whole.
///
/// # Errors
/// The error of the serializer or of `out`.
pub fn to_writer<T: Serialize + ?Sized>(out: impl io::Write, value: &T) -> serde_json::Result<()> {
    serde_json::to_writer(Safe(out), value)
}

/// The same as [`to_writer`], over several lines, indented.
///
/// # Errors
/// The error of the serializer or of `out`.
pub fn to_writer_pretty<T: Serialize + ?Sized>(
    out: impl io::Write,
    value: &T,
) -> serde_json::Result<()> {
    serde_json::to_writer_pretty(Safe(out), value)
}

/// Writes JSON on, made safe. The serializer gives text in pieces, and cuts none within a character.
struct Safe<W>(W);

impl<W: io::Write> io::Write for Safe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
            self.0.write_all(bytes)?;
        } else {
            let text = str::from_utf8(bytes).map_err(io::Error::other)?;
            // Part by part, so that a long text takes no second copy of itself.
            for part in parts(text) {
                self.0.write_all(safe(part).as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text in parts of some KiB.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    const PART_BYTES: usize = 8 << 10;
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
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
    fn what_is_written_piece_by_piece_is_the_same() {
        let long = "\u{4e16}\u{202e}x".repeat(9_000);
        let value =
            serde_json::json!({"a\u{ad}": [long, "\u{7f}\n", {"b": [], "c": {}}], "d": 1.5});
        let written = |pretty: bool| {
            let mut out = Vec::new();
            let done = if pretty {
                to_writer_pretty(&mut out, &value)
            } else {
                to_writer(&mut out, &value)
            };
            done.unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(false), safe(&serde_json::to_string(&value).unwrap()));
        assert_eq!(written(true), safe(&serde_json::to_string_pretty(&value).unwrap()));
    }

    #[test]
    fn json_means_the_same_and_holds_nothing_that_acts_on_a_terminal() {
        let hostile = "a\u{9b}2J\u{202e}\u{7f}\u{e0041}\u{1b}\n\u{4e16}";
        let text = to_string(hostile).unwrap();
        assert!(!text.contains(escape::is_hostile), "{text}");
        assert!(text.contains('\u{4e16}'));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
