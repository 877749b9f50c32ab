//! A group as bytes: `body length u32 | CRC-32C of the body u32 | body`, where the body is the
//! first number, the root and, for each frame, its length and bytes. All numbers little endian.

use crate::{
    ids::{Head, Root, Seq},
    store::Group,
};

/// The recovered part of a log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) head: Head,
    /// The end of the last whole group.
    pub(super) bytes: usize,
}

pub(super) fn encode(group: Group<'_>) -> Vec<u8> {
    let mut body = group.first.get().to_le_bytes().to_vec();
    body.extend(group.root.0);
    for frame in group.frames {
        body.extend(length(frame));
        body.extend(frame);
    }
    let mut record = length(&body).to_vec();
    record.extend(crc32c::crc32c(&body).to_le_bytes());
    record.extend(body);
    record
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Recovers the groups from the front up to the first that is not whole or not the next one.
pub(super) fn recover(bytes: &[u8]) -> Found {
    let mut found = Found { frames: Vec::new(), head: Head::EMPTY, bytes: 0 };
    let mut rest = bytes;
    while let Some((root, frames, after)) = split(rest, found.head.size.get() + 1) {
        let events = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        found.head.size = found.head.size.more(events);
        found.head.root = root;
        found.frames.extend(frames);
        found.bytes = bytes.len() - after.len();
        rest = after;
    }
    found
}

type Whole<'a> = (Root, Vec<Vec<u8>>, &'a [u8]);

fn split(bytes: &[u8], next: u64) -> Option<Whole<'_>> {
    let (len, rest) = number(bytes)?;
    let (crc, rest) = number(rest)?;
    let (body, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    if crc32c::crc32c(body) != crc {
        return None;
    }
    let (first, body) = body.split_first_chunk()?;
    let (root, mut body) = body.split_first_chunk()?;
    let mut frames = Vec::new();
    while !body.is_empty() {
        let (len, rest) = number(body)?;
        let (frame, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        frames.push(frame.to_vec());
        body = rest;
    }
    (Seq::new(u64::from_le_bytes(*first)) == Seq::new(next) && !frames.is_empty()).then_some((
        Root(*root),
        frames,
        after,
    ))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*first), rest))
}
