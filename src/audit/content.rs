//! The contents of one frame, without the frames before it.

use crate::{
    codec::{self, DecodeError},
    event::{Entry, PartSet},
    proof::leaf_hash,
};

/// A frame that can be read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) entry: Entry,
    pub(super) leaf_hash: [u8; 32],
    /// The mismatch between its texts and the commitments of its event, if there is one.
    pub(super) other_text: Option<DecodeError>,
}

impl Content {
    /// Decodes a frame and hashes its leaf and its texts. O(bytes).
    pub(super) fn of(frame: &[u8]) -> Result<Self, DecodeError> {
        let entry = codec::decode(frame)?;
        let leaf_hash = leaf_hash(codec::leaf(frame)?);
        let other_text = codec::check_parts(&entry).err();
        Ok(Self { entry, leaf_hash, other_text })
    }

    /// The texts that its event commits to and that are missing.
    pub(super) fn gone(&self) -> PartSet {
        let gone = self.entry.parts.iter().filter(|part| part.body.is_none());
        gone.map(|part| part.kind).collect()
    }
}
