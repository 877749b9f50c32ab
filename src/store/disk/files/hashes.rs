//! The tree hashes that the events of an archive complete, in a file beside it.
//!
//! A header sector, then 32 bytes for each hash, in the order in which events complete them: so the
//! place of a hash follows from its index, by arithmetic that `ids` has ([`TreeHash::place_of`]).
//! Nothing here knows what the hashes mean. A reader of the file holds them against the root of the
//! archive, so a file that is lost, damaged or forged costs time only. sled has the same hashes.
//!
//! ```text
//! file     sector: "TLTREE\r\n", format u32, ledger 16, size and root before, size and root after,
//!          hashes u64, their CRC-32C u32
//! hashes   32 bytes each
//! ```

use super::{
    archive::{self, Span},
    dir::{self, at, at_or_full},
    read_at::ReadAt,
    sector::{self, SECTOR, Sector, narrow, wide},
};
use crate::{
    ids::{BLOCK_EVENTS, Seq, Size, TreeHash},
    store::{Damage, Error, sled::Sled},
};
use std::{
    fs::File,
    ops::{ControlFlow, Range},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"TLTREE\r\n";
const HASH: usize = 32;
/// Bytes that are read or written at once.
const BUFFER: usize = 64 << 10;
const EXTENSION: &str = "tree";

/// The file beside an archive.
pub(crate) fn path_of(archive: &Path) -> PathBuf {
    archive.with_extension(EXTENSION)
}

/// The archive that a file of hashes is beside; `None` if it has another name.
pub(crate) fn archive_of(path: &Path) -> Option<PathBuf> {
    let archive = path.with_extension("archive");
    let is_one = path.extension().is_some_and(|extension| extension == EXTENSION);
    (is_one && archive::range_of(&archive).is_some()).then_some(archive)
}

/// The indexes of the hashes that the events of a span complete, in order.
fn indexes(span: &Span) -> impl Iterator<Item = u64> + use<> {
    let blocks = |size: Size| size.get() / BLOCK_EVENTS;
    let ends = blocks(span.before.size) + 1..=blocks(span.after.size);
    ends.filter_map(|block| Seq::new(block * BLOCK_EVENTS)).flat_map(TreeHash::completed_by)
}

/// The range of all indexes of the events of a span, kept or not.
fn range(span: &Span) -> Range<u64> {
    let (first, last) = (span.before.size.get() + 1, span.after.size.last_seq());
    let begin = Seq::new(first).map_or(0, |first| TreeHash::completed_by(first).start);
    begin..last.map_or(0, |last| TreeHash::completed_by(last).end)
}

/// Writes the file beside an archive anew, from the hashes in sled. Returns false, and leaves nothing,
/// if sled does not have them all.
///
/// # Errors
///
/// [`Error::Engine`], [`Error::Full`], [`Error::Io`].
pub(crate) fn write(archive: &Path, span: &Span, from: &Sled) -> Result<bool, Error> {
    let mut writer = Writer::create(archive, *span)?;
    let mut wanted = indexes(span);
    let mut whole = true;
    let written = from.each_mark_in(range(span), |index, hash| {
        whole &= wanted.next() == Some(index);
        if whole { writer.push(&hash) } else { Ok(()) }
    });
    whole &= wanted.next().is_none();
    if matches!(written, Ok(())) && whole {
        return writer.finish().map(|()| true);
    }
    dir::remove(&writer.tmp)?;
    written.map(|()| false)
}

/// A file being written, under a temporary name.
struct Writer {
    span: Span,
    file: File,
    path: PathBuf,
    tmp: PathBuf,
    buffer: Vec<u8>,
    /// The bytes of hashes that are in the file.
    written: u64,
    crc: u32,
}

impl Writer {
    fn create(archive: &Path, span: Span) -> Result<Self, Error> {
        let path = path_of(archive);
        let tmp = dir::tmp_of(&path);
        let file = dir::create_file(&tmp)?;
        Ok(Self { span, file, path, tmp, buffer: Vec::new(), written: 0, crc: 0 })
    }

    fn push(&mut self, hash: &[u8; HASH]) -> Result<(), Error> {
        self.buffer.extend_from_slice(hash);
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), Error> {
        let place = wide(SECTOR) + self.written;
        self.put(&self.buffer, place)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.written += wide(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }

    fn put(&self, bytes: &[u8], place: u64) -> Result<(), Error> {
        let written = self.file.write_all_at(bytes, place);
        written.map_err(at_or_full("tree hashes", "write", &self.tmp))
    }

    fn finish(mut self) -> Result<(), Error> {
        self.write_out()?;
        let mut body = self.span.encode();
        body.extend_from_slice(&(self.written / wide(HASH)).to_le_bytes());
        body.extend_from_slice(&self.crc.to_le_bytes());
        self.put(&sector::encode(MAGIC, &body), 0)?;
        self.file.sync_all().map_err(at_or_full("tree hashes", "sync", &self.tmp))?;
        dir::publish(&self.tmp, &self.path)
    }
}

/// A file of hashes, open to be read.
#[derive(Debug)]
pub(crate) struct Hashes {
    pub(crate) span: Span,
    path: PathBuf,
    file: Box<dyn ReadAt>,
    /// The number of hashes that events before the span complete.
    before: u64,
    count: u64,
    crc: u32,
}

impl Hashes {
    /// Opens a file and checks its header. O(1).
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::UnsupportedFormat`], [`Error::Io`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::over(Box::new(dir::open_to_read(path)?), path)
    }

    /// As [`open`](Self::open), for a file that is open.
    pub(crate) fn over(file: Box<dyn ReadAt>, path: &Path) -> Result<Self, Error> {
        let bad = |part| Error::damaged(None, path, Damage::Malformed { part });
        let length = file.len().map_err(at("inspect", path))?;
        let head = archive::read_sector(&*file, path, 0)?;
        let mut body = match sector::decode(MAGIC, &head) {
            Sector::Newer(found) => return Err(dir::newer(path, found)),
            Sector::Valid(body) => body,
            Sector::Blank | Sector::Bad => return Err(bad("its header")),
        };
        let (span, count, crc) = (Span::decode(&mut body), body.u64(), body.u32());
        let (Some(span), Some(count), Some(crc)) = (span, count, crc) else {
            return Err(bad("its header"));
        };
        let before = TreeHash::kept_by(span.before.size);
        let sound = TreeHash::kept_by(span.after.size) - before == count
            && count.checked_mul(wide(HASH)).and_then(|bytes| bytes.checked_add(wide(SECTOR)))
                == Some(length);
        if !sound {
            let (part, other) = ("its length", "its header");
            return Err(Error::damaged(None, path, Damage::Contradiction { part, other }));
        }
        Ok(Self { span, path: path.to_owned(), file, before, count, crc })
    }

    /// The hash with this index; `None` if it is not one of those here. One read.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub(crate) fn get(&self, index: u64) -> Result<Option<[u8; HASH]>, Error> {
        let place = TreeHash::place_of(index).and_then(|(_, place)| place.checked_sub(self.before));
        let Some(place) = place.filter(|place| *place < self.count) else { return Ok(None) };
        let mut hash = [0; HASH];
        let offset = wide(SECTOR) + place * wide(HASH);
        self.file.read_exact_at(&mut hash, offset).map_err(at("read", &self.path))?;
        Ok(Some(hash))
    }

    /// Gives every hash with its index to `visit`, in order, until it breaks. O(hashes).
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] after the last one if they do not have the checksum of the header;
    /// [`Error::Io`].
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(u64, [u8; HASH]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut indexes = indexes(&self.span);
        let (mut place, end) = (0, self.count * wide(HASH));
        let (mut crc, mut buffer) = (0, Vec::new());
        while place < end {
            buffer.resize(narrow(end - place).min(BUFFER), 0);
            let read = self.file.read_exact_at(&mut buffer, wide(SECTOR) + place);
            read.map_err(at("read", &self.path))?;
            crc = crc32c::crc32c_append(crc, &buffer);
            for (hash, index) in buffer.as_chunks::<HASH>().0.iter().zip(indexes.by_ref()) {
                if visit(index, *hash).is_break() {
                    return Ok(());
                }
            }
            place += wide(buffer.len());
        }
        if crc == self.crc {
            return Ok(());
        }
        let part = "the checksum of its hashes";
        Err(Error::damaged(None, &self.path, Damage::Malformed { part }))
    }
}
