//! Lines on standard error.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};
use taskledger_contract::escape::is_hostile;

/// Writes lines to standard error. Nothing in them acts on a terminal, since a server may have said it.
/// If it fails, nobody is left to be told.
pub fn note(text: &str) {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_hostile(c) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    note_styled(&safe);
}

/// The same of lines that are safe, and may have colours.
pub fn note_styled(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
