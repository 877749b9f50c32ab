//! Reading without sled: a block from the archive, or from a journal that is not archived yet.
//!
//! Slow, and used only when sled has failed: reads go on until the ledger is opened again or
//! rebuilt.

use super::{
    archive::{self, Archive},
    open::list_journals,
    scan::Scan,
    sector::wide,
    tail::BLOCK,
};
use crate::{ids::Seq, store::Error};
use std::path::Path;

/// The frames of the whole block that begins with `first`; `None` if they are not all there.
pub(super) fn block(root: &Path, first: Seq) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let mut block = Block { next: first.get(), end: first.get() + BLOCK, frames: Vec::new() };
    for path in archive::list(root)? {
        let reaches = archive::range_of(&path).is_some_and(|(_, last)| last.get() >= block.next);
        if !reaches || block.is_whole() {
            continue;
        }
        let archive = Archive::open(&path)?;
        let from = Seq::new(block.next).map_or(0, |seq| archive.chunk_of(seq));
        for chunk in from..archive.chunks() {
            if !block.is_whole() {
                archive.numbered(chunk)?.for_each(|(seq, frame)| block.add(seq, &frame));
            }
        }
    }
    for path in list_journals(root)? {
        if !block.is_whole() {
            Scan::read(&path)?.frames().for_each(|(seq, frame)| block.add(seq, frame));
        }
    }
    Ok(block.is_whole().then_some(block.frames))
}

struct Block {
    next: u64,
    end: u64,
    frames: Vec<Vec<u8>>,
}

impl Block {
    fn is_whole(&self) -> bool {
        wide(self.frames.len()) == BLOCK
    }

    /// Takes the frame if it is the next of the block.
    fn add(&mut self, seq: Seq, frame: &[u8]) {
        if seq.get() == self.next && self.next < self.end {
            self.frames.push(frame.to_vec());
            self.next += 1;
        }
    }
}
