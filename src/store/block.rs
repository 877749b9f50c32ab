//! A block: up to 16 frames as one compressed value, cut into pieces.
//!
//! The form of a value in the sealed store, for any engine. Knows neither keys nor engine. Bytes
//! that are no block give `None`, never a panic.
//!
//! ```text
//! block   format 1, frames u8, pieces u16, bytes u32, zstd bytes u32, CRC-32C of these and of the
//!         zstd bytes; zstd of, for each frame: length u32, bytes
//! piece   the next 7 KiB of it; the last one may be shorter
//! ```

use super::frames::{self, Frames};
use crate::ids::Seq;
use std::{cell::RefCell, io};

/// The longest piece, in bytes: up to 17 fit a leaf of the engine, which must stay below a quarter
/// of a segment of 512 KiB.
const PIECE_BYTES_MAX: usize = 7 << 10;
const COMPRESSION: i32 = 1;
const FORMAT: u8 = 1;
/// Format, frames, pieces, bytes before and after compression, checksum of these and the bytes.
const HEAD_BYTES: usize = 16;
/// The largest block before compression: 16 frames of the largest size.
const RAW_BYTES_MAX: usize = 257 << 20;

/// Packs frames into a block. O(bytes).
///
/// # Errors
///
/// [`io::ErrorKind::FileTooLarge`] over 4 GiB or 255 frames, or an error of the compressor.
pub(super) fn pack(frames: &[impl AsRef<[u8]>]) -> io::Result<Vec<u8>> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let mut raw = Vec::new();
    for frame in frames {
        frames::put(&mut raw, frame.as_ref())?;
    }
    let packed = compress(&raw)?;
    let pieces = (HEAD_BYTES + packed.len()).div_ceil(PIECE_BYTES_MAX);
    let mut block = vec![FORMAT, u8::try_from(frames.len()).map_err(too_large)?];
    block.extend_from_slice(&u16::try_from(pieces).map_err(too_large)?.to_le_bytes());
    block.extend_from_slice(&u32::try_from(raw.len()).map_err(too_large)?.to_le_bytes());
    block.extend_from_slice(&u32::try_from(packed.len()).map_err(too_large)?.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&block), &packed);
    block.extend_from_slice(&crc.to_le_bytes());
    block.extend_from_slice(&packed);
    Ok(block)
}

/// The pieces of a block, numbered from 0.
pub(super) fn pieces(block: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    (0..=u16::MAX).zip(block.chunks(PIECE_BYTES_MAX))
}

/// The number of pieces of the block that begins with this one.
pub(super) fn piece_count(first_piece: &[u8]) -> Option<u16> {
    Head::decode(first_piece).map(|head| head.pieces)
}

/// The frames of a block, put together from its pieces; its first frame is `first`. O(bytes).
///
/// If an earlier form of the block was longer, pieces of it may be left behind the last one: they
/// are ignored.
pub(super) fn unpack(first: Seq, block: &[u8]) -> Option<Frames> {
    let head = Head::decode(block)?;
    let packed = block.get(HEAD_BYTES..HEAD_BYTES.checked_add(head.packed)?)?;
    let covered = crc32c::crc32c(block.get(..HEAD_BYTES - 4)?);
    if head.raw > RAW_BYTES_MAX || crc32c::crc32c_append(covered, packed) != head.crc {
        return None;
    }
    let frames = Frames::unpack(first, packed, head.raw)?;
    (frames.len() == usize::from(head.frames)).then_some(frames)
}

/// The first bytes of a block.
#[derive(Debug)]
struct Head {
    frames: u8,
    pieces: u16,
    raw: usize,
    packed: usize,
    crc: u32,
}

impl Head {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let [format, frames, pieces @ ..] = bytes.first_chunk::<HEAD_BYTES>()?;
        let (pieces, rest) = pieces.split_first_chunk::<2>()?;
        let (raw, rest) = rest.split_first_chunk::<4>()?;
        let (packed, crc) = rest.split_first_chunk::<4>()?;
        let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
        (*format == FORMAT).then_some(())?;
        Some(Self {
            frames: *frames,
            pieces: u16::from_le_bytes(*pieces),
            raw: length(raw)?,
            packed: length(packed)?,
            crc: u32::from_le_bytes(crc.try_into().ok()?),
        })
    }
}

/// Compresses with a context that each thread keeps: it is large and slow to make.
fn compress(raw: &[u8]) -> io::Result<Vec<u8>> {
    thread_local! {
        static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    PACKER.with_borrow_mut(|packer| match packer {
        Some(packer) => packer.compress(raw),
        None => packer.insert(zstd::bulk::Compressor::new(COMPRESSION)?).compress(raw),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that hardly compress.
    fn frames() -> Vec<Vec<u8>> {
        let noise = |seed: u64| {
            (0..2000_u64).map(move |n| (n * n * (seed + 7) / 13 % 251).to_le_bytes()[0])
        };
        (0..16).map(|seed| noise(seed).collect()).collect()
    }

    fn listed(block: &[u8]) -> Option<Vec<Vec<u8>>> {
        let frames = unpack(Seq::FIRST, block)?;
        Some(frames.iter().map(|(_, frame)| frame.to_vec()).collect())
    }

    #[test]
    fn a_block_unpacks_to_its_frames_from_pieces_of_at_most_7_kib() {
        for frames in [&frames()[..], &frames()[..3], &[Vec::new()]] {
            let block = pack(frames).unwrap();
            let pieces: Vec<_> = pieces(&block).collect();
            assert_eq!(piece_count(pieces[0].1).map(usize::from), Some(pieces.len()));
            assert!(pieces.iter().all(|(_, piece)| piece.len() <= 7 << 10));
            let together: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
            assert_eq!(listed(&together).unwrap(), frames);
        }
    }

    #[test]
    fn pieces_that_a_longer_block_left_behind_are_not_looked_at() {
        let mut block = pack(&frames()[..2]).unwrap();
        block.extend_from_slice(&pack(&frames()).unwrap());
        assert_eq!(listed(&block).unwrap(), &frames()[..2]);
    }

    /// One frame of zeros, its length included of `raw` bytes, as zstd: a block of 4 bytes as they
    /// are, then blocks of 128 KiB that are one byte over and over.
    fn zeros(raw: u32) -> Vec<u8> {
        const BLOCK: u32 = 128 << 10;
        let (stored, repeated) = (0, 1);
        let head = |kind: u32, len: u32, last: bool| {
            (len << 3 | kind << 1 | u32::from(last)).to_le_bytes()[..3].to_vec()
        };
        // Magic; one segment, whose size follows in 4 bytes.
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
        packed.extend_from_slice(&raw.to_le_bytes());
        packed.extend(head(stored, 4, false));
        packed.extend_from_slice(&(raw - 4).to_le_bytes());
        let mut left = raw - 4;
        while left > 0 {
            let len = left.min(BLOCK);
            left -= len;
            packed.extend(head(repeated, len, left == 0));
            packed.push(0);
        }
        packed
    }

    /// A block of one frame that says that it unpacks to so many bytes, and does.
    fn block_of(raw: u32) -> Vec<u8> {
        let packed = zeros(raw);
        let pieces = u16::try_from((HEAD_BYTES + packed.len()).div_ceil(PIECE_BYTES_MAX)).unwrap();
        let mut block = vec![FORMAT, 1];
        block.extend_from_slice(&pieces.to_le_bytes());
        block.extend_from_slice(&raw.to_le_bytes());
        block.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&block), &packed);
        block.extend_from_slice(&crc.to_le_bytes());
        block.extend_from_slice(&packed);
        block
    }

    // A few kilobytes that are as they should be, and ask for a quarter of a gibibyte.
    #[test]
    fn a_block_that_says_that_it_unpacks_to_more_than_the_limit_is_none() {
        let small = 300 << 10;
        assert_eq!(listed(&block_of(small)).unwrap(), [vec![0; (300 << 10) - 4]]);
        let limit = u32::try_from(RAW_BYTES_MAX).unwrap();
        assert!(unpack(Seq::FIRST, &block_of(limit + 1)).is_none());
    }

    #[test]
    fn a_block_that_was_changed_or_cut_anywhere_is_none() {
        let block = pack(&frames()[..2]).unwrap();
        for place in 0..block.len() {
            assert!(listed(&block[..place]).is_none(), "cut at {place}");
            let mut changed = block.clone();
            changed[place] ^= 0x20;
            // The number of pieces is for the caller that puts them together.
            assert!(listed(&changed).is_none(), "byte {place}");
        }
    }
}
