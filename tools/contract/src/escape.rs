//! Hostile text, made safe to show.
//!
//! Whatever a task says (names, descriptions, errors) may hold terminal escapes, bidirectional
//! overrides or characters that take no room. It is stored exactly, and shown so that a reader
//! sees what is there. Knows nothing of tasks. Start at [`escape`].

use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar;

/// Shows what a line break is, on terminals that can.
const LINE_BREAK: char = '\u{23ce}';

/// What a terminal can be trusted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Unicode,
    /// Anything else: every other character is escaped. The bytes of UTF-8 would be taken for
    /// control characters by some 8-bit terminals.
    Ascii,
}

/// `text` on one line, in which nothing acts on the terminal and nothing hides.
pub fn escape(text: &str, charset: Charset) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        push(&mut safe, c, before, charset);
        before = Some(c);
    }
    safe
}

fn push(safe: &mut String, c: char, before: Option<char>, charset: Charset) {
    match (c, charset) {
        ('\n', Charset::Unicode) => safe.push(LINE_BREAK),
        ('\n', Charset::Ascii) => safe.push_str("\\n"),
        ('\r', _) => safe.push_str("\\r"),
        ('\t', _) => safe.push_str("\\t"),
        // An emoji that is asked to be shown in colour; anywhere else it would hide data.
        ('\u{fe0f}', Charset::Unicode) if before.is_some_and(is_symbol) => safe.push(c),
        (c, Charset::Ascii) if !c.is_ascii() => push_code(safe, c),
        (c, _) if is_hostile(c) => push_code(safe, c),
        (c, _) => safe.push(c),
    }
}

fn push_code(safe: &mut String, c: char) {
    // Writing to a string cannot fail.
    let _ = write!(safe, "{}", c.escape_unicode());
}

fn is_symbol(c: char) -> bool {
    !c.is_ascii() && !is_hostile(c) && c.width().unwrap_or(0) > 0
}

/// Whether this character acts on a terminal, reorders text, or takes no room without being part
/// of a letter.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' // zero width, marks of direction
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, bidirectional overrides
            | '\u{2060}'..='\u{206f}' // joiners, isolates
            | '\u{3164}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}' // interlinear annotation
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}') // tags: invisible ASCII
}

/// The columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text`, or as much of it as fits `columns` with a mark that it goes on. Never cuts through a
/// wide character.
pub fn cut(text: &str, columns: usize, charset: Charset) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mark = match charset {
        Charset::Unicode => "\u{2026}",
        Charset::Ascii => "...",
    };
    let mark = if width(mark) <= columns { mark } else { "" };
    let room = columns - width(mark);
    let mut taken = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= room
        })
        .collect();
    short.push_str(mark);
    short
}

/// `text` and as many spaces as it takes to fill `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shown(text: &str, as_: &str) {
        assert_eq!(escape(text, Charset::Unicode), as_);
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        shown("a\u{1b}[2Jb", "a\\u{1b}[2Jb");
        shown("\u{9b}31m", "\\u{9b}31m");
        shown("bell\u{7}", "bell\\u{7}");
        shown("one\r\ntwo\tthree", "one\\r\u{23ce}two\\tthree");
    }

    #[test]
    fn nothing_reorders_or_hides() {
        shown("user\u{202e}nimda", "user\\u{202e}nimda");
        shown("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}");
        shown("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}");
        shown("x\u{e0041}", "x\\u{e0041}");
        shown("x\u{fe0f}", "x\\u{fe0f}");
    }

    #[test]
    fn letters_and_symbols_of_the_world_stay() {
        shown(
            "d\u{e9}j\u{e0} \u{4e16}\u{754c} e\u{301} \u{26a0}\u{fe0f}",
            "d\u{e9}j\u{e0} \u{4e16}\u{754c} e\u{301} \u{26a0}\u{fe0f}",
        );
    }

    #[test]
    fn a_terminal_without_utf8_gets_ascii_alone() {
        assert_eq!(escape("\u{4e16}\n\u{e9}", Charset::Ascii), "\\u{4e16}\\n\\u{e9}");
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(cut("abcdef", 4, Charset::Unicode), "abc\u{2026}");
        assert_eq!(cut("abcdef", 4, Charset::Ascii), "a...");
        assert_eq!(cut("abcdef", 2, Charset::Ascii), "ab");
        assert_eq!(cut("\u{4e16}\u{754c}\u{4e16}", 4, Charset::Unicode), "\u{4e16}\u{2026}");
        assert_eq!(cut("abc", 3, Charset::Unicode), "abc");
        assert_eq!(width("\u{4e16}e\u{301}"), 3);
    }
}
