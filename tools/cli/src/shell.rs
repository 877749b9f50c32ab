//! Words as a shell takes them: for commands that are shown so that they can be repeated.

use std::path::MAIN_SEPARATOR;

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Words as a shell takes them.
pub fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// How this program was called, so that a command can be repeated as it is shown.
pub fn program() -> String {
    let called = std::env::args_os().next().and_then(|called| called.into_string().ok());
    let called = called.filter(|called| called.contains(MAIN_SEPARATOR));
    called.unwrap_or_else(|| "taskledger".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_a_shell() {
        assert_eq!(quoted("spawn:bg_1"), "spawn:bg_1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("#12"), "'#12'");
        assert_eq!(quoted(""), "''");
        assert_eq!(line(["sh", "-c", "exit 3"]), "sh -c 'exit 3'");
    }
}
