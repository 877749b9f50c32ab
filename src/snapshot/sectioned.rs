//! Snapshots of format 2: a header sector, sections, and a directory of these at the end.
//!
//! A section is read without the others, so a question about one task reads a few of them. The
//! directory has a digest of each, over its bytes before they are compressed. Every length that the
//! file claims is held against a limit before memory is taken for it.
//!
//! `docs/format-store.md` has every byte. Start reading at [`encode`].

use super::{MAGIC, RATIO_MAX, SnapshotError, ZSTD_LEVEL, size_of, take};
use crate::{
    ahead::ahead,
    ids::{Head, Root, Size},
    state::{FOLD_VERSION, LedgerState, Loading, Section, Sections, Table},
    store::{Error, SnapshotBytes},
};
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    fmt,
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use zstd::bulk::{Compressor, Decompressor};

pub(super) const FORMAT: u32 = 2;

/// The bytes of the header.
const HEADER_BYTES: usize = 512;
/// The bytes of an entry of the directory.
const ENTRY_BYTES: usize = 64;
/// The most bytes of a section, before they are compressed. One ends at 64 KiB, with its row.
const RAW_BYTES_MAX: u32 = 1 << 20;
/// The most sections: those of some fifty million tasks.
const ENTRIES_MAX: u64 = 1 << 20;
/// The unpacked sections that are kept: an order and the ids that a search meets, and more.
const KEPT_SECTIONS: usize = 64;

pub(super) fn encode(state: &LedgerState, head: Head) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![0; HEADER_BYTES], Directory::default());
    let mut zstd = Compressor::new(ZSTD_LEVEL).ok();
    state.write_tables(&mut |table, count, raw| {
        let packed = zstd.as_mut().and_then(|zstd| zstd.compress(raw).ok());
        let worth = |packed: &Vec<u8>| {
            packed.len() < raw.len() && size_of(raw) <= size_of(packed).saturating_mul(RATIO_MAX)
        };
        let packed = packed.filter(worth);
        let method = if packed.is_some() { Method::Zstd } else { Method::Stored };
        let stored = packed.as_deref().unwrap_or(raw);
        let place = Place { method, offset: size_of(&bytes), packed: narrow(stored.len()) };
        directory.add(table, count, raw, place);
        bytes.extend_from_slice(stored);
    });
    let (offset, entries) = (size_of(&bytes), directory.entries.len());
    let listed: Vec<u8> = directory.entries.iter().flat_map(Entry::to_bytes).collect();
    bytes.extend_from_slice(&listed);
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(FORMAT.to_le_bytes());
    header.extend(FOLD_VERSION.to_le_bytes());
    header.extend(head.size.get().to_le_bytes());
    header.extend(head.root.0);
    header.extend(offset.to_le_bytes());
    header.extend(narrow(entries).to_le_bytes());
    header.extend(crc32c::crc32c(&listed).to_le_bytes());
    header.resize(HEADER_BYTES - 4, 0);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    bytes.splice(..HEADER_BYTES, header);
    bytes
}

/// The digest of a state, as the directory of its snapshot has it.
pub(super) fn digest(state: &LedgerState) -> [u8; 32] {
    let mut directory = Directory::default();
    state.write_tables(&mut |table, count, raw| {
        let place = Place { method: Method::Stored, offset: 0, packed: 0 };
        directory.add(table, count, raw, place);
    });
    directory.digest()
}

/// A snapshot of format 2 whose sections can be read.
pub(crate) struct Sectioned<B> {
    head: Head,
    directory: Directory,
    bytes: B,
    reading: Mutex<Reading>,
}

/// The means to read a section, and the sections that were read last.
struct Reading {
    unpacker: Decompressor<'static>,
    kept: VecDeque<(usize, Arc<Section>)>,
}

impl<B> fmt::Debug for Sectioned<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sectioned").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<B: SnapshotBytes> Sectioned<B> {
    /// Reads header and directory.
    ///
    /// # Errors
    /// [`SnapshotError::UnsupportedFormat`] if it is of another format; the first fault.
    pub(crate) fn open(bytes: B) -> Result<Self, SnapshotError> {
        let header = bytes.read(0, HEADER_BYTES)?;
        let mut rest = header.as_slice();
        if take(&mut rest)? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let found = u32::from_le_bytes(take(&mut rest)?);
        if found != FORMAT {
            return Err(SnapshotError::UnsupportedFormat { found, known: FORMAT });
        }
        let (covered, crc) = header.split_last_chunk().ok_or(SnapshotError::NotASnapshot)?;
        if header.len() < HEADER_BYTES || crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err(SnapshotError::Damaged);
        }
        let fold = u64::from_le_bytes(take(&mut rest)?);
        if fold != FOLD_VERSION {
            return Err(SnapshotError::OtherFold { found: fold, known: FOLD_VERSION });
        }
        let size = u64::from_le_bytes(take(&mut rest)?);
        let root = Root(take(&mut rest)?);
        let offset = u64::from_le_bytes(take(&mut rest)?);
        let entries = u64::from(u32::from_le_bytes(take(&mut rest)?));
        let crc = u32::from_le_bytes(take(&mut rest)?);
        // An event makes at most one row of each table.
        let most = size.saturating_add(1).saturating_mul(long(Table::ALL.len()));
        let len = entries.saturating_mul(long(ENTRY_BYTES));
        if entries > most.min(ENTRIES_MAX) || offset.checked_add(len) != Some(bytes.size()) {
            return Err(SnapshotError::WrongLength { said: len });
        }
        let listed = bytes.read(offset, usize::try_from(len).unwrap_or(usize::MAX))?;
        if crc32c::crc32c(&listed) != crc {
            return Err(SnapshotError::Damaged);
        }
        let directory = Directory::read(&listed, offset)?;
        let unpacker = Decompressor::new();
        let unpacker = unpacker.map_err(|source| SnapshotError::Compression { source })?;
        let reading = Mutex::new(Reading { unpacker, kept: VecDeque::new() });
        Ok(Self { head: Head { size: Size::new(size), root }, directory, bytes, reading })
    }

    /// The head that it stands for.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The whole state. Reads every section that it needs, each once: another thread reads, unpacks and
    /// checks ahead.
    pub(super) fn load(&self) -> Result<(LedgerState, Head), SnapshotError> {
        let (mut loading, mut taken) = (Loading::default(), Ok(()));
        let read = ahead(
            |handover| {
                for entry in self.directory.entries.iter().filter(|entry| !entry.table.only_finds())
                {
                    let section = self.unpacked(entry, &mut self.reading().unpacker)?;
                    if handover.pass(&mut Some((entry.table, section))).is_break() {
                        break;
                    }
                }
                Ok::<_, SnapshotError>(())
            },
            |section: &mut Option<(Table, Section)>| {
                let Some((table, section)) = section else { return ControlFlow::Continue(()) };
                taken = loading.section(*table, section);
                if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        let during = "start a thread";
        read.map_err(|source| Error::Io { during, path: None, source })??;
        taken?;
        Ok((loading.finish()?, self.head))
    }

    /// The digest of the state. Checks every section.
    pub(super) fn digest(&self) -> Result<([u8; 32], Head), SnapshotError> {
        for entry in &self.directory.entries {
            self.unpacked(entry, &mut self.reading().unpacker)?;
        }
        Ok((self.directory.digest(), self.head))
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a section and checks its digest.
    fn unpacked(
        &self,
        entry: &Entry,
        unpacker: &mut Decompressor<'_>,
    ) -> Result<Section, SnapshotError> {
        let stored = self.bytes.read(entry.place.offset, wide(entry.place.packed))?;
        let bytes = match entry.place.method {
            Method::Stored => stored,
            Method::Zstd => unpacker
                .decompress(&stored, wide(entry.raw))
                .map_err(|source| SnapshotError::Compression { source })?,
        };
        if size_of(&bytes) != u64::from(entry.raw) || sha256(&bytes) != entry.sha256 {
            return Err(SnapshotError::Damaged);
        }
        Ok(Section { first: entry.first, count: wide(entry.count), bytes })
    }
}

impl<B: SnapshotBytes> Sections for Sectioned<B> {
    type Error = SnapshotError;

    fn rows(&self, table: Table) -> u64 {
        let last = self.directory.of(table).last();
        last.map_or(0, |last| last.first.saturating_add(last.count.into()))
    }

    fn holding(&self, table: Table, row: u64) -> Result<Arc<Section>, SnapshotError> {
        let (range, entries) = (self.directory.range(table), self.directory.of(table));
        let at = entries.partition_point(|entry| entry.first <= row).checked_sub(1);
        let entry = at.and_then(|at| entries.get(at)).filter(|_| row < self.rows(table));
        let (Some(at), Some(entry)) = (at.map(|at| range.start + at), entry) else {
            return Err(SnapshotError::WrongLength { said: row });
        };
        let mut reading = self.reading();
        if let Some(place) = reading.kept.iter().position(|(kept, _)| *kept == at)
            && let Some(kept) = reading.kept.remove(place)
        {
            reading.kept.push_back(kept.clone());
            return Ok(kept.1);
        }
        let section = Arc::new(self.unpacked(entry, &mut reading.unpacker)?);
        if reading.kept.len() == KEPT_SECTIONS {
            reading.kept.pop_front();
        }
        reading.kept.push_back((at, Arc::clone(&section)));
        Ok(section)
    }
}

/// The way in which a section is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored,
    Zstd,
}

/// The bytes of a section in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    method: Method,
    offset: u64,
    packed: u32,
}

#[derive(Debug, Clone)]
struct Entry {
    table: Table,
    /// The number of rows, and of the first of them.
    count: u32,
    first: u64,
    place: Place,
    /// The number of bytes before they are compressed.
    raw: u32,
    sha256: [u8; 32],
}

impl Entry {
    fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let Self { table, count, first, place: Place { method, offset, packed }, raw, sha256 } =
            self;
        let method = match method {
            Method::Stored => 0,
            Method::Zstd => 1,
        };
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        bytes.extend([table.number(), method, 0, 0]);
        bytes.extend(count.to_le_bytes());
        bytes.extend(first.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(packed.to_le_bytes());
        bytes.extend(raw.to_le_bytes());
        bytes.extend(sha256);
        bytes.try_into().unwrap_or([0; ENTRY_BYTES])
    }

    fn of_bytes(mut bytes: &[u8]) -> Result<Self, SnapshotError> {
        let from = &mut bytes;
        let [table, method, zero, also_zero] = take(from)?;
        let table = Table::of_number(table).filter(|_| (zero, also_zero) == (0, 0));
        let method = match method {
            0 => Method::Stored,
            1 => Method::Zstd,
            _ => return Err(SnapshotError::Damaged),
        };
        let count = u32::from_le_bytes(take(from)?);
        let first = u64::from_le_bytes(take(from)?);
        let offset = u64::from_le_bytes(take(from)?);
        let packed = u32::from_le_bytes(take(from)?);
        let raw = u32::from_le_bytes(take(from)?);
        let place = Place { method, offset, packed };
        let table = table.ok_or(SnapshotError::Damaged)?;
        Ok(Self { table, count, first, place, raw, sha256: take(from)? })
    }

    /// Says whether the lengths that it claims are within their limits.
    fn is_sound(&self) -> bool {
        let Self { table, count, place, raw, .. } = self;
        let rows = (1..=table.rows_max()).contains(&wide(*count)) && raw >= count;
        let fixed = table.width().is_none_or(|width| wide(*count) * width == wide(*raw));
        let packed = match place.method {
            Method::Stored => place.packed == *raw,
            Method::Zstd => {
                place.packed < *raw
                    && u64::from(*raw) <= u64::from(place.packed).saturating_mul(RATIO_MAX)
            }
        };
        *raw <= RAW_BYTES_MAX && rows && fixed && packed
    }
}

/// Every section, table after table, without a gap.
#[derive(Debug, Default)]
struct Directory {
    entries: Vec<Entry>,
}

impl Directory {
    fn add(&mut self, table: Table, count: usize, raw: &[u8], place: Place) {
        let before = self.entries.last().filter(|last| last.table == table);
        let first = before.map_or(0, |last| last.first.saturating_add(last.count.into()));
        let (count, len) = (narrow(count), narrow(raw.len()));
        self.entries.push(Entry { table, count, first, place, raw: len, sha256: sha256(raw) });
    }

    /// The directory of a file whose sections end at `end`.
    fn read(bytes: &[u8], end: u64) -> Result<Self, SnapshotError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut offset = long(HEADER_BYTES);
        for bytes in bytes.chunks(ENTRY_BYTES) {
            let entry = Entry::of_bytes(bytes)?;
            let follows = match entries.last() {
                Some(last) if last.table == entry.table => {
                    entry.first == last.first.saturating_add(last.count.into())
                }
                last => entry.first == 0 && last.is_none_or(|last| last.table < entry.table),
            };
            if !(follows && entry.is_sound() && entry.place.offset == offset) {
                return Err(SnapshotError::Damaged);
            }
            offset = offset.saturating_add(entry.place.packed.into());
            entries.push(entry);
        }
        if offset == end { Ok(Self { entries }) } else { Err(SnapshotError::Damaged) }
    }

    fn range(&self, table: Table) -> Range<usize> {
        let start = self.entries.partition_point(|entry| entry.table < table);
        start..self.entries.partition_point(|entry| entry.table <= table)
    }

    fn of(&self, table: Table) -> &[Entry] {
        self.entries.get(self.range(table)).unwrap_or_default()
    }

    /// Over what does not depend on the compression.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for Entry { table, count, first, raw, sha256, .. } in &self.entries {
            digest.update([table.number()]);
            digest.update(count.to_le_bytes());
            digest.update(first.to_le_bytes());
            digest.update(raw.to_le_bytes());
            digest.update(sha256);
        }
        digest.finalize().into()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
