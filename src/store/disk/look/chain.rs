//! One journal for a reader beside its writer: the whole groups so far, and the place of each frame.
//!
//! Reads windows and keeps no bytes, so its memory is some bytes for each event, whatever length the
//! file claims. A group counts only if its checksum, its journal's nonce, its number and the
//! checksum of the group before it hold: half written bytes, and those of an earlier use of the same
//! place, end the chain. Start reading at [`Chain::go_on`].

use super::place::{FileId, Handle};
use crate::{
    ids::{Head, LedgerId, Root, Seq, Size},
    store::{
        Damage, Error,
        disk::files::{
            dir::at,
            journal::{DATA_AT, GROUP_HEAD, Header},
            read_at::ReadAt,
            scan::{Record, check_length, check_name},
            sector::{SECTOR, narrow, short, wide},
        },
        frames::Split,
    },
};
use std::path::{Path, PathBuf};

/// The number of bytes that are read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// The whole groups of a journal, as far as they were followed.
#[derive(Debug)]
pub(super) struct Chain {
    file: Box<dyn ReadAt>,
    pub(super) id: FileId,
    path: PathBuf,
    pub(super) header: Header,
    /// The place of each frame's length.
    frames: Vec<u32>,
    groups: Vec<Link>,
    /// The highest size that any group says was durable when it was written.
    pub(super) synced_upto: u64,
    end: u64,
    crc: u32,
}

/// A group of the chain.
#[derive(Debug)]
struct Link {
    /// The log after it.
    after: Head,
    /// The place after its last frame.
    end: u32,
}

impl Chain {
    /// Reads the header of a journal and every whole group in it. O(bytes of the groups).
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it has no header, or is of another ledger;
    /// [`Error::UnsupportedFormat`], [`Error::Io`].
    pub(super) fn open(
        handle: Handle,
        path: PathBuf,
        ledger: Option<LedgerId>,
    ) -> Result<Self, Error> {
        let Handle { file, id } = handle;
        let mut sector = [0; SECTOR];
        let found = file.read_at(&mut sector, 0).map_err(at("read", &path))?;
        let header = Header::decode(sector.get(..found).unwrap_or_default(), &path)?;
        let header = check_name(header, &path)?;
        if ledger.is_some_and(|ledger| ledger != header.ledger) {
            let detail = Damage::OtherLedger { found: header.ledger };
            return Err(Error::damaged(None, path, detail));
        }
        let (frames, groups) = (Vec::new(), Vec::new());
        let (end, crc) = (wide(DATA_AT), header.crc());
        let mut chain = Self { file, id, path, header, frames, groups, synced_upto: 0, end, crc };
        chain.go_on()?;
        Ok(chain)
    }

    /// Follows the groups that were written since. O(their bytes).
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the file is longer than any journal, [`Error::Io`].
    pub(super) fn go_on(&mut self) -> Result<(), Error> {
        let length = self.file.len().map_err(at("inspect", &self.path))?;
        check_length(length, &self.path)?;
        let mut window = Vec::new();
        let mut wanted = WINDOW_BYTES;
        loop {
            let there = narrow(length.saturating_sub(self.end));
            window.resize(wanted.min(there), 0);
            let found = self.file.read_at(&mut window, self.end).map_err(at("read", &self.path))?;
            window.truncate(found);
            let mut rest = window.as_slice();
            while let Some(record) = self.take(rest) {
                rest = rest.get(record..).unwrap_or_default();
            }
            if rest.len() < window.len() {
                wanted = WINDOW_BYTES;
                continue;
            }
            // Nothing was taken: the group is larger than the window, or there is none.
            match Record::len_of(rest) {
                Some(len) if len > window.len() && len <= there => wanted = len,
                _ => return Ok(()),
            }
        }
    }

    /// Takes the group at the front of `bytes` if it is the next one, and returns its length.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let Record { head, frames, crc, len } = Record::read(bytes, self.header.nonce)?;
        let before = self.after().size;
        let size = before.get().checked_add(u64::from(head.count))?;
        if head.first != before.more(1).get() || head.crc_before != self.crc {
            return None;
        }
        let mut place = self.end + wide(GROUP_HEAD);
        for frame in Split(bytes.get(frames)?) {
            self.frames.push(short(narrow(place)));
            place += wide(4 + frame.len());
        }
        let after = Head { size: Size::new(size), root: head.root };
        self.groups.push(Link { after, end: short(narrow(place)) });
        self.synced_upto = self.synced_upto.max(head.synced_upto);
        (self.crc, self.end) = (crc, self.end + wide(len));
        Some(len)
    }

    /// The log after the last whole group.
    pub(super) fn after(&self) -> Head {
        self.groups.last().map_or(self.header.before, |group| group.after)
    }

    /// The end of the last group that ends at or before `size`.
    pub(super) fn end_at(&self, size: u64) -> Head {
        let within = self.groups.partition_point(|group| group.after.size <= size);
        let last = within.checked_sub(1).and_then(|last| self.groups.get(last));
        last.map_or(self.header.before, |group| group.after)
    }

    /// The log after the group of event `seq`.
    pub(super) fn group_after(&self, seq: Seq) -> Head {
        let group = self.groups.partition_point(|group| group.after.size < seq.get());
        self.groups.get(group).map_or_else(|| self.after(), |group| group.after)
    }

    /// The root after `size` events, if a group ends there.
    pub(super) fn root_at(&self, size: Size) -> Option<Root> {
        let found = self.end_at(size.get());
        (found.size == size).then_some(found.root)
    }

    /// Reads frames from `seq` on, not beyond its group: as many as fit `bytes_max`, but at least
    /// one. Empty if the event is not in this journal.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the bytes are not those that were followed, [`Error::Io`].
    pub(super) fn read(&self, seq: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let Some(first) = seq.get().checked_sub(self.header.before.size.get() + 1).map(narrow)
        else {
            return Ok(Vec::new());
        };
        let group = self.groups.partition_point(|group| group.after.size < seq.get());
        let Some((group, begin)) = self.groups.get(group).zip(self.frames.get(first)) else {
            return Ok(Vec::new());
        };
        let count = narrow(group.after.size.get() - seq.leaf_index());
        let later = self.frames.iter().skip(first + 1).take(count - 1).copied();
        let mut ends = later.chain([group.end]);
        let mut end = ends.next().unwrap_or(group.end);
        for next in ends {
            if narrow(u64::from(next - begin)) > bytes_max {
                break;
            }
            end = next;
        }
        let mut bytes = vec![0; narrow(u64::from(end - begin))];
        let damaged = |part| Error::damaged(seq, &self.path, Damage::Malformed { part });
        match self.file.read_exact_at(&mut bytes, u64::from(*begin)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::damaged(seq, &self.path, Damage::CutOff));
            }
            Err(error) => return Err(at("read", &self.path)(error)),
        }
        let mut split = Split(&bytes);
        let frames: Vec<_> = split.by_ref().map(<[u8]>::to_vec).collect();
        if frames.is_empty() || !split.0.is_empty() {
            return Err(damaged("the length of a frame"));
        }
        Ok(frames)
    }

    /// The path of the file, for errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
