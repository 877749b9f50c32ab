//! Texts of recordings, held to the limits of the ledger: cut visibly, never in a character.

use std::{fmt::Write as _, sync::Arc};
use taskledger::event::{DESCRIPTION_BYTES_MAX, PART_BYTES_MAX};

const DESCRIPTION_MARK: &str = " [cut]";
/// Room for the mark of [`cut`], whatever the numbers in it.
const MARK_BYTES_MAX: usize = 64;

/// The longest start of `text` of at most `bytes_max` bytes that ends between characters.
pub(crate) fn clip(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// A description: cut at 4 KiB, with ` [cut]` at its end.
pub(crate) fn description(text: &str) -> Arc<str> {
    if text.len() <= DESCRIPTION_BYTES_MAX {
        return text.into();
    }
    let kept = clip(text, DESCRIPTION_BYTES_MAX - DESCRIPTION_MARK.len());
    format!("{kept}{DESCRIPTION_MARK}").into()
}

/// Any other text: cut at 1 MiB, with a line at its end that says so.
pub(crate) fn part(text: &str) -> Arc<str> {
    if text.len() <= PART_BYTES_MAX { text.into() } else { cut(text, PART_BYTES_MAX).into() }
}

/// A text as JSON text, of at most 1 MiB: what a ledger keeps as a result.
pub(crate) fn json_string(text: &str) -> Arc<str> {
    let whole = encode(text);
    if whole.len() <= PART_BYTES_MAX {
        return whole.into();
    }
    let room = PART_BYTES_MAX - 2 - MARK_BYTES_MAX;
    let mut len = 0;
    let kept = text.char_indices().find_map(|(at, c)| {
        len += encoded_len(c);
        (len > room).then_some(at)
    });
    encode(&marked(clip(text, kept.unwrap_or(text.len())), text.len())).into()
}

/// JSON text of a recording: as it stands, or, over 1 MiB, as a cut JSON string of itself.
pub(crate) fn json(raw: &str) -> Arc<str> {
    if raw.len() <= PART_BYTES_MAX { raw.into() } else { json_string(raw) }
}

fn cut(text: &str, bytes_max: usize) -> String {
    marked(clip(text, bytes_max - MARK_BYTES_MAX), text.len())
}

fn marked(kept: &str, whole: usize) -> String {
    let mut out = kept.to_owned();
    // Writing to a string cannot fail.
    let _ = write!(out, "\n[cut: {} of {whole} bytes]", kept.len());
    out
}

fn encode(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn encoded_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_within_its_limit_is_kept_as_it_is() {
        assert_eq!(&*description("short"), "short");
        assert_eq!(part(&"x".repeat(PART_BYTES_MAX)).len(), PART_BYTES_MAX);
        assert_eq!(&*json_string("a\"b"), r#""a\"b""#);
    }

    #[test]
    fn a_text_over_its_limit_is_cut_between_characters_and_says_so() {
        let text = "\u{1f980}".repeat(2_000);
        let kept = description(&text);
        assert!(kept.len() <= DESCRIPTION_BYTES_MAX && kept.ends_with("\u{1f980} [cut]"));

        let kept = part(&"\u{1f980}".repeat(300_000));
        assert!(kept.len() <= PART_BYTES_MAX && kept.ends_with(" of 1200000 bytes]"));
    }

    #[test]
    fn a_result_that_is_cut_is_still_json() {
        let kept = json_string(&"\u{1}\"\u{1f980}".repeat(300_000));
        assert!(kept.len() <= PART_BYTES_MAX);
        let back: String = serde_json::from_str(&kept).unwrap();
        assert!(back.ends_with(" bytes]"));
        assert!(
            serde_json::from_str::<String>(&json(&format!("[{}]", "1,".repeat(600_000)))).is_ok()
        );
    }
}
