//! `HEAD`: the size that the log is known to have reached, kept apart from the journal and from
//! sled.
//!
//! Two slots, each a sector at the start of its own 4 KiB page, written in turn; the valid one with
//! the higher generation counts. A commit writes one slot and does not sync it. So `HEAD` may be
//! behind the journal, never ahead: it can prove a loss, and nothing else.
//!
//! ```text
//! slot  sector: "TLHEAD\r\n", format u32, generation u64, written, synced, sealed (each size u64,
//!               root 32), erased_upto u64, reserved u64, engine u64, confirmed (size u64, root 32),
//!               boot id 16, zeros, CRC-32C at 508
//! ```
//!
//! A new field goes after the last one, and zeros in it mean what older files mean. So older files
//! are read as before, and older versions read the newer files.

use super::{
    dir::{self, at},
    read_at::ReadAt,
    sector::{self, Bytes, Sector, wide},
};
use crate::{
    ids::{Head, Root, Size},
    store::{Damage, Error},
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"TLHEAD\r\n";
const PAGE: usize = 4096;
/// The form of the root of [`Head::EMPTY`] in [`HeadRecord::confirmed`]: older files have zeros
/// there.
const NOTHING: Root = Root([0; 32]);

/// The contents of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRecord {
    /// Grows by one with each write of a slot.
    pub generation: u64,
    /// The log up to the last written frame.
    pub written: Head,
    /// The log up to the last frame that survives loss of power. If the log is shorter, events were
    /// lost.
    pub synced: Head,
    /// The log up to the last frame that sled holds durably.
    pub sealed: Head,
    /// The last event that an erasure has covered; 0 if nothing was erased.
    pub erased_upto: u64,
    /// The number kept for the ledger.
    pub reserved: u64,
    /// The number of the directory below `sled/` that is in use.
    pub engine: u64,
    /// The log up to the last frame that standbys are known to hold durably; empty if nothing is
    /// known.
    pub confirmed: Head,
    /// The boot of the system in which this ledger was last opened to append, or zeros if unknown.
    /// After another boot, no byte that can be read waits for a sync.
    pub boot_id: [u8; 16],
}

impl HeadRecord {
    /// The record of a log without events.
    pub(crate) const NEW: Self = Self {
        generation: 0,
        written: Head::EMPTY,
        synced: Head::EMPTY,
        sealed: Head::EMPTY,
        erased_upto: 0,
        reserved: 0,
        engine: 1,
        confirmed: Head::EMPTY,
        boot_id: [0; 16],
    };

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(sector::SECTOR);
        body.extend_from_slice(&self.generation.to_le_bytes());
        for head in [self.written, self.synced, self.sealed] {
            sector::put_head(&mut body, head);
        }
        for number in [self.erased_upto, self.reserved, self.engine] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        let root = if self.confirmed.size == 0 { NOTHING } else { self.confirmed.root };
        sector::put_head(&mut body, Head { root, ..self.confirmed });
        body.extend_from_slice(&self.boot_id);
        sector::encode(MAGIC, &body)
    }

    fn decode(mut body: Bytes<'_>) -> Option<Self> {
        Some(Self {
            generation: body.number()?,
            written: body.head()?,
            synced: body.head()?,
            sealed: body.head()?,
            erased_upto: body.number()?,
            reserved: body.u64()?,
            engine: body.number()?,
            confirmed: match body.head()? {
                Head { size: Size::EMPTY, root } if root != NOTHING => return None,
                Head { size: Size::EMPTY, .. } => Head::EMPTY,
                head => head,
            },
            boot_id: body.array()?,
        })
    }
}

/// Boot id of the running system, another one after each start; zeros if the system has none.
pub(crate) fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    parse_boot_id(&text).unwrap_or_default()
}

/// Reads 32 hexadecimal digits with dashes among them.
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits = text.trim_end().replace('-', "");
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(number.to_be_bytes())
}

/// The state of one of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there are two, and they are looked at once")]
pub(crate) enum Slot {
    /// A record.
    Valid(HeadRecord),
    /// Never written.
    Blank,
    /// Damaged: neither blank nor a record.
    Bad,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    path: PathBuf,
    generation: u64,
    slot: u64,
}

impl HeadFile {
    /// Makes a new file with `record` in both slots, durably.
    pub(crate) fn create(root: &Path, record: &HeadRecord) -> Result<Self, Error> {
        let path = root.join("HEAD");
        let file = dir::create_file(&path)?;
        file.set_len(wide(2 * PAGE)).map_err(at("create", &path))?;
        let mut head = Self { file, path, generation: 0, slot: 0 };
        for _ in 0..2 {
            head.write(record)?;
        }
        head.file.sync_all().map_err(at("sync", &head.path))?;
        Ok(head)
    }

    /// Opens the file, and reads the newer of its valid slots.
    pub(crate) fn open(root: &Path) -> Result<(Self, HeadRecord), Error> {
        let path = root.join("HEAD");
        let file = dir::open_to_write(&path)?;
        let slots = read_slots(&file, &path)?;
        let newest = slots
            .iter()
            .zip(0..)
            .filter_map(|(slot, index)| match slot {
                Slot::Valid(record) => Some((*record, index)),
                Slot::Blank | Slot::Bad => None,
            })
            .max_by_key(|(record, _)| record.generation);
        let Some((record, index)) = newest else {
            return Err(Error::damaged(None, path, Damage::NoValidSlot));
        };
        Ok((Self { file, path, generation: record.generation, slot: 1 - index }, record))
    }

    /// Writes the older slot. Durable only after [`Self::sync`].
    pub(crate) fn write(&mut self, record: &HeadRecord) -> Result<(), Error> {
        let record = HeadRecord { generation: self.generation + 1, ..*record };
        self.file
            .write_all_at(&record.encode(), self.slot * wide(PAGE))
            .map_err(at("write", &self.path))?;
        self.generation = record.generation;
        self.slot = 1 - self.slot;
        Ok(())
    }

    /// Makes the written slot survive loss of power.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(at("sync", &self.path))
    }

    /// Another handle, to sync without holding a lock on this one.
    pub(crate) fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(at("open", &self.path))
    }
}

/// Reads both slots of the file, valid or not.
///
/// # Errors
///
/// [`Error::UnsupportedFormat`] if one is of a later format.
pub(crate) fn read_slots(file: &dyn ReadAt, path: &Path) -> Result<[Slot; 2], Error> {
    let mut slots = [Slot::Bad; 2];
    for (slot, page) in slots.iter_mut().zip([0, wide(PAGE)]) {
        let mut bytes = [0; sector::SECTOR];
        match file.read_exact_at(&mut bytes, page) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(at("read", path)(error)),
        }
        *slot = read_slot(&bytes, path)?;
    }
    Ok(slots)
}

/// Reads a slot.
///
/// # Errors
///
/// [`Error::UnsupportedFormat`] if it is of a later format.
pub(crate) fn read_slot(bytes: &[u8], path: &Path) -> Result<Slot, Error> {
    match sector::decode(MAGIC, bytes) {
        Sector::Blank => Ok(Slot::Blank),
        Sector::Bad => Ok(Slot::Bad),
        Sector::Newer(found) => Err(dir::newer(path, found)),
        Sector::Valid(body) => Ok(HeadRecord::decode(body).map_or(Slot::Bad, Slot::Valid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Slot {
        read_slot(bytes, Path::new("HEAD")).unwrap()
    }

    #[test]
    fn what_older_files_do_not_say_is_not_known() {
        let head = Head { size: Size::new(3), root: Root([7; 32]) };
        let record = HeadRecord { synced: head, boot_id: [1; 16], ..HeadRecord::NEW };
        let mut older = HeadRecord { confirmed: head, ..record }.encode();
        older[164..508].fill(0);
        let crc = sector::checksum(&older).to_le_bytes();
        older[508..].copy_from_slice(&crc);
        let expected = HeadRecord { boot_id: [0; 16], ..record };
        assert_eq!(read(&older), Slot::Valid(expected));
        assert_eq!(expected.encode(), older, "there is one way to write it");
    }

    #[test]
    fn a_root_that_nothing_can_have_is_bad() {
        let mut slot = HeadRecord::NEW.encode();
        slot[180] = 1;
        let crc = sector::checksum(&slot).to_le_bytes();
        slot[508..].copy_from_slice(&crc);
        assert_eq!(read(&slot), Slot::Bad);
    }

    #[test]
    fn a_boot_id_is_32_digits() {
        let text = "00010203-0405-0607-0809-0a0b0c0d0eff\n";
        let expected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(parse_boot_id(text), Some(expected));
        for other in ["", "0001", &text[..35], "x0010203-0405-0607-0809-0a0b0c0d0eff"] {
            assert_eq!(parse_boot_id(other), None, "{other}");
        }
    }

    #[test]
    fn the_newer_slot_counts_and_a_bad_one_falls_back_to_the_older() {
        let root = tempfile::tempdir().unwrap();
        let mut head = HeadFile::create(root.path(), &HeadRecord::NEW).unwrap();
        for size in 1..=5 {
            let synced = Head { size: Size::new(size), root: Root([7; 32]) };
            head.write(&HeadRecord { synced, ..HeadRecord::NEW }).unwrap();
        }
        let (reopened, record) = HeadFile::open(root.path()).unwrap();
        assert_eq!(record.synced.size, 5);
        let newest = 1 - reopened.slot;
        reopened.file.write_all_at(&[1; 8], newest * wide(PAGE)).unwrap();
        assert_eq!(HeadFile::open(root.path()).unwrap().1.synced.size, 4);
        reopened.file.write_all_at(&[1; 8], reopened.slot * wide(PAGE)).unwrap();
        assert!(matches!(HeadFile::open(root.path()), Err(Error::Damaged { .. })));
    }

    // What is said to survive a loss of power was synced: a device that cannot, is heard.
    #[test]
    fn a_sync_that_fails_is_an_error() {
        let path = PathBuf::from("/dev/null");
        let file = dir::open_to_write(&path).unwrap();
        let mut head = HeadFile { file, path, generation: 0, slot: 0 };
        head.write(&HeadRecord::NEW).unwrap();
        assert!(matches!(head.sync(), Err(Error::Io { during: "sync", .. })));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_damaged() {
        let root = tempfile::tempdir().unwrap();
        let file = File::open(root.path()).unwrap();
        assert!(matches!(read_slots(&file, root.path()), Err(Error::Io { during: "read", .. })));
    }

    fn generations(root: &Path) -> [Option<u64>; 2] {
        let path = root.join("HEAD");
        let file = dir::open_to_write(&path).unwrap();
        read_slots(&file, &path).unwrap().map(|slot| match slot {
            Slot::Valid(record) => Some(record.generation),
            Slot::Blank | Slot::Bad => None,
        })
    }

    #[test]
    fn the_two_slots_are_written_in_turn_each_in_its_page() {
        let root = tempfile::tempdir().unwrap();
        let mut head = HeadFile::create(root.path(), &HeadRecord::NEW).unwrap();
        assert_eq!(head.file.metadata().unwrap().len(), 8192);
        assert_eq!(generations(root.path()), [Some(1), Some(2)]);
        for expected in [[Some(3), Some(2)], [Some(3), Some(4)], [Some(5), Some(4)]] {
            head.write(&HeadRecord::NEW).unwrap();
            assert_eq!(generations(root.path()), expected);
        }
        let (mut again, record) = HeadFile::open(root.path()).unwrap();
        assert_eq!(record.generation, 5);
        again.write(&record).unwrap();
        assert_eq!(generations(root.path()), [Some(5), Some(6)]);
    }

    #[test]
    fn a_file_that_was_cut_has_the_slots_that_are_left() {
        let root = tempfile::tempdir().unwrap();
        let head = HeadFile::create(root.path(), &HeadRecord::NEW).unwrap();
        for (len, left) in
            [(4608, [Some(1), Some(2)]), (4607, [Some(1), None]), (100, [None, None])]
        {
            head.file.set_len(len).unwrap();
            assert_eq!(generations(root.path()), left, "{len} bytes");
        }
    }
}
