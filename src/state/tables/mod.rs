//! A state as tables, which can be read in part.
//!
//! A table is rows with a number, from 0; a section is some of them, one after another. The rows of
//! some tables all have one width, so that one of them is read without those before it. Tables that
//! only help to find rows are made from the others: reading a whole state skips them.
//!
//! Knows neither files nor compression: sections are handed out, and asked for. Start reading at
//! [`Table`]; `write.rs` makes sections, `load.rs` makes a state of all of them, `part.rs` of some.

mod load;
mod part;
mod write;

pub(crate) use load::Loading;
pub(crate) use part::{Part, heads};

use super::DecodeError;
use std::sync::Arc;

/// The bytes after which a section ends with its row.
const SECTION_BYTES: usize = 64 << 10;

/// One kind of row. The order is that of their sections in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// One row: the newest time, the ledger, the incarnation.
    Heads,
    /// Event, number and nonce of each epoch.
    Epochs,
    /// Run and event of each request to stop a run, in order of the runs.
    RunMarks,
    /// Event, texts and task of each redaction, in order of the events.
    Redactions,
    /// The remembered keys and their events, oldest first.
    Keys,
    /// The threads, in order of creation.
    Threads,
    /// Thread and event of each request to stop a thread, ascending.
    Stops,
    /// The ids of the tasks, in order of creation.
    Ids,
    /// The rest of the tasks, in the same order.
    Tasks,
    /// The tasks of each thread, thread after thread.
    Lists,
    /// The threads in order of their ids.
    ThreadOrder,
    /// The tasks in order of their ids.
    TaskOrder,
}

impl Table {
    pub(crate) const ALL: [Self; 12] = [
        Self::Heads,
        Self::Epochs,
        Self::RunMarks,
        Self::Redactions,
        Self::Keys,
        Self::Threads,
        Self::Stops,
        Self::Ids,
        Self::Tasks,
        Self::Lists,
        Self::ThreadOrder,
        Self::TaskOrder,
    ];

    /// Its number in a snapshot.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Heads => 1,
            Self::Epochs => 2,
            Self::RunMarks => 3,
            Self::Redactions => 4,
            Self::Keys => 5,
            Self::Threads => 6,
            Self::Stops => 7,
            Self::Ids => 8,
            Self::Tasks => 9,
            Self::Lists => 10,
            Self::ThreadOrder => 11,
            Self::TaskOrder => 12,
        }
    }

    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }

    /// The most rows of a section.
    pub(crate) const fn rows_max(self) -> usize {
        match self {
            Self::Heads => 1,
            Self::Threads | Self::Tasks => 64,
            Self::Ids => 256,
            Self::Epochs | Self::RunMarks | Self::Redactions | Self::Keys | Self::Stops => 2_048,
            Self::Lists | Self::ThreadOrder | Self::TaskOrder => 4_096,
        }
    }

    /// The bytes of each row, if all rows have as many.
    pub(crate) const fn width(self) -> Option<usize> {
        match self {
            Self::Epochs | Self::Keys => Some(24),
            Self::Stops => Some(12),
            Self::Lists | Self::ThreadOrder | Self::TaskOrder => Some(4),
            Self::Heads
            | Self::RunMarks
            | Self::Redactions
            | Self::Threads
            | Self::Ids
            | Self::Tasks => None,
        }
    }

    /// True if a whole state is made without it.
    pub(crate) const fn only_finds(self) -> bool {
        matches!(self, Self::Lists | Self::ThreadOrder | Self::TaskOrder)
    }
}

/// Some rows of a table.
#[derive(Debug)]
pub(crate) struct Section {
    /// The number of its first row.
    pub(crate) first: u64,
    /// The number of its rows.
    pub(crate) count: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Section {
    /// The row with this number, in a table whose rows have `N` bytes.
    fn fixed<const N: usize>(&self, row: u64) -> Result<[u8; N], DecodeError> {
        let at = row.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let rest = at.and_then(|at| self.bytes.get(at.checked_mul(N)?..));
        let found = rest.and_then(|rest| rest.first_chunk());
        found.copied().ok_or(DecodeError::Truncated { at: self.bytes.len() })
    }
}

/// Sections that can be asked for.
pub(crate) trait Sections {
    type Error: From<DecodeError>;

    /// The number of rows of a table.
    fn rows(&self, table: Table) -> u64;

    /// The section that holds a row.
    ///
    /// # Errors
    /// If there is no such row, or its section cannot be read.
    fn holding(&self, table: Table, row: u64) -> Result<Arc<Section>, Self::Error>;
}

/// A number of rows or a row as the number of another kind. No memory holds more than fits.
fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
