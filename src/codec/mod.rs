//! Events as bytes: the same frame in journal, blocks, archive, stream and backup.
//!
//! A frame is a header, the event, and the texts beside it that can be erased. The *leaf* is the
//! part that the hash tree covers: the format byte and the event, contiguous in the frame. Texts
//! are bound to it by salted commitments, so that a frame keeps its leaf when it loses a text.
//! `docs/format.md` draws every byte.
//!
//! Knows nothing of files, hash trees or the meaning of an event. Bytes are never trusted: length
//! and checksum are checked before anything is allocated, and an event in another form than
//! [`encode`] writes is refused. Texts are hashed only by [`check_parts`].
//!
//! Start reading at [`encode`] and [`decode`].

use crate::event::{Entry, Event, PartSet};

mod convert;
mod error;
mod limits;
mod parts;
mod peek;
mod v1;

#[cfg(test)]
mod tests;

pub use error::{DecodeError, EncodeError, PartsError};
pub use limits::{EVENT_BYTES_MAX, FRAME_BYTES_MAX, Limits};
pub(crate) use parts::withhold;
pub use parts::{check_parts, commit};
pub(crate) use peek::{Told, peek};

/// The format that is written, and the newest that can be read.
pub const FORMAT: u8 = 1;

/// The length and the checksum.
const HEADER_BYTES: usize = 8;
/// The flags and the length of the event.
const PREFIX_BYTES: usize = 3;
/// Bits 0 to 3 of the flags say which texts are erased. Nothing is said by these yet: a frame that
/// has one of them is of a newer version.
const FLAGS_RESERVED: u8 = 0b0111_0000;
/// The flag of every event of a batch but the last.
const FLAG_BATCH_GOES_ON: u8 = 0b1000_0000;

/// Makes one frame. O(bytes); does not hash the texts.
///
/// # Errors
///
/// - [`EncodeError::TooLarge`] if a name, a text or the event is longer than format 1 allows.
/// - [`EncodeError::Parts`] if the texts do not match `entry.event.parts`, or these are not of
///   distinct kinds in the order of their tags.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    encode_within(entry, Limits::default())
}

/// Makes one frame, with limits below those of the format. Otherwise like [`encode`].
///
/// # Errors
///
/// As [`encode`].
pub fn encode_within(entry: &Entry, limits: Limits) -> Result<Vec<u8>, EncodeError> {
    limits::check_order(&entry.event.parts)?;
    limits::check_lengths(&entry.event.parts, limits)?;
    parts::check_pairs(entry)?;
    let wire = v1::Event::from(&entry.event);
    limits::check_names(&wire)?;

    let mut frame = Vec::with_capacity(512 + parts::bytes(&entry.parts));
    frame.extend_from_slice(&[0; HEADER_BYTES + PREFIX_BYTES]);
    frame.push(FORMAT);
    let event_start = frame.len();
    v1::write(&wire, &mut frame)?;
    let event_len = frame.len() - event_start;
    Ok(with_checksum(frame, event_len, entry))
}

/// Reads one frame, which must take all of `frame`. O(bytes), less than a microsecond for a usual
/// event; does not hash the texts, see [`check_parts`].
///
/// # Errors
///
/// - [`DecodeError::Truncated`], [`DecodeError::Leftover`] or [`DecodeError::Checksum`] if the
///   bytes were changed.
/// - [`DecodeError::UnsupportedFormat`] if a newer version wrote them.
/// - Another variant if no version writes such bytes.
pub fn decode(frame: &[u8]) -> Result<Entry, DecodeError> {
    let layout = Layout::checked(frame)?;
    let event = event(layout.event)?;
    let erased = layout.flags & !FLAG_BATCH_GOES_ON;
    let parts = parts::read(&event.parts, erased, layout.texts)?;
    let (withheld, batch_goes_on) = (PartSet::default(), erased != layout.flags);
    Ok(Entry { event, parts, withheld, batch_goes_on })
}

/// Reads the event of a leaf, which must take all of `leaf`: what a proof is about. O(bytes).
///
/// # Errors
///
/// As [`decode`], those about the event.
pub fn decode_leaf(leaf: &[u8]) -> Result<Event, DecodeError> {
    let short = || DecodeError::Malformed { why: "its leaf ends before it does" };
    let (&format, bytes) = leaf.split_first().ok_or_else(short)?;
    check_format(format)?;
    error::TooLarge::check("event", bytes.len(), EVENT_BYTES_MAX)?;
    event(bytes)
}

fn event(bytes: &[u8]) -> Result<Event, DecodeError> {
    let wire = v1::read(bytes)?;
    limits::check_names(&wire)?;
    let event = convert::event(wire)?;
    limits::check_order(&event.parts)?;
    limits::check_lengths(&event.parts, Limits::default())?;
    Ok(event)
}

fn check_format(format: u8) -> Result<(), DecodeError> {
    if format == FORMAT {
        return Ok(());
    }
    let (found, max) = (u32::from(format), u32::from(FORMAT));
    Err(DecodeError::UnsupportedFormat { what: "format", found, max })
}

/// Splits `bytes` after the first frame, by its length alone. O(1).
///
/// # Errors
///
/// - [`DecodeError::Truncated`] if `bytes` end before the frame does, or are empty.
/// - [`DecodeError::TooLarge`] if the length is larger than that of any frame.
pub fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let Some((header, _)) = bytes.split_first_chunk::<4>() else {
        return Err(DecodeError::Truncated { need: HEADER_BYTES, have: bytes.len() });
    };
    let len = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
    let need = len.saturating_add(HEADER_BYTES);
    error::TooLarge::check("frame", need, FRAME_BYTES_MAX)?;
    bytes.split_at_checked(need).ok_or(DecodeError::Truncated { need, have: bytes.len() })
}

/// The part of a frame that the hash tree covers: its format byte and its event. O(1): does not
/// check the checksum.
///
/// # Errors
///
/// As [`decode`], those about the frame's layout.
pub fn leaf(frame: &[u8]) -> Result<&[u8], DecodeError> {
    Ok(Layout::of(frame)?.leaf)
}

/// Says whether the next frame is of the same batch, so that a copy must not end between the two.
/// O(1): checks nothing else, and bytes that are no frame give `false`.
#[must_use]
pub fn batch_goes_on(frame: &[u8]) -> bool {
    frame.get(HEADER_BYTES).is_some_and(|flags| flags & FLAG_BATCH_GOES_ON != 0)
}

/// Makes the same frame without the texts of these kinds: same leaf, so same hashes. O(bytes).
///
/// Kinds that the event does not have, or that are erased already, change nothing.
///
/// # Errors
///
/// As [`decode`], so that a damaged frame does not get a valid checksum.
pub fn erase(frame: &[u8], kinds: PartSet) -> Result<Vec<u8>, DecodeError> {
    let mut entry = decode(frame)?;
    entry.erase(kinds);
    beside_the_leaf(frame, &entry)
}

/// The same frame as the last one of its batch: same leaf, so same hashes. O(bytes).
///
/// # Errors
///
/// As [`decode`].
pub fn end_batch(frame: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let entry = Entry { batch_goes_on: false, ..decode(frame)? };
    beside_the_leaf(frame, &entry)
}

/// The leaf of `frame`, with what `entry` has beside it.
fn beside_the_leaf(frame: &[u8], entry: &Entry) -> Result<Vec<u8>, DecodeError> {
    let layout = Layout::of(frame)?;
    let mut changed = Vec::with_capacity(frame.len());
    changed.extend_from_slice(&[0; HEADER_BYTES + PREFIX_BYTES]);
    changed.extend_from_slice(layout.leaf);
    Ok(with_checksum(changed, layout.event.len(), entry))
}

/// The places of everything in a frame.
struct Layout<'a> {
    flags: u8,
    leaf: &'a [u8],
    event: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Layout<'a> {
    /// Splits a frame into its parts, after checking its checksum.
    fn checked(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (expected, body) = open(frame)?;
        let found = crc32c::crc32c(body);
        if found != expected {
            return Err(DecodeError::Checksum { expected, found });
        }
        Self::of_body(body)
    }

    /// Splits a frame into its parts, without checking its checksum.
    fn of(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (_, body) = open(frame)?;
        Self::of_body(body)
    }

    fn of_body(body: &'a [u8]) -> Result<Self, DecodeError> {
        let short = || DecodeError::Malformed { why: "its frame ends before it does" };
        let (&[flags, low, high], rest) =
            body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(short)?;
        let (&format, _) = rest.split_first().ok_or_else(short)?;
        check_format(format)?;
        if flags & FLAGS_RESERVED != 0 {
            let found = (flags & FLAGS_RESERVED).trailing_zeros();
            return Err(DecodeError::UnsupportedFormat { what: "frame flag", found, max: 3 });
        }
        let event_len = usize::from(u16::from_le_bytes([low, high]));
        error::TooLarge::check("event", event_len, EVENT_BYTES_MAX)?;
        let (leaf, texts) = rest.split_at_checked(event_len + 1).ok_or_else(short)?;
        let (_, event) = leaf.split_first().ok_or_else(short)?;
        Ok(Self { flags, leaf, event, texts })
    }
}

/// Reads the checksum of a frame, and the bytes that it covers.
fn open(frame: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let (exact, rest) = split(frame)?;
    if !rest.is_empty() {
        return Err(DecodeError::Leftover { what: "frame", bytes: rest.len() });
    }
    let (&[_, _, _, _, a, b, c, d], body) = exact
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(DecodeError::Truncated { need: HEADER_BYTES, have: exact.len() })?;
    Ok((u32::from_le_bytes([a, b, c, d]), body))
}

/// Completes a frame that has room for its header and holds its leaf: texts, flags, lengths,
/// checksum.
///
/// The limits have been checked, so every length fits its field.
fn with_checksum(mut frame: Vec<u8>, event_len: usize, entry: &Entry) -> Vec<u8> {
    let mut flags = parts::write(&entry.parts, &mut frame);
    if entry.batch_goes_on {
        flags |= FLAG_BATCH_GOES_ON;
    }
    if let Some((header, body)) = frame.split_first_chunk_mut::<HEADER_BYTES>() {
        if let Some(prefix) = body.first_chunk_mut::<PREFIX_BYTES>() {
            let [low, high] = u16::try_from(event_len).unwrap_or(u16::MAX).to_le_bytes();
            *prefix = [flags, low, high];
        }
        let [l0, l1, l2, l3] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let [c0, c1, c2, c3] = crc32c::crc32c(body).to_le_bytes();
        *header = [l0, l1, l2, l3, c0, c1, c2, c3];
    }
    frame
}
