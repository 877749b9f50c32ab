//! A place in the log, from which a reader goes on by itself.
//!
//! It keeps a tree of its own, since the root after an event is what a client comes back with: the
//! number alone would not tell a log that was replaced by another one of the same length. Blocks on
//! the disk. Start reading at [`Place::fill`].

use crate::{
    feed::Item,
    rooms::Taken,
    text::{Form, Room, Text},
    wanted::{Subject, Wanted},
};
use axum::body::Bytes;
use taskledger::{
    codec,
    event::{Entry, PartSet},
    ids::{Head, Seq, Size},
    ledger::{ReadError, Reader},
    proof::{Tree, leaf_hash},
};
use taskledger_contract::questions::AskError;

/// The number of bytes that are read at once: some 100 events, which make about half the share of a
/// stream.
const READ_BYTES: usize = 16 << 10;

/// A place in the log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    tree: Tree,
}

/// The next events as a piece of a stream.
#[derive(Debug)]
pub(crate) enum Filled {
    /// Those that are wanted of some events; none of these may be.
    Piece(Bytes),
    /// The next event is large: it needs so many bytes of room first.
    NoRoom(usize),
}

impl Place {
    /// The place after `after`, which a client has seen. O(log size) reads.
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history;
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub(crate) fn after(reader: &Reader, after: Head) -> Result<Self, ReadError> {
        let place = Self::at(reader, after.size)?;
        if place.tree.root() != after.root {
            return Err(ReadError::OtherHistory { expected: after, found: place.tree.root() });
        }
        Ok(place)
    }

    /// The place after the first `size` events. O(log size) reads.
    ///
    /// # Errors
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub(crate) fn at(reader: &Reader, size: Size) -> Result<Self, ReadError> {
        Ok(Self { tree: reader.tree_at(size)? })
    }

    pub(crate) fn size(&self) -> Size {
        self.tree.size()
    }

    /// The log up to the last event that was looked at. O(log size) hashes.
    pub(crate) fn head(&self) -> Head {
        self.tree.head()
    }

    /// Looks at the next events, of those that are durable, and writes those that are wanted: each
    /// exactly once, in order, at most a share of a stream or one event alone. Looks at none if there
    /// are none. `held` is room that was taken for the first one.
    ///
    /// # Errors
    /// [`AskError`]; then the place holds no more.
    pub(crate) fn fill(
        &mut self,
        reader: &Reader,
        (wanted, form): (&Wanted, Form),
        room: &Room,
        mut held: Option<Taken>,
    ) -> Result<Filled, AskError> {
        let mut piece = Vec::new();
        for event in read(reader, self.size())? {
            let Read { entry, leaf, frame_bytes, .. } = event?;
            if !wanted.passes(&Subject::of(&entry.event)) {
                self.tree.push_hash(leaf);
                continue;
            }
            let (mut taken, mut before) = (None, None);
            if let Some(needed) = room.needed(frame_bytes) {
                let held = held.take().filter(|held| held.units() >= needed);
                taken = held.or_else(|| room.try_take(needed));
                if taken.is_none() && piece.is_empty() {
                    return Ok(Filled::NoRoom(needed));
                } else if taken.is_none() {
                    break;
                }
                before = Some(self.tree.clone());
            }
            self.tree.push_hash(leaf);
            let text = Text::new(&entry, self.head(), taken)?.of(form);
            if let Some(before) = before
                && text.len() > room.half_share()
            {
                if piece.is_empty() {
                    return Ok(Filled::Piece(text));
                }
                self.tree = before; // a large one goes alone: next time
                break;
            }
            piece.extend_from_slice(&text);
            if piece.len() >= room.half_share() {
                break;
            }
        }
        Ok(Filled::Piece(piece.into()))
    }

    /// Looks at the next events, of those that are durable, for all streams: with the text of those
    /// that `is_wanted` says a stream wants, if there is room for it.
    ///
    /// # Errors
    /// [`AskError`]; then the place holds no more.
    pub(crate) fn items(
        &mut self,
        reader: &Reader,
        is_wanted: impl Fn(&Subject) -> bool,
        room: &Room,
    ) -> Result<Vec<Item>, AskError> {
        let mut items = Vec::new();
        for event in read(reader, self.size())? {
            let Read { entry, redacted, leaf, frame_bytes } = event?;
            self.tree.push_hash(leaf);
            let subject = Subject::of(&entry.event);
            let text = if is_wanted(&subject) {
                let needed = room.needed(frame_bytes);
                let taken = needed.and_then(|needed| room.try_take(needed));
                let has_room = needed.is_some() == taken.is_some();
                has_room.then(|| Text::new(&entry, self.head(), taken)).transpose()?
            } else {
                None
            };
            items.push(Item { size: self.size(), subject, redacted, text });
        }
        Ok(items)
    }
}

/// An event as it was read.
struct Read {
    /// Without the texts that are redacted.
    entry: Entry,
    redacted: PartSet,
    leaf: [u8; 32],
    frame_bytes: usize,
}

/// Reads the next durable events after the first `size`.
fn read(
    reader: &Reader,
    size: Size,
) -> Result<impl Iterator<Item = Result<Read, AskError>>, ReadError> {
    let next = size.next_seq().unwrap_or(Seq::FIRST);
    // If one of several cannot be read, those before it can.
    let frames = reader.frames(next, READ_BYTES).or_else(|_| reader.frames(next, 1))?;
    Ok((size.get()..).zip(frames).map(|(before, frame)| {
        let redacted = Size::new(before).next_seq().map(|seq| reader.redacted(seq));
        let redacted = redacted.transpose()?.unwrap_or_default();
        let leaf = leaf_hash(codec::leaf(&frame)?);
        let entry = if redacted.is_empty() {
            codec::decode(&frame)?
        } else {
            codec::decode(&codec::erase(&frame, redacted)?)?
        };
        Ok(Read { entry, redacted, leaf, frame_bytes: frame.len() })
    }))
}

#[cfg(test)]
mod tests;
