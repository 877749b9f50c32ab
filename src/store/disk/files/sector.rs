//! Small records of the store: one 512-byte sector, which a disk writes whole or not at all, with
//! magic, format and checksum at places that stay the same in all later formats.
//!
//! Also reads numbers from untrusted bytes.

use crate::ids::{Head, Root, Seq, Size};

/// The bytes that a disk writes as one.
pub(crate) const SECTOR: usize = 512;
/// The format of every file of the store. It moves whenever old files stop opening, or an older
/// version would misread new ones. A field behind the last one of a sector moves nothing, if zeros
/// mean what older files mean (`docs/format-store.md`).
pub(crate) const FORMAT: u32 = 1;
/// The highest number that any file may name: no log, and no count of anything, gets there. A
/// higher number in a file is refused, so that adding to it never overflows.
pub(crate) const NUMBER_MAX: u64 = u64::MAX >> 1;
const CRC_AT: usize = SECTOR - 4;

/// The state of a sector.
#[derive(Debug)]
pub(crate) enum Sector<'a> {
    /// Zeros: never written.
    Blank,
    /// Neither zeros nor a record.
    Bad,
    /// A record of a later format.
    Newer(u32),
    /// A record.
    Valid(Bytes<'a>),
}

/// The sector that holds `body`.
pub(crate) fn encode(magic: [u8; 8], body: &[u8]) -> Vec<u8> {
    let mut sector = Vec::with_capacity(SECTOR);
    sector.extend_from_slice(&magic);
    sector.extend_from_slice(&FORMAT.to_le_bytes());
    sector.extend_from_slice(body);
    assert!(sector.len() <= CRC_AT, "a record of the store fits a sector");
    sector.resize(CRC_AT, 0);
    sector.extend_from_slice(&checksum(&sector).to_le_bytes());
    sector
}

/// The checksum at the end of a sector. It does not cover itself: the checksum of all bytes would
/// be the same for every sector.
pub(crate) fn checksum(sector: &[u8]) -> u32 {
    crc32c::crc32c(sector.get(..CRC_AT).unwrap_or_default())
}

/// Reads the first sector of `bytes`.
pub(crate) fn decode(magic: [u8; 8], bytes: &[u8]) -> Sector<'_> {
    let Some(sector) = bytes.get(..SECTOR) else { return Sector::Bad };
    if is_zero(sector) {
        return Sector::Blank;
    }
    let (kept, crc) = sector.split_at(CRC_AT);
    let mut body = Bytes(kept);
    if Bytes(crc).u32() != Some(crc32c::crc32c(kept)) || body.array() != Some(magic) {
        return Sector::Bad;
    }
    match body.u32() {
        Some(FORMAT) => Sector::Valid(body),
        Some(found) if found > FORMAT => Sector::Newer(found),
        _ => Sector::Bad,
    }
}

/// Says whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Compares words first, since this runs over whole journals.
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

/// Bytes that are read from the front. A read gives `None` when there are too few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn root(&mut self) -> Option<Root> {
        self.array().map(Root)
    }

    /// Reads a number of at most [`NUMBER_MAX`], so that adding to it does not overflow.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= NUMBER_MAX)
    }

    pub(crate) fn head(&mut self) -> Option<Head> {
        Some(Head { size: Size::new(self.number()?), root: self.root()? })
    }
}

/// Writes `size` and root, as [`Bytes::head`] reads them.
pub(crate) fn put_head(to: &mut Vec<u8>, head: Head) {
    to.extend_from_slice(&head.size.get().to_le_bytes());
    to.extend_from_slice(&head.root.0);
}

/// A length in memory as a number on disk.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A number on disk as a length in memory; far too long if it does not fit.
pub(crate) fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A length below 4 GiB as a number on disk.
///
/// # Panics
///
/// If it is longer: callers have checked a far lower limit.
pub(crate) fn short(length: usize) -> u32 {
    let Ok(short) = u32::try_from(length) else { panic!("{length} bytes are over every limit") };
    short
}

/// The next number after `size`, for an error.
pub(crate) fn next_after(size: u64) -> Seq {
    Seq::FIRST.plus(size).unwrap_or(Seq::FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"TLTEST\r\n";

    #[test]
    fn a_record_survives_and_any_flipped_bit_is_seen() {
        let sector = encode(MAGIC, b"body");
        assert!(
            matches!(decode(MAGIC, &sector), Sector::Valid(body) if body.0.starts_with(b"body"))
        );
        for bit in 0..SECTOR * 8 {
            let mut flipped = sector.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(MAGIC, &flipped), Sector::Bad), "bit {bit}");
        }
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let mut sector = encode(MAGIC, b"");
        sector[8..12].copy_from_slice(&7_u32.to_le_bytes());
        sector.truncate(CRC_AT);
        let crc = crc32c::crc32c(&sector).to_le_bytes();
        sector.extend_from_slice(&crc);
        assert!(matches!(decode(MAGIC, &sector), Sector::Newer(7)));
        assert!(matches!(decode(MAGIC, &[0; SECTOR]), Sector::Blank));
        assert!(matches!(decode(MAGIC, b"short"), Sector::Bad));
    }

    #[test]
    fn a_record_of_another_kind_or_of_no_format_is_bad() {
        let other = encode(*b"TLOTHER\n", b"body");
        assert!(matches!(decode(MAGIC, &other), Sector::Bad));
        let mut none = encode(MAGIC, b"body");
        none[8..12].fill(0);
        none.truncate(CRC_AT);
        let crc = crc32c::crc32c(&none).to_le_bytes();
        none.extend_from_slice(&crc);
        assert!(matches!(decode(MAGIC, &none), Sector::Bad), "format 0");
    }

    #[test]
    fn a_record_may_fill_its_sector() {
        let body = [7; CRC_AT - 12];
        let sector = encode(MAGIC, &body);
        assert_eq!(sector.len(), SECTOR);
        assert!(matches!(decode(MAGIC, &sector), Sector::Valid(found) if found.0 == body));
    }

    #[test]
    fn one_byte_anywhere_is_not_nothing() {
        for len in [0, 1, 63, 64, 65, 200] {
            assert!(is_zero(&vec![0; len]));
            for at in 0..len {
                let mut bytes = vec![0; len];
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {len}");
            }
        }
    }

    #[test]
    fn a_number_that_could_overflow_is_none() {
        let number = |number: u64| Bytes(&number.to_le_bytes()).number();
        assert_eq!(NUMBER_MAX, 0x7fff_ffff_ffff_ffff);
        assert_eq!(number(NUMBER_MAX), Some(NUMBER_MAX));
        assert_eq!(number(NUMBER_MAX + 1), None);
        assert_eq!(number(u64::MAX), None);
    }
}
