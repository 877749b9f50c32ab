//! The journal: the file that a commit is synced to.
//!
//! A file is zeroed and synced before use, so that a commit changes no metadata: one write and one
//! fdatasync. First a header sector in its own page, then group records, each on a multiple of 8
//! bytes, then zeros. `scan` reads a file again.
//!
//! ```text
//! file    sector: "TLJRNL\r\n", format u32, ledger 16, nonce u64, size before u64, root 32,
//!                 bytes of the file u64, zeros, CRC-32C at 508; zeros to 4096; groups
//! group   "TLG1", count u32, nonce u64, first u64, synced_upto u64, bytes of the frames u32,
//!         CRC of the group before u32 (that in the header for the first), root after 32,
//!         for each frame: length u32, bytes; CRC-32C of all this; zeros to a multiple of 8
//! ```
//!
//! All numbers are little endian, here and in every file of the store except sled's keys.

use super::{
    dir::{self, at, at_or_full},
    sector::{self, Bytes, Sector, short, wide},
};
use crate::{
    ids::{Head, LedgerId, Root, Seq},
    store::{Damage, Error, Group},
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const MAGIC: [u8; 8] = *b"TLJRNL\r\n";
/// The largest journal, whatever the options or its header say: a journal is read whole, and zeroed
/// as far as its header says.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 30;
/// The place of the first group: the header has a page for itself.
pub(crate) const DATA_AT: usize = 4096;
/// The first bytes of every group record, before the nonce of its journal.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"TLG1";
/// Bytes of a group record before its frames.
pub(crate) const GROUP_HEAD: usize = 72;
/// Group records begin on multiples of this.
pub(crate) const ALIGN: usize = 8;

/// The contents of the first sector of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ledger: LedgerId,
    /// Distinguishes the groups of this file from those of any other.
    pub(crate) nonce: u64,
    /// The log before the first group of this file.
    pub(crate) before: Head,
    /// The size of the whole file.
    pub(crate) bytes: u64,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.ledger.0);
        body.extend_from_slice(&self.nonce.to_le_bytes());
        sector::put_head(&mut body, self.before);
        body.extend_from_slice(&self.bytes.to_le_bytes());
        sector::encode(MAGIC, &body)
    }

    /// Reads a header.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedFormat`], [`Error::Damaged`].
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let header = match sector::decode(MAGIC, bytes) {
            Sector::Newer(found) => return Err(dir::newer(path, found)),
            Sector::Valid(body) => Self::decode_body(body),
            Sector::Blank | Sector::Bad => None,
        };
        let detail = Damage::Malformed { part: "the header of the journal" };
        header.ok_or_else(|| Error::damaged(first_of(path), path, detail))
    }

    fn decode_body(mut body: Bytes<'_>) -> Option<Self> {
        let header = Self {
            ledger: LedgerId(body.array()?),
            nonce: body.u64()?,
            before: body.head()?,
            bytes: body.u64()?,
        };
        (header.bytes <= FILE_BYTES_MAX).then_some(header)
    }

    /// The checksum that the first group names as that of the group before it.
    pub(crate) fn crc(&self) -> u32 {
        sector::checksum(&self.encode())
    }
}

/// The name of the journal that begins after `size` events.
pub(crate) fn file_name(size: u64) -> String {
    format!("{:020}.journal", size + 1)
}

/// The first event of a journal, by its name.
pub(crate) fn first_of(path: &Path) -> Option<Seq> {
    let number = dir::name(path).strip_suffix(".journal")?.parse().ok()?;
    Seq::new(number)
}

/// The bytes that a group takes in a journal.
pub(crate) fn record_bytes(frames: &[Vec<u8>]) -> usize {
    let frames: usize = frames.iter().map(|frame| 4 + frame.len()).sum();
    (GROUP_HEAD + frames + 4).next_multiple_of(ALIGN)
}

/// A file of zeros, synced, that can become a journal at once.
#[derive(Debug)]
pub(crate) struct Spare {
    file: File,
    path: PathBuf,
    pub(crate) bytes: u64,
}

impl Spare {
    /// Makes one under a temporary name that is not in use. Takes a write and a sync of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Io`]; nothing is left behind.
    pub(crate) fn prepare(journals: &Path, number: u64, bytes: u64) -> Result<Self, Error> {
        let path = journals.join(format!("spare-{number}.tmp"));
        let file = dir::create_file(&path)?;
        let zeroed = dir::write_zeros(&file, 0, bytes).and_then(|()| file.sync_all());
        if let Err(error) = zeroed {
            let _ = std::fs::remove_file(&path);
            return Err(at_or_full("the next journal", "prepare", &path)(error));
        }
        Ok(Self { file, path, bytes })
    }

    /// Writes the header, durably. After a crash, the next opening deletes the file.
    pub(crate) fn write_header(self, header: Header) -> Result<Named, Error> {
        let header = Header { bytes: self.bytes, ..header };
        self.file
            .write_all_at(&header.encode(), 0)
            .and_then(|()| self.file.sync_data())
            .map_err(at("write the header", &self.path))?;
        Ok(Named { file: self.file, path: self.path, header })
    }

    /// Removes the file.
    pub(crate) fn discard(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A spare with a header, before it gets its name.
#[derive(Debug)]
pub(crate) struct Named {
    file: File,
    path: PathBuf,
    header: Header,
}

impl Named {
    /// Gives the file its name, durably: now it is a journal.
    pub(crate) fn publish(self) -> Result<Journal, Error> {
        let path = self.path.with_file_name(file_name(self.header.before.size.get()));
        dir::publish(&self.path, &path)?;
        let crc = self.header.crc();
        Ok(Journal::at(self.file, path, self.header, DATA_AT, crc))
    }
}

/// The journal that groups are written to.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    end: usize,
    crc_before: u32,
    buffer: Vec<u8>,
}

impl Journal {
    /// A journal whose last group ends at `end` and has the checksum `crc_before`.
    pub(crate) fn at(file: File, path: PathBuf, header: Header, end: usize, crc: u32) -> Self {
        Self { file: Arc::new(file), path, header, end, crc_before: crc, buffer: Vec::new() }
    }

    /// Makes later writes go to another file, for tests.
    #[cfg(test)]
    pub(crate) fn redirect(&mut self, file: File) {
        self.file = Arc::new(file);
    }

    /// Says whether a group of this size still fits.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        wide(self.end + bytes) <= self.header.bytes
    }

    /// The bytes of it that are used when a group of `record` bytes goes to the next journal: all, if it
    /// is too full for that group.
    pub(crate) fn bytes(&self, record: usize) -> u64 {
        if self.fits(record) { wide(self.end) } else { self.header.bytes }
    }

    /// Says whether it is time to prepare the next journal.
    pub(crate) fn is_half_full(&self) -> bool {
        wide(self.end) * 2 > self.header.bytes
    }

    /// Says whether no group was written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == DATA_AT
    }

    /// Writes a group, all in one write. Durable only after [`Self::sync`].
    pub(crate) fn write(&mut self, group: &Group<'_>, synced_upto: u64) -> io::Result<()> {
        let mut record = std::mem::take(&mut self.buffer);
        record.clear();
        let head = GroupHead {
            nonce: self.header.nonce,
            first: group.first.get(),
            count: short(group.frames.len()),
            synced_upto,
            bytes: short(group.frames.iter().map(|frame| 4 + frame.len()).sum()),
            crc_before: self.crc_before,
            root: group.root,
        };
        head.encode(&mut record);
        for frame in group.frames {
            record.extend_from_slice(&short(frame.len()).to_le_bytes());
            record.extend_from_slice(frame);
        }
        let crc = crc32c::crc32c(&record);
        record.extend_from_slice(&crc.to_le_bytes());
        record.resize(record.len().next_multiple_of(ALIGN), 0);
        self.file.write_all_at(&record, wide(self.end))?;
        self.end += record.len();
        self.crc_before = crc;
        record.shrink_to(1 << 20);
        self.buffer = record;
        Ok(())
    }

    /// A handle to the file, to sync it while more is written.
    pub(crate) fn file(&self) -> JournalFile {
        JournalFile { file: Arc::clone(&self.file), path: self.path.clone() }
    }
}

/// A file of groups.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: Arc<File>,
    path: PathBuf,
}

impl JournalFile {
    /// Makes every group written so far survive loss of power.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(at("sync", &self.path))
    }
}

/// The bytes before the frames of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupHead {
    pub(crate) nonce: u64,
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// The size up to which the log was durable when this was written.
    pub(crate) synced_upto: u64,
    /// The number of bytes of the frames with their lengths.
    pub(crate) bytes: u32,
    /// The checksum of the group before in this file, or of the header.
    pub(crate) crc_before: u32,
    /// The root after the last frame.
    pub(crate) root: Root,
}

impl GroupHead {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&GROUP_MAGIC);
        to.extend_from_slice(&self.count.to_le_bytes());
        to.extend_from_slice(&self.nonce.to_le_bytes());
        to.extend_from_slice(&self.first.to_le_bytes());
        to.extend_from_slice(&self.synced_upto.to_le_bytes());
        to.extend_from_slice(&self.bytes.to_le_bytes());
        to.extend_from_slice(&self.crc_before.to_le_bytes());
        to.extend_from_slice(&self.root.0);
        assert_eq!(to.len(), GROUP_HEAD, "a group has no other head");
    }

    pub(crate) fn decode(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (magic, count) = (bytes.array::<4>()?, bytes.u32()?);
        let head = Self {
            count,
            nonce: bytes.u64()?,
            first: bytes.u64()?,
            synced_upto: bytes.u64()?,
            bytes: bytes.u32()?,
            crc_before: bytes.u32()?,
            root: bytes.root()?,
        };
        (magic == GROUP_MAGIC).then_some(head)
    }
}

/// The journals of a ledger, in order.
pub(crate) fn list_journals(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = dir::entries(&root.join(dir::JOURNAL))?;
    paths.retain(|path| first_of(path).is_some());
    Ok(paths)
}
