//! The next events of a log for a standby: whole batches, without the texts that are redacted.
//!
//! Each read goes on with a tree of its own, so that the root after the last event is known without
//! another read. Blocks on the disk. Start reading at [`Batches::read`].

use crate::{rooms::Taken, text::Room};
use taskledger::{
    codec::{self, DecodeError},
    ids::{Head, Seq, Size},
    ledger::{ReadError, Reader},
    proof::{Tree, leaf_hash},
    replication::message::{Frames, MESSAGE_BYTES_MAX, Message},
};

/// The bytes of events that are read at once: some 1,000 of them. A longer batch goes alone.
const READ_BYTES: usize = 1 << 20;
/// Bytes of a message of frames besides these, at most.
const AROUND_BYTES: usize = 64;

/// A place between two batches of a log. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    tree: Tree,
}

/// The events that were read.
#[derive(Debug)]
pub(super) enum Read {
    /// There are no more.
    None,
    /// A message of frames.
    Message(Encoded),
    /// The next batch is large: it needs so many bytes of room first.
    NoRoom(usize),
}

/// A message of frames, as bytes.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// The number of events in it.
    pub(super) events: u64,
    /// Held until the bytes are sent, if they are many.
    pub(super) room: Option<Taken>,
}

/// The reason that the next batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("event {seq} cannot be taken apart")]
    Frame {
        seq: Seq,
        #[source]
        source: DecodeError,
    },
    #[error("the batch of event {first} has no end within {MESSAGE_BYTES_MAX} bytes")]
    NoEnd { first: Seq },
}

impl Batches {
    /// The place after `after`, which a standby has. O(log size) reads.
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history;
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub(super) fn after(reader: &Reader, after: Head) -> Result<Self, ReadError> {
        let tree = reader.tree_at(after.size)?;
        if tree.root() != after.root {
            return Err(ReadError::OtherHistory { expected: after, found: tree.root() });
        }
        Ok(Self { tree })
    }

    pub(super) fn size(&self) -> Size {
        self.tree.size()
    }

    /// The log up to here. O(log size) hashes.
    pub(super) fn head(&self) -> Head {
        self.tree.head()
    }

    /// Reads the next batches of those that are durable, and goes on behind them. `held` is room that was
    /// taken for them.
    ///
    /// # Errors
    /// [`BatchError`]; then the place holds no more.
    pub(super) fn read(
        &mut self,
        reader: &Reader,
        room: &Room,
        held: Option<Taken>,
    ) -> Result<Read, BatchError> {
        let Some(first) = self.size().next_seq() else { return Ok(Read::None) };
        // If one of several cannot be read, those before it can.
        let frames = match whole(reader, first, READ_BYTES) {
            Err(BatchError::Read(_)) => whole(reader, first, 1)?,
            read => read?,
        };
        if frames.is_empty() {
            return Ok(Read::None);
        }
        let bytes = bytes_of(&frames);
        let mut room_held = None;
        if bytes > 2 * READ_BYTES {
            let needed = room.most(bytes);
            let held = held.filter(|held| held.units() >= needed);
            room_held = held.or_else(|| room.try_take(needed));
            if room_held.is_none() {
                return Ok(Read::NoRoom(needed));
            }
        }
        let events = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        let frames = self.pass(reader, first, frames)?;
        let message = Message::Frames(Frames { first, frames, root: self.tree.root() });
        let mut encoded = Vec::with_capacity(bytes);
        message.encode(&mut encoded);
        Ok(Read::Message(Encoded { bytes: encoded, events, room: room_held }))
    }

    /// Goes on behind these frames, and gives them without the texts that are redacted by now.
    fn pass(
        &mut self,
        reader: &Reader,
        first: Seq,
        frames: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, BatchError> {
        let mut next = Some(first);
        let passed = frames.into_iter().map_while(|frame| {
            let seq = next?;
            next = seq.next();
            Some((seq, frame))
        });
        passed
            .map(|(seq, frame)| {
                let bad = |source| BatchError::Frame { seq, source };
                self.tree.push_hash(leaf_hash(codec::leaf(&frame).map_err(bad)?));
                let redacted = reader.redacted(seq)?;
                if redacted.is_empty() {
                    Ok(frame)
                } else {
                    codec::erase(&frame, redacted).map_err(bad)
                }
            })
            .collect()
    }
}

/// The frames from `first` on up to the end of a batch: about so many bytes, or one batch. None if there
/// are none.
fn whole(reader: &Reader, first: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, BatchError> {
    let mut frames = reader.frames(first, bytes_max)?;
    loop {
        let end = frames.iter().rposition(|frame| !codec::batch_goes_on(frame));
        if let Some(end) = end {
            frames.truncate(end + 1);
            return Ok(frames);
        }
        if frames.is_empty() {
            return Ok(frames);
        }
        let next = first.plus(u64::try_from(frames.len()).unwrap_or(u64::MAX));
        let more = next.map(|next| reader.frames(next, bytes_max)).transpose()?;
        let goes_on = more.as_ref().is_some_and(|more| !more.is_empty());
        frames.extend(more.into_iter().flatten().filter(|_| goes_on));
        if !goes_on || bytes_of(&frames) > MESSAGE_BYTES_MAX {
            return Err(BatchError::NoEnd { first });
        }
    }
}

/// The bytes of a message of these frames, at most.
fn bytes_of(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(Vec::len).sum::<usize>() + AROUND_BYTES
}
