//! Reading a journal: the groups in it, and the proof that the end of the file gives.
//!
//! A crash may leave the last groups half written, and a fault of the disk may hit any group. The
//! two look alike, so the proof decides: a bad group is damaged if `HEAD` or a later group says
//! that it was durable; any other bad group is torn, and is dropped.

use super::{
    dir::{self, at},
    journal::{
        ALIGN, DATA_AT, FILE_BYTES_MAX, GROUP_HEAD, GROUP_MAGIC, GroupHead, Header, Journal,
        first_of,
    },
    sector::{Bytes, is_zero, narrow, wide},
};
use crate::{
    ids::{Head, Seq, Size},
    store::{
        Damage, Error, GROUP_BYTES_MAX,
        disk::files::sector::next_after,
        frames::{Split, numbers_from},
    },
};
use std::{
    fs::File,
    io::Read,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// One whole group in a journal.
#[derive(Debug, Clone)]
pub(crate) struct ScannedGroup {
    /// The log after it.
    pub(crate) after: Head,
    first: Seq,
    frames: Range<usize>,
}

/// The bytes after the last whole group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Zeros up to the end of the file, or nothing.
    Zero,
    /// Bytes that are no group. `witness` is the size up to which the log was durable, as a whole
    /// group behind them says.
    Bad {
        /// 0 if there is no such group.
        witness: u64,
    },
}

/// The contents of a journal. Holds all its bytes.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) groups: Vec<ScannedGroup>,
    pub(crate) rest: Rest,
    bytes: Vec<u8>,
    end: usize,
    crc: u32,
}

/// One whole group, as the bytes from its first one on show it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) head: GroupHead,
    /// The place of its frames in these bytes.
    pub(crate) frames: Range<usize>,
    pub(crate) crc: u32,
    /// The number of its bytes, with the zeros behind it.
    pub(crate) len: usize,
}

impl Record {
    /// Reads the group at the front of `bytes`; `None` if they are none of the journal with this
    /// nonce, or end before it does.
    pub(crate) fn read(bytes: &[u8], nonce: u64) -> Option<Self> {
        let mut reader = Bytes(bytes);
        let head = GroupHead::decode(&mut reader)?;
        let len = usize::try_from(head.bytes).ok()?;
        if head.nonce != nonce || head.count == 0 || len > GROUP_BYTES_MAX {
            return None;
        }
        let frames = reader.take(len)?;
        let crc = reader.u32()?;
        let checked = bytes.get(..GROUP_HEAD + len)?;
        if crc32c::crc32c(checked) != crc || !frames_add_up(frames, head.count) {
            return None;
        }
        let end = (GROUP_HEAD + len + 4).next_multiple_of(ALIGN);
        let padding = bytes.get(GROUP_HEAD + len + 4..end)?;
        let frames = GROUP_HEAD..GROUP_HEAD + len;
        is_zero(padding).then_some(Self { head, frames, crc, len: end })
    }

    /// The bytes that the group at the front of `bytes` takes, as its head says; `None` if no
    /// group begins there.
    pub(crate) fn len_of(bytes: &[u8]) -> Option<usize> {
        let head = GroupHead::decode(&mut Bytes(bytes))?;
        let len = usize::try_from(head.bytes).ok().filter(|len| *len <= GROUP_BYTES_MAX)?;
        Some((GROUP_HEAD + len + 4).next_multiple_of(ALIGN))
    }
}

/// Reads only the header of a journal.
pub(crate) fn read_header(path: &Path) -> Result<Header, Error> {
    let mut bytes = Vec::new();
    let file = dir::open_to_read(path)?;
    file.take(wide(super::sector::SECTOR)).read_to_end(&mut bytes).map_err(at("read", path))?;
    check_name(Header::decode(&bytes, path)?, path)
}

/// Refuses a file with a length that no journal has, before memory is allocated.
pub(crate) fn check_length(length: u64, path: &Path) -> Result<(), Error> {
    if length <= FILE_BYTES_MAX {
        return Ok(());
    }
    let detail = Damage::TooLong { len: length, max: FILE_BYTES_MAX };
    Err(Error::damaged(first_of(path), path, detail))
}

pub(crate) fn check_name(header: Header, path: &Path) -> Result<Header, Error> {
    if first_of(path).map(Seq::get) == header.before.size.get().checked_add(1) {
        return Ok(header);
    }
    let detail = Damage::Contradiction { part: "its header", other: "its name" };
    Err(Error::damaged(first_of(path), path, detail))
}

impl Scan {
    /// Reads a journal whole. O(its size).
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let file = dir::open_to_read(path)?;
        let length = file.metadata().map_err(at("inspect", path))?.len();
        check_length(length, path)?;
        let mut bytes = Vec::with_capacity(narrow(length));
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(at("read", path))?;
        Self::of(path, bytes)
    }

    /// Splits the bytes of a journal into groups. O(bytes).
    pub(crate) fn of(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let header = check_name(Header::decode(&bytes, path)?, path)?;
        let mut scan = Self {
            path: path.to_owned(),
            header,
            groups: Vec::new(),
            rest: Rest::Zero,
            bytes,
            end: DATA_AT,
            crc: header.crc(),
        };
        scan.find_groups();
        Ok(scan)
    }

    fn find_groups(&mut self) {
        while let Some((group, crc, end)) = self.group_at(self.end) {
            let (head, frames) = group;
            let before = self.after().size;
            let size = before.get().checked_add(u64::from(head.count));
            let (Some(first), Some(size)) = (Seq::new(head.first), size) else { break };
            if first.leaf_index() != before || head.crc_before != self.crc {
                break;
            }
            let after = Head { size: Size::new(size), root: head.root };
            self.groups.push(ScannedGroup { after, first, frames });
            (self.crc, self.end) = (crc, end);
        }
        let rest = self.bytes.get(self.end..).unwrap_or_default();
        if !is_zero(rest) {
            self.rest = Rest::Bad { witness: self.witness() };
        }
    }

    /// The whole group that begins at `at`, with its checksum and the place of the next one.
    fn group_at(&self, at: usize) -> Option<((GroupHead, Range<usize>), u32, usize)> {
        let Record { head, frames, crc, len } =
            Record::read(self.bytes.get(at..)?, self.header.nonce)?;
        Some(((head, at + frames.start..at + frames.end), crc, at + len))
    }

    /// The size up to which the log was durable, as the whole groups behind the first bad one say.
    fn witness(&self) -> u64 {
        let mut witness = 0;
        let mut at = self.end + ALIGN;
        while let Some(word) = self.bytes.get(at..at + ALIGN) {
            if word.starts_with(&GROUP_MAGIC)
                && let Some(((head, _), _, end)) = self.group_at(at)
            {
                witness = witness.max(head.synced_upto);
                at = end;
            } else {
                at += ALIGN;
            }
        }
        witness
    }

    /// The log after the last whole group.
    pub(crate) fn after(&self) -> Head {
        self.groups.last().map_or(self.header.before, |group| group.after)
    }

    /// Refuses a journal that does not end where the next one begins: one of them belongs to
    /// another history, or to another time.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] at the first event on which they may differ.
    pub(crate) fn check_ends(&self, next: Head) -> Result<(), Error> {
        let after = self.after();
        if after == next {
            return Ok(());
        }
        let seq = next_after(self.header.before.size.get());
        let detail = Damage::Seam { found: Box::new(after), next: Box::new(next) };
        Err(Error::damaged(seq, &self.path, detail))
    }

    /// Says whether a group of this journal ends in `head`; `None` if the size is not in its range.
    pub(crate) fn agrees_with(&self, head: Head) -> Option<bool> {
        if head.size < self.header.before.size || head.size > self.after().size {
            return None;
        }
        let at = |after: &Head| after.size == head.size;
        let here = std::iter::once(self.header.before).chain(self.groups.iter().map(|g| g.after));
        Some(here.filter(at).any(|after| after.root == head.root))
    }

    /// Decides whether missing events at the end were durable: up to `durable`, as `HEAD` or the
    /// next journal says.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] at the first bad group, or [`Error::LostTail`] if there are only zeros in
    /// its place.
    pub(crate) fn judge(&self, durable: u64) -> Result<(), Error> {
        let found = self.after().size;
        let (expected, nothing) = match self.rest {
            Rest::Zero => (durable, true),
            Rest::Bad { witness } => (durable.max(witness), false),
        };
        if found >= expected {
            return Ok(());
        }
        if nothing {
            return Err(Error::LostTail { expected, found: found.get() });
        }
        let detail = Damage::DurableGroup { at: self.end };
        Err(Error::damaged(Seq::new(found.get() + 1), &self.path, detail))
    }

    /// Every frame with its number, in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        self.groups.iter().flat_map(|group| self.frames_of(group))
    }

    /// The frames of one group.
    pub(crate) fn frames_of(&self, group: &ScannedGroup) -> impl Iterator<Item = (Seq, &[u8])> {
        let bytes = self.bytes.get(group.frames.clone()).unwrap_or_default();
        numbers_from(group.first).zip(Split(bytes))
    }

    /// The place of the bytes after the last whole group.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Says whether the file is as long as its header says.
    pub(crate) fn is_whole(&self) -> bool {
        wide(self.bytes.len()) >= self.header.bytes
    }

    /// Makes the groups after event `synced` survive loss of power. A process that has ended wrote
    /// them.
    ///
    /// Writes them again first: after a failed sync, the system takes pages for written that are in
    /// memory only, and the next sync would succeed without them.
    pub(crate) fn make_durable(&self, synced: u64) -> Result<(), Error> {
        self.write_again(&dir::open_to_write(&self.path)?, synced)
    }

    fn write_again(&self, file: &File, synced: u64) -> Result<(), Error> {
        let begins = |group: &ScannedGroup| group.frames.start.saturating_sub(GROUP_HEAD);
        let first = self.groups.iter().find(|group| group.after.size > synced).map(begins);
        let from = first.unwrap_or(self.end);
        file.write_all_at(self.bytes.get(from..self.end).unwrap_or_default(), wide(from))
            .and_then(|()| file.sync_data())
            .map_err(at("sync", &self.path))
    }

    /// Makes the file ready for appends: zeroes all bytes after the last whole group, and syncs all
    /// of it as [`Self::make_durable`] does.
    pub(crate) fn into_journal(self, synced: u64) -> Result<Journal, Error> {
        let file = dir::open_to_write(&self.path)?;
        if self.rest != Rest::Zero || !self.is_whole() {
            let to = self.header.bytes.max(wide(self.bytes.len()));
            dir::write_zeros(&file, wide(self.end), to)
                .and_then(|()| file.sync_all())
                .map_err(at("cut the torn end", &self.path))?;
        }
        self.write_again(&file, synced)?;
        Ok(Journal::at(file, self.path, self.header, self.end, self.crc))
    }
}

fn frames_add_up(bytes: &[u8], count: u32) -> bool {
    let mut frames = Split(bytes);
    let counted = frames.by_ref().count();
    frames.0.is_empty() && u32::try_from(counted) == Ok(count)
}
