//! Lines on standard error.

use std::io::{self, Write as _};

/// Writes one line to standard error. If that fails, nobody is left to be told.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
