//! An account of every line of a recording.

use std::{collections::BTreeMap, fmt};
use taskledger::ids::IdError;

/// The most broken lines of which the place and the reason are kept. All are counted.
pub const BAD_LINES_KEPT_MAX: usize = 1_000;

/// The most record types that are counted each by its name.
const UNKNOWN_TYPES_MAX: usize = 64;

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why it could not be used.
    pub why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

/// An account of every line of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that hold a record.
    pub records: u64,
    /// Lines that could not be used.
    pub malformed: u64,
    /// The first [`BAD_LINES_KEPT_MAX`] of them.
    pub bad_lines: Vec<BadLine>,
    /// Records of a type that is not known, by type.
    pub unknown: BTreeMap<String, u64>,
    /// Well-formed records that tell of something that cannot be placed, such as the end of a task
    /// that the recording does not start.
    pub skipped: u64,
    /// Bytes read in the first pass.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn bad(&mut self, file: &str, line: u64, why: impl Into<String>) {
        self.malformed += 1;
        if self.bad_lines.len() < BAD_LINES_KEPT_MAX {
            self.bad_lines.push(BadLine { file: file.to_owned(), line, why: why.into() });
        }
    }

    pub(crate) fn unknown(&mut self, kind: &str) {
        let kind = crate::text::clip(kind, 64);
        if let Some(count) = self.unknown.get_mut(kind) {
            *count += 1;
        } else if self.unknown.len() < UNKNOWN_TYPES_MAX {
            self.unknown.insert(kind.to_owned(), 1);
        } else {
            *self.unknown.entry("(other)".to_owned()).or_default() += 1;
        }
    }
}

/// Says of an identifier what is wrong with it, for the report of a bad line.
pub(crate) fn bad_id(what: &'static str) -> impl Fn(IdError) -> String {
    move |error| format!("{what}: {error}")
}
