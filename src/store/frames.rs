//! Frames back to back, each after its length: the form in blocks, archives and journals.
//!
//! Knows nothing of the bytes around them. Bytes that are no frames give `None`, never a panic.

use crate::ids::Seq;
use std::{cell::RefCell, io};

/// Consecutive frames in one piece of memory, each with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    first: Seq,
    bytes: Vec<u8>,
    len: usize,
}

impl Frames {
    /// Copies these frames; `None` if one of them is over 4 GiB. O(bytes).
    pub fn collect<'a>(first: Seq, frames: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut bytes, mut len) = (Vec::new(), 0);
        for frame in frames {
            put(&mut bytes, frame).ok()?;
            len += 1;
        }
        Some(Self { first, bytes, len })
    }

    /// The frames in `bytes`, of which `first` is the first; `None` if the last one does not end
    /// where the bytes end. O(frames).
    pub(crate) fn of(first: Seq, bytes: Vec<u8>) -> Option<Self> {
        let mut split = Split(&bytes);
        let len = split.by_ref().count();
        let ends = split.0.is_empty();
        ends.then_some(Self { first, bytes, len })
    }

    /// Decompresses frames of `bytes` bytes from `packed`. O(bytes).
    pub(super) fn unpack(first: Seq, packed: &[u8], bytes: usize) -> Option<Self> {
        let raw = decompress(packed, bytes).ok()?;
        if raw.len() == bytes { Self::of(first, raw) } else { None }
    }

    /// The number of the first frame, also if there is none.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Says whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of bytes in memory. O(1).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The size of a log that ends with the last frame.
    #[must_use]
    pub fn end(&self) -> u64 {
        let len = u64::try_from(self.len).unwrap_or(u64::MAX);
        self.first.leaf_index().saturating_add(len)
    }

    /// The frame with this number. O(number of frames).
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&[u8]> {
        let before = seq.get().checked_sub(self.first.get())?;
        Split(&self.bytes).nth(usize::try_from(before).ok()?)
    }

    /// Each frame with its number, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        numbers_from(self.first).zip(Split(&self.bytes))
    }
}

/// Takes frames off the front of bytes, up to the end or to bytes that are no whole frame.
#[derive(Debug, Clone)]
pub(super) struct Split<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, behind) = self.0.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (frame, rest) = behind.split_at_checked(length)?;
        self.0 = rest;
        Some(frame)
    }
}

/// The numbers of frames from the first one on.
pub(super) fn numbers_from(first: Seq) -> impl Iterator<Item = Seq> {
    // A range would overflow one step before its end.
    std::iter::successors(Some(first), |seq| seq.next())
}

/// Appends a frame after its length.
///
/// # Errors
///
/// [`io::ErrorKind::FileTooLarge`] over 4 GiB.
pub(super) fn put(to: &mut Vec<u8>, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len());
    let length = length.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(frame);
    Ok(())
}

/// Decompresses with a context that each thread keeps: it is large and slow to make.
fn decompress(packed: &[u8], bytes: usize) -> io::Result<Vec<u8>> {
    thread_local! {
        static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    UNPACKER.with_borrow_mut(|unpacker| match unpacker {
        Some(unpacker) => unpacker.decompress(packed, bytes),
        None => unpacker.insert(zstd::bulk::Decompressor::new()?).decompress(packed, bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_whole_frames_or_none() {
        let mut bytes = Vec::new();
        for frame in [&b"one"[..], b"", b"three"] {
            put(&mut bytes, frame).unwrap();
        }
        let frames = Frames::of(Seq::FIRST, bytes.clone()).unwrap();
        let listed: Vec<_> = frames.iter().map(|(seq, frame)| (seq.get(), frame)).collect();
        assert_eq!(listed, [(1, &b"one"[..]), (2, b""), (3, b"three")]);
        assert_eq!((frames.len(), frames.end(), frames.bytes()), (3, 3, 20));
        assert!(!frames.is_empty() && Frames::of(Seq::FIRST, Vec::new()).unwrap().is_empty());
        assert_eq!(frames.get(Seq::new(3).unwrap()), Some(&b"three"[..]));
        assert_eq!(frames.get(Seq::new(4).unwrap()), None);
        let ends = [0, 7, 11, 20];
        for cut in 0..=bytes.len() {
            let frames = Frames::of(Seq::FIRST, bytes[..cut].to_vec());
            assert_eq!(frames.is_some(), ends.contains(&cut), "cut at {cut}");
        }
        bytes[7..11].fill(0xff);
        assert!(Frames::of(Seq::FIRST, bytes).is_none());
    }
}
