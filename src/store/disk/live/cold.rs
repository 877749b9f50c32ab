//! Reading without sled: a block from the archive, or from a journal that is not archived yet.
//!
//! Slow, and used only after sled has failed: reads work until the ledger is opened again or
//! rebuilt.

use super::tail::BLOCK;
use crate::{
    ids::Seq,
    store::{
        Error,
        disk::files::{
            archive::{self, Archive},
            journal::list_journals,
            scan::Scan,
        },
        frames::{self, Frames},
    },
};
use std::path::Path;

/// The frames of the whole block that begins with `first`; `None` if they are not all there.
pub(crate) fn block(root: &Path, first: Seq) -> Result<Option<Frames>, Error> {
    let mut block = Block { next: first.get(), end: first.get() + BLOCK, bytes: Vec::new() };
    for path in archive::list(root)? {
        let reaches = archive::range_of(&path).is_some_and(|(_, last)| last.get() >= block.next);
        if !reaches || block.is_whole() {
            continue;
        }
        let archive = Archive::open(&path)?;
        let from = Seq::new(block.next).unwrap_or(first);
        for frames in archive.frames_from(from) {
            frames?.iter().for_each(|(seq, frame)| block.add(seq, frame));
            if block.is_whole() {
                break;
            }
        }
    }
    for path in list_journals(root)? {
        if !block.is_whole() {
            Scan::read(&path)?.frames().for_each(|(seq, frame)| block.add(seq, frame));
        }
    }
    Ok(if block.is_whole() { Frames::of(first, block.bytes) } else { None })
}

struct Block {
    next: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn is_whole(&self) -> bool {
        self.next == self.end
    }

    /// Takes the frame if it is the next of the block.
    fn add(&mut self, seq: Seq, frame: &[u8]) {
        let is_next = seq.get() == self.next && self.next < self.end;
        if is_next && frames::put(&mut self.bytes, frame).is_ok() {
            self.next += 1;
        }
    }
}
