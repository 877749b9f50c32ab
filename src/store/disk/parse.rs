//! The parsers of the store's own files, over bytes in memory, for fuzzers only.
//!
//! Bytes that are no such file give `None`, for any fault.

use crate::{
    ids::Seq,
    store::{
        Identity, block,
        disk::files::{
            archive::Archive,
            head::{self, HeadRecord, Slot},
            journal::{Header, file_name},
            node,
            scan::Scan,
            upto::Record,
        },
    },
};
use std::path::Path;

/// The frames in the whole groups of a journal.
#[must_use]
pub fn journal(bytes: &[u8]) -> Option<Vec<(Seq, Vec<u8>)>> {
    let header = Header::decode(bytes, Path::new("journal")).ok()?;
    let name = file_name(header.before.size.get());
    let scan = Scan::of(Path::new(&name), bytes.to_vec()).ok()?;
    Some(scan.frames().map(|(seq, frame)| (seq, frame.to_vec())).collect())
}

/// The record in a slot of `HEAD`, and its bytes.
#[must_use]
pub fn head_slot(bytes: &[u8]) -> Option<(HeadRecord, Vec<u8>)> {
    match head::read_slot(bytes, Path::new("HEAD")).ok()? {
        Slot::Valid(record) => Some((record, record.encode())),
        Slot::Blank | Slot::Bad => None,
    }
}

/// The bytes again of what stands beside sled.
#[must_use]
pub fn upto(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = Record::decode(bytes, Path::new("1.upto")).ok()??;
    Some(record.encode())
}

/// The identity in `NODE`, and its bytes.
#[must_use]
pub fn node(bytes: &[u8]) -> Option<(Identity, Vec<u8>)> {
    let identity = node::of_bytes(bytes, Path::new("NODE")).ok()?;
    Some((identity, node::encode(&identity)))
}

/// The frames of an archive file.
#[must_use]
pub fn archive(path: &Path) -> Option<Vec<Vec<u8>>> {
    let archive = Archive::open(path).ok()?;
    let mut frames = Vec::new();
    for chunk in archive.all_frames() {
        frames.extend(chunk.ok()?.iter().map(|(_, frame)| frame.to_vec()));
    }
    Some(frames)
}

/// The frames of a block in the form that sled holds, and the block that they are packed into.
#[must_use]
pub fn block(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let frames = block::unpack(Seq::FIRST, bytes)?;
    let frames: Vec<_> = frames.iter().map(|(_, frame)| frame.to_vec()).collect();
    let packed = block::pack(&frames).ok()?;
    Some((frames, packed))
}
