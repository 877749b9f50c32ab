//! The number of an event, as an argument.

use taskledger::ids::Seq;

/// Reads an event's number, with or without `#`.
pub fn seq(text: &str) -> Result<Seq, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse().ok();
    number.and_then(Seq::new).ok_or_else(|| "expected the number of an event, from 1".to_owned())
}
