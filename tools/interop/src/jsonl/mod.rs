//! The native format: one event of a ledger per line, as JSON. `docs/jsonl.md` describes it.
//!
//! [`EventLine`] is the shape; it is written from an entry and read back into a proposal. A shape
//! of its own, so that neither the events of the library nor their bytes depend on it.

mod read;
mod shape;

pub use shape::{
    CauseLine, EventLine, HostLine, OriginLine, ParentLine, RecordLine, RedactsLine, SCHEMA,
};

use crate::{
    error::ReadError,
    importer::{Export, Exporter, Importer},
    input::Input,
    lax::Str,
    options::{Progress, ReadOptions},
    recording::Recording,
};
use serde::Deserialize;
use std::io::{self, Write};
use taskledger::event::Entry;

const ID: &str = "jsonl";

/// The native format.
#[derive(Debug)]
pub(crate) struct Jsonl;

impl Importer for Jsonl {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> &'static str {
        "Events of a ledger, as `taskledger export jsonl` writes them"
    }

    fn detect(&self, line: &[u8]) -> bool {
        let look: Option<Look<'_>> = serde_json::from_slice(line).ok();
        look.is_some_and(|look| {
            look.schema.get().is_some_and(|schema| schema.starts_with("taskledger.event/"))
        })
    }

    fn read(
        &self,
        inputs: &[Input],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Recording, ReadError> {
        read::read(inputs, options, progress)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look<'a> {
    #[serde(borrow)]
    schema: Str<'a>,
}

impl Exporter for Jsonl {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> &'static str {
        "Events of a ledger"
    }

    fn write<'a>(&self, out: &'a mut dyn Write) -> Box<dyn Export + 'a> {
        Box::new(Lines { out, line: Vec::new() })
    }
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    line: Vec<u8>,
}

impl Export for Lines<'_> {
    fn event(&mut self, entry: &Entry) -> io::Result<()> {
        self.line.clear();
        write_event(&mut self.line, entry)?;
        self.out.write_all(&self.line)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `entry` as one line, with the newline. O(bytes).
///
/// # Errors
/// What the writer said.
pub fn write_event(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &EventLine::from(entry))?;
    out.write_all(b"\n")
}
