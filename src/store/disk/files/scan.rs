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
    read_at::ReadAt,
    sector::{Bytes, SECTOR, is_zero, narrow, wide},
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
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The number of bytes that are read at once.
const WINDOW_BYTES: usize = 256 << 10;

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

/// The contents of a journal. Holds the groups behind a size, and no other bytes.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    /// The groups that end behind `kept_from` events or with them.
    pub(crate) groups: Vec<ScannedGroup>,
    pub(crate) rest: Rest,
    /// The size behind which groups are held with their bytes.
    kept_from: u64,
    /// The bytes of these groups.
    kept: Vec<u8>,
    after: Head,
    end: u64,
    crc: u32,
    length: u64,
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
    file.take(wide(SECTOR)).read_to_end(&mut bytes).map_err(at("read", path))?;
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
    /// Reads a journal, and keeps all its groups. O(its size).
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        Self::read_after(path, 0)
    }

    /// Reads and checks a journal, and keeps the groups that end behind `size` events. O(its size);
    /// memory for these groups.
    pub(crate) fn read_after(path: &Path, size: u64) -> Result<Self, Error> {
        Self::over(&dir::open_to_read(path)?, path, size)
    }

    /// As [`read`](Self::read), for bytes in memory.
    #[cfg(any(test, feature = "test-util"))]
    #[allow(clippy::needless_pass_by_value, reason = "callers make them for this")]
    pub(crate) fn of(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::over(&bytes, path, 0)
    }

    fn over(file: &dyn ReadAt, path: &Path, kept_from: u64) -> Result<Self, Error> {
        let length = file.len().map_err(at("inspect", path))?;
        check_length(length, path)?;
        let mut sector = [0; SECTOR];
        let found = file.read_at(&mut sector, 0).map_err(at("read", path))?;
        let header = Header::decode(sector.get(..found).unwrap_or_default(), path)?;
        let header = check_name(header, path)?;
        let mut scan = Self {
            path: path.to_owned(),
            header,
            groups: Vec::new(),
            rest: Rest::Zero,
            kept_from,
            kept: Vec::new(),
            after: header.before,
            end: wide(DATA_AT),
            crc: header.crc(),
            length,
        };
        scan.find_groups(file).map_err(at("read", path))?;
        if !is_zero_from(file, scan.end).map_err(at("read", path))? {
            let witness = scan.witness(file).map_err(at("read", path))?;
            scan.rest = Rest::Bad { witness };
        }
        Ok(scan)
    }

    fn find_groups(&mut self, file: &dyn ReadAt) -> io::Result<()> {
        let (mut window, mut wanted) = (Vec::new(), WINDOW_BYTES);
        loop {
            fill(
                &mut window,
                file,
                self.end,
                narrow(self.length.saturating_sub(self.end)).min(wanted),
            )?;
            let mut rest = window.as_slice();
            while let Some(len) = self.take(rest) {
                rest = rest.get(len..).unwrap_or_default();
            }
            // Nothing was taken: the group is larger than the window, or there is none.
            wanted = match Record::len_of(rest) {
                _ if rest.len() < window.len() => WINDOW_BYTES,
                Some(len) if len > window.len() && wide(len) <= self.length - self.end => len,
                _ => return Ok(()),
            };
        }
    }

    /// Takes the group at the front of `bytes` if it is the next one, and returns its length.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let Record { head, frames, crc, len } = Record::read(bytes, self.header.nonce)?;
        let before = self.after.size;
        let size = before.get().checked_add(u64::from(head.count))?;
        let first = Seq::new(head.first)?;
        if first.leaf_index() != before || head.crc_before != self.crc {
            return None;
        }
        self.after = Head { size: Size::new(size), root: head.root };
        let mut place = 0..0;
        if size > self.kept_from {
            let kept = self.kept.len();
            self.kept.extend_from_slice(bytes.get(..len)?);
            place = kept + frames.start..kept + frames.end;
        }
        if size >= self.kept_from {
            self.groups.push(ScannedGroup { after: self.after, first, frames: place });
        }
        (self.crc, self.end) = (crc, self.end + wide(len));
        Some(len)
    }

    /// The size up to which the log was durable, as the whole groups behind the first bad one say.
    fn witness(&self, file: &dyn ReadAt) -> io::Result<u64> {
        let (mut witness, mut at) = (0, ALIGN);
        let mut bytes = Vec::new();
        fill(&mut bytes, file, self.end, narrow(self.length.saturating_sub(self.end)))?;
        while let Some(word) = bytes.get(at..at + ALIGN) {
            if word.starts_with(&GROUP_MAGIC)
                && let Some(record) =
                    Record::read(bytes.get(at..).unwrap_or_default(), self.header.nonce)
            {
                witness = witness.max(record.head.synced_upto);
                at += record.len;
            } else {
                at += ALIGN;
            }
        }
        Ok(witness)
    }

    /// The log after the last whole group.
    pub(crate) fn after(&self) -> Head {
        self.after
    }

    /// The bytes of frames after event `size`, one of those that are kept.
    pub(crate) fn bytes_after(&self, size: u64) -> u64 {
        let behind = self.frames().filter(|(seq, _)| seq.get() > size);
        behind.map(|(_, frame)| wide(frame.len())).sum()
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

    /// Says whether a group of this journal ends in `head`; `None` if the size is not in the range
    /// that is kept.
    pub(crate) fn agrees_with(&self, head: Head) -> Option<bool> {
        let known = self.header.before.size.get().max(self.kept_from)..=self.after().size.get();
        if !known.contains(&head.size.get()) {
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
        let detail = Damage::DurableGroup { at: narrow(self.end) };
        Err(Error::damaged(Seq::new(found.get() + 1), &self.path, detail))
    }

    /// Every frame of the groups that are kept, with its number, in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        self.groups.iter().flat_map(|group| self.frames_of(group))
    }

    /// The frames of one group.
    pub(crate) fn frames_of(&self, group: &ScannedGroup) -> impl Iterator<Item = (Seq, &[u8])> {
        let bytes = self.kept.get(group.frames.clone()).unwrap_or_default();
        numbers_from(group.first).zip(Split(bytes))
    }

    /// The place of the bytes after the last whole group.
    pub(crate) fn end(&self) -> usize {
        narrow(self.end)
    }

    /// Says whether the file is as long as its header says.
    pub(crate) fn is_whole(&self) -> bool {
        self.length >= self.header.bytes
    }

    /// Makes the groups after event `synced` survive loss of power. A process that has ended wrote
    /// them.
    ///
    /// Writes them again first: after a failed sync, the system takes pages for written that are in
    /// memory only, and the next sync would succeed without them.
    pub(crate) fn make_durable(&self, synced: u64) -> Result<(), Error> {
        if self.after.size <= synced {
            return Ok(());
        }
        self.write_again(&dir::open_to_write(&self.path)?, synced)
    }

    fn write_again(&self, file: &File, synced: u64) -> Result<(), Error> {
        assert!(synced >= self.kept_from, "every group that is written again was kept");
        let begins = |group: &ScannedGroup| group.frames.start.saturating_sub(GROUP_HEAD);
        let first = self.groups.iter().find(|group| group.after.size > synced).map(begins);
        let again = self.kept.get(first.unwrap_or(self.kept.len())..).unwrap_or_default();
        file.write_all_at(again, self.end - wide(again.len()))
            .and_then(|()| file.sync_data())
            .map_err(at("sync", &self.path))
    }

    /// Makes the file ready for appends: zeroes all bytes after the last whole group, and makes all of
    /// it durable as [`Self::make_durable`] does.
    pub(crate) fn into_journal(self, synced: u64) -> Result<Journal, Error> {
        let file = dir::open_to_write(&self.path)?;
        if self.is_torn() {
            let to = self.header.bytes.max(self.length);
            dir::write_zeros(&file, self.end, to)
                .and_then(|()| file.sync_all())
                .map_err(at("cut the torn end", &self.path))?;
        }
        if self.after.size > synced {
            self.write_again(&file, synced)?;
        }
        Ok(Journal::at(file, self.path, self.header, narrow(self.end), self.crc))
    }

    /// Says whether the file is not as its writer leaves it between two groups.
    pub(crate) fn is_torn(&self) -> bool {
        self.rest != Rest::Zero || !self.is_whole()
    }
}

/// Fills `bytes` with as many as `count` bytes from `place` on: fewer only at the end.
fn fill(bytes: &mut Vec<u8>, file: &dyn ReadAt, place: u64, count: usize) -> io::Result<()> {
    bytes.resize(count, 0);
    let found = file.read_at(bytes, place)?;
    bytes.truncate(found);
    Ok(())
}

/// Says whether there are only zeros from `place` on.
fn is_zero_from(file: &dyn ReadAt, mut place: u64) -> io::Result<bool> {
    let mut window = Vec::new();
    loop {
        fill(&mut window, file, place, WINDOW_BYTES)?;
        if window.is_empty() || !is_zero(&window) {
            return Ok(window.is_empty());
        }
        place += wide(window.len());
    }
}

fn frames_add_up(bytes: &[u8], count: u32) -> bool {
    let mut frames = Split(bytes);
    let counted = frames.by_ref().count();
    frames.0.is_empty() && u32::try_from(counted) == Ok(count)
}
