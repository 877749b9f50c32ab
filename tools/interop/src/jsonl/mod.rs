//! The native format: one event of a ledger per line, as JSON. `docs/jsonl.md` describes it.
//!
//! [`EventLine`] is the shape; it is written from an entry and read back into a proposal. A shape
//! of its own, so that neither the events of the library nor their bytes depend on it.

mod read;
mod shape;

pub use shape::{
    CauseLine, EventLine, HostLine, OriginLine, ParentLine, RecordLine, RedactsLine, SCHEMA,
};

pub(crate) use read::{proposal, read};

use std::io::{self, Write};
use taskledger::event::Entry;

/// Writes `entry` as one line, with the newline. O(bytes).
///
/// # Errors
/// What the writer said.
pub fn write_event(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &EventLine::from(entry))?;
    out.write_all(b"\n")
}
