//! The texts beside an event, bound to it by hashes so that each can be erased.
//!
//! The salt keeps an erased text secret: without it, a reader of the event could guess a short text
//! and check the guess by its hash. The salt is erased with the text.

use super::error::{DecodeError, PartsError};
use crate::event::{Commitment, Entry, Part, PartBody, PartKind, PartSet};
use sha2::{Digest, Sha256};

const SALT_BYTES: usize = 16;

/// The commitment to a text: SHA-256 over the kind's tag (one byte), the salt and the text.
/// O(bytes), about 1 us for 1 KiB.
///
/// A text of 4 GiB or more gets the length [`u32::MAX`]; no frame takes it.
#[must_use]
pub fn commit(kind: PartKind, salt: [u8; 16], text: &str) -> Commitment {
    let mut hash = Sha256::new();
    hash.update([tag(kind)]);
    hash.update(salt);
    hash.update(text);
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    Commitment { kind, len, digest: hash.finalize().into() }
}

/// Checks every text that is there against its commitment. O(bytes), about 1 us for 1 KiB.
///
/// # Errors
///
/// - [`DecodeError::Mismatch`] with the first part whose text does not match.
/// - [`DecodeError::Parts`] if texts and commitments do not pair; no decoded entry gives this.
pub fn check_parts(entry: &Entry) -> Result<(), DecodeError> {
    check_pairs(entry)?;
    match forged(entry, |_| true).next() {
        Some(kind) => Err(DecodeError::Mismatch { kind }),
        None => Ok(()),
    }
}

/// Takes out every text of `entry` that does not match its commitment, and returns their kinds,
/// which [`Entry::withheld`] names from then on. Hashes only the texts for which `asked` says so.
/// O(bytes), about 1 us for 1 KiB.
pub(crate) fn withhold(entry: &mut Entry, asked: impl Fn(&Part) -> bool) -> PartSet {
    let found: PartSet = forged(entry, asked).collect();
    if !found.is_empty() {
        entry.withhold(found);
    }
    found
}

/// The kinds of the texts that are there and do not match their commitments.
fn forged(entry: &Entry, asked: impl Fn(&Part) -> bool) -> impl Iterator<Item = PartKind> {
    let pairs = entry.parts.iter().zip(&entry.event.parts).filter(move |(part, _)| asked(part));
    pairs.filter_map(|(part, commitment)| {
        let body = part.body.as_ref()?;
        (commit(part.kind, body.salt, &body.text) != *commitment).then_some(part.kind)
    })
}

/// Checks that texts and commitments have the same kinds, in the same order, and the same lengths.
pub(super) fn check_pairs(entry: &Entry) -> Result<(), PartsError> {
    let (parts, commitments) = (&entry.parts, &entry.event.parts);
    let kinds = |a: &Part, b: &Commitment| a.kind == b.kind;
    if parts.len() != commitments.len() || !parts.iter().zip(commitments).all(|(a, b)| kinds(a, b))
    {
        let (texts, commitments) = (parts.len(), commitments.len());
        return Err(PartsError::Unpaired { texts, commitments });
    }
    parts.iter().zip(commitments).try_for_each(|(part, commitment)| {
        let expected = len(commitment);
        match part.body.as_ref().map(|body| body.text.len()) {
            Some(found) if found != expected => {
                Err(PartsError::Length { kind: part.kind, expected, found })
            }
            Some(_) | None => Ok(()),
        }
    })
}

/// The number of bytes that the texts and their salts take in a frame.
pub(super) fn bytes(parts: &[Part]) -> usize {
    parts.iter().flat_map(|part| &part.body).map(|body| SALT_BYTES + body.text.len()).sum()
}

/// Appends the texts that are there, and returns a bit for each that is not.
pub(super) fn write(parts: &[Part], frame: &mut Vec<u8>) -> u8 {
    let mut flags = 0;
    for (part, flag) in parts.iter().zip(flag_bits()) {
        match &part.body {
            Some(body) => {
                frame.extend_from_slice(&body.salt);
                frame.extend_from_slice(body.text.as_bytes());
            }
            None => flags |= flag,
        }
    }
    flags
}

/// Reads the texts that are not erased by `flags`. They must take all of `bytes`.
pub(super) fn read(
    commitments: &[Commitment],
    flags: u8,
    bytes: &[u8],
) -> Result<Vec<Part>, DecodeError> {
    let known = flag_bits().take(commitments.len()).fold(0, |all, flag| all | flag);
    if flags & !known != 0 {
        return Err(PartsError::Flags { flags, count: commitments.len() }.into());
    }
    let mut parts = Vec::with_capacity(commitments.len());
    let mut rest = bytes;
    for (commitment, flag) in commitments.iter().zip(flag_bits()) {
        let kind = commitment.kind;
        let body = if flags & flag == 0 {
            let (body, after) = read_body(commitment, rest)?;
            rest = after;
            Some(body)
        } else {
            None
        };
        parts.push(Part { kind, body });
    }
    if !rest.is_empty() {
        return Err(DecodeError::Leftover { what: "parts", bytes: rest.len() });
    }
    Ok(parts)
}

fn read_body<'a>(
    commitment: &Commitment,
    bytes: &'a [u8],
) -> Result<(PartBody, &'a [u8]), DecodeError> {
    let (kind, expected) = (commitment.kind, len(commitment));
    let short = |found| PartsError::Length { kind, expected, found };
    let (salt, rest) = bytes.split_first_chunk::<SALT_BYTES>().ok_or(short(0))?;
    let (text, rest) = rest.split_at_checked(expected).ok_or(short(rest.len()))?;
    let text = std::str::from_utf8(text).map_err(|_| PartsError::NotText { kind })?;
    Ok((PartBody { salt: *salt, text: text.into() }, rest))
}

/// The flags of the first part, the second, and so on.
fn flag_bits() -> impl Iterator<Item = u8> {
    (0..8).map(|bit| 1 << bit)
}

fn len(commitment: &Commitment) -> usize {
    usize::try_from(commitment.len).unwrap_or(usize::MAX)
}

/// The kind's tag in format 1, which is also hashed into the commitment.
const fn tag(kind: PartKind) -> u8 {
    match kind {
        PartKind::Description => 0,
        PartKind::Error => 1,
        PartKind::Result => 2,
        PartKind::Content => 3,
        PartKind::Reason => 4,
    }
}
