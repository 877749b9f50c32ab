//! Single events, quick where they lie near each other.

use super::{
    hashes::BLOCK_BYTES,
    reader::Reader,
    texts::{checked, withholding},
};
use crate::{
    event::{Entry, Event, Part},
    ids::{BLOCK_EVENTS, Seq},
    ledger::{ReadError, commit::shared::decode},
};
use std::sync::Arc;

/// Reads single events and keeps the block that the last one came from.
#[derive(Debug)]
pub struct Cursor<'a> {
    reader: &'a Reader,
    first: u64,
    frames: Vec<Vec<u8>>,
    /// The block that the last read was in.
    block: Option<u64>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(reader: &'a Reader) -> Self {
        Self { reader, first: 0, frames: Vec::new(), block: None }
    }

    /// Reads one event, like [`Reader::entry`].
    ///
    /// # Errors
    /// As [`Reader::entry`].
    pub fn entry(&mut self, seq: Seq) -> Result<Entry, ReadError> {
        let redacted = self.reader.shared().redacted(seq);
        checked(seq, self.frame(seq)?, redacted)
    }

    /// Reads one event without the texts beside it.
    ///
    /// # Errors
    /// As [`Reader::entry`], but none about a text.
    pub fn event(&mut self, seq: Seq) -> Result<Event, ReadError> {
        Ok(decode(seq, self.frame(seq)?)?.event)
    }

    /// Like [`entry`](Self::entry), but leaves out a text that is not what was recorded. Looks only
    /// at those that are `asked` for.
    pub(crate) fn entry_withholding(
        &mut self,
        seq: Seq,
        asked: fn(&Part) -> bool,
    ) -> Result<Entry, ReadError> {
        let shared = Arc::clone(self.reader.shared());
        withholding(seq, self.frame(seq)?, (shared.redacted(seq), asked), &shared.withheld)
    }

    fn frame(&mut self, seq: Seq) -> Result<&[u8], ReadError> {
        // The store also holds events that are written and not yet acknowledged: readers must not
        // see them.
        self.reader.check_size(seq.size())?;
        if self.cached(seq).is_none() {
            self.load(seq)?;
        }
        match self.cached(seq) {
            Some(frame) => Ok(frame),
            None => Err(ReadError::NoSuchEvent { seq, head: self.reader.head() }),
        }
    }

    fn cached(&self, seq: Seq) -> Option<&Vec<u8>> {
        let index = seq.get().checked_sub(self.first).filter(|_| self.first > 0)?;
        self.frames.get(usize::try_from(index).ok()?)
    }

    /// Reads the event alone, or its block if it is the second event read from there. So a walk
    /// over an interleaved thread does not read a block for one event, and a walk over neighbours
    /// reads one block for sixteen.
    fn load(&mut self, seq: Seq) -> Result<(), ReadError> {
        let log = &self.reader.shared().log;
        let block = seq.leaf_index() / BLOCK_EVENTS;
        if self.block == Some(block) {
            let start = Seq::new(block * BLOCK_EVENTS + 1).unwrap_or(seq);
            self.frames = log.read(start, BLOCK_BYTES)?;
            self.first = start.get();
        }
        if self.cached(seq).is_none() {
            self.frames = log.read(seq, 1)?;
            self.first = seq.get();
        }
        self.block = Some(block);
        Ok(())
    }
}
