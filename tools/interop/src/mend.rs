//! Text that other readers take for JSON, made such that ours takes it too.
//!
//! Writers are laxer than the parser: JavaScript writes a string that was cut inside an emoji as
//! half a surrogate pair, and some put raw line breaks into strings. Mending changes nothing but
//! those, and it gives the same for the same bytes, so that a record can be read again.

use std::{borrow::Cow, fmt::Write as _};

/// The record in `bytes`: without NULs and other damage in front, with U+FFFD for what is no text,
/// and with strings that the parser takes. Borrowed when there is nothing to mend.
pub(crate) fn record(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => json(text),
        Cow::Owned(text) => Cow::Owned(json(&text).into_owned()),
    }
}

/// JSON text with half surrogate pairs replaced, and control characters in strings escaped.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let halves = text.contains("\\ud") || text.contains("\\uD");
    let raw = text.bytes().any(|byte| byte < b' ');
    if halves || raw { Cow::Owned(mended(text)) } else { Cow::Borrowed(text) }
}

fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut inside = false;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let taken = match from.as_bytes() {
            [b'"', ..] => {
                inside = !inside;
                out.push('"');
                1
            }
            [b'\\', b'u', ..] if inside => escape(from, &mut out),
            [b'\\', ..] => {
                // An escape is two characters; the second may be a quote.
                let len = from.chars().take(2).map(char::len_utf8).sum();
                out.push_str(from.get(..len).unwrap_or(from));
                len
            }
            [control, ..] => {
                if inside {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{control:04x}");
                } else {
                    out.push(char::from(*control));
                }
                1
            }
            [] => break,
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Copies `\uXXXX`, or the pair that it begins, and answers how many bytes that was; half a pair
/// becomes U+FFFD.
fn escape(from: &str, out: &mut String) -> usize {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(from) {
        Some(high) if (0xd800..0xdc00).contains(&high) => {
            let low = from.get(6..).and_then(unit);
            if low.is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                out.push_str(from.get(..12).unwrap_or_default());
                12
            } else {
                out.push_str("\\ufffd");
                6
            }
        }
        Some(low) if (0xdc00..0xe000).contains(&low) => {
            out.push_str("\\ufffd");
            6
        }
        Some(_) => {
            out.push_str(from.get(..6).unwrap_or_default());
            6
        }
        None => {
            out.push_str("\\u");
            2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(text: &str) -> String {
        serde_json::from_str(&json(text)).unwrap()
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_and_a_whole_one_stays() {
        assert_eq!(back(r#""a\ud83d""#), "a\u{fffd}");
        assert_eq!(back(r#""\udc00b\uD83D\u0041""#), "\u{fffd}b\u{fffd}A");
        assert_eq!(back(r#""\ud83d\ude00""#), "\u{1f600}");
        assert_eq!(back(r#""\\ud83d""#), "\\ud83d", "an escaped backslash is no escape");
    }

    #[test]
    fn line_breaks_in_a_string_are_part_of_it() {
        assert_eq!(back("\"one\ntwo\tthree\""), "one\ntwo\tthree");
        assert!(matches!(json("{\"a\":1}"), Cow::Borrowed(_)));
        let value: serde_json::Value = serde_json::from_str(&json("{\n\"a\":\n\"b\n\"}")).unwrap();
        assert_eq!(value["a"], "b\n");
    }

    #[test]
    fn any_bytes_are_mended_without_a_panic() {
        for text in ["\"\\u", "\"\\ud8", "\"\\ud83d\\u", "\"\\", "\\u00e9", "\"\\u\u{e9}\u{e9}\""] {
            let _ = json(text);
        }
        assert_eq!(record(b"\"\xff\""), "\"\u{fffd}\"");
    }
}
