//! Retired journals: frames alone, compressed, in files that are never changed in place.
//!
//! A header sector, chunks that are compressed separately, an index of them, and a trailer sector
//! that says where the index is. A chunk can be read without the ones before it. Together with the
//! live journals, the archive holds every frame of the log: sled can be rebuilt from them.
//!
//! ```text
//! file     sector: "TLARCH\r\n", format u32, ledger 16, size and root before, size and root after
//! chunks   zstd of, for each frame: length u32, bytes
//! index    for each chunk: offset u64, first u64, frames u32, bytes u32, zstd bytes u32, their CRC
//! trailer  sector: "TLINDX\r\n", format u32, offset of the index u64, chunks u64, CRC of the index
//! ```

use super::{
    dir::{self, at, at_or_full},
    journal::FILE_BYTES_MAX,
    read_at::ReadAt,
    sector::{self, Bytes, SECTOR, Sector, narrow, short, wide},
};
use crate::{
    ids::{Head, LedgerId, Seq, Size},
    store::{
        Damage, Error, FRAME_BYTES_MAX,
        disk::files::sector::next_after,
        frames::{self, Frames},
    },
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"TLARCH\r\n";
const TRAILER: [u8; 8] = *b"TLINDX\r\n";
const COMPRESSION: i32 = 3;
/// The bytes after which a chunk is closed: few enough to read one event, enough to compress well
/// (`docs/adr/0014`).
const CHUNK_BYTES: usize = 16 << 10;
/// As [`CHUNK_BYTES`], behind the first [`SMALL_CHUNKS`]. Every chunk of older versions has so many.
const LARGE_CHUNK_BYTES: usize = 256 << 10;
const CHUNK_BYTES_MAX: usize = LARGE_CHUNK_BYTES + FRAME_BYTES_MAX + 4;
/// Offset, first frame, number of frames, bytes before and after compression, checksum.
const ENTRY: usize = 32;
/// The most chunks in a file, so that an index takes at most 32 MiB of memory.
const CHUNKS_MAX: u64 = 1 << 20;
/// The chunks of the largest journal four times over. What is longer gets fewer, larger ones.
const SMALL_CHUNKS: u64 = 1 << 18;
const _: () = assert!(
    SMALL_CHUNKS * 16_384 >= 4 * FILE_BYTES_MAX && SMALL_CHUNKS < CHUNKS_MAX,
    "no journal has more chunks than an archive may have"
);

/// The events of an archive, and the log before and after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) ledger: LedgerId,
    pub(crate) before: Head,
    pub(crate) after: Head,
}

impl Span {
    /// The file that holds these events.
    pub(crate) fn path(&self, root: &Path) -> PathBuf {
        let name = format!("{:020}-{:020}.archive", self.before.size.get() + 1, self.after.size);
        root.join(dir::ARCHIVE).join(name)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = self.ledger.0.to_vec();
        sector::put_head(&mut body, self.before);
        sector::put_head(&mut body, self.after);
        body
    }

    pub(super) fn decode(body: &mut Bytes<'_>) -> Option<Self> {
        let ledger = LedgerId(body.array()?);
        let (before, after) = (body.head()?, body.head()?);
        (before.size < after.size).then_some(Self { ledger, before, after })
    }
}

/// The first and the last event of an archive, by its name.
pub(crate) fn range_of(path: &Path) -> Option<(Seq, Seq)> {
    let (first, last) = dir::name(path).strip_suffix(".archive")?.split_once('-')?;
    let (first, last) = (Seq::new(first.parse().ok()?)?, Seq::new(last.parse().ok()?)?);
    (first <= last).then_some((first, last))
}

/// The archives of a ledger in order of their first event.
pub(crate) fn list(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = dir::entries(&root.join(dir::ARCHIVE))?;
    paths.retain(|path| range_of(path).is_some());
    Ok(paths)
}

/// The size of all archives of a ledger, by the lengths of the files. O(files).
pub(crate) fn bytes(root: &Path) -> Result<u64, Error> {
    let lengths = list(root)?.into_iter().map(|path| match fs::symlink_metadata(&path) {
        Ok(meta) => Ok(meta.len()),
        Err(error) => Err(at("inspect", &path)(error)),
    });
    lengths.sum()
}

/// The archives of a ledger, each opened, and the head that they reach.
///
/// # Errors
///
/// [`Error::Damaged`] with the first event that none of them holds, if they do not begin with the
/// first event or do not follow each other, or if one is of another ledger; and as
/// [`Archive::open`].
pub(crate) fn open_all(root: &Path, ledger: LedgerId) -> Result<(Vec<Archive>, Head), Error> {
    let mut reached = Head::EMPTY;
    let mut archives = Vec::new();
    for path in list(root)? {
        let archive = Archive::open(&path)?;
        if archive.span.ledger != ledger || archive.span.before != reached {
            let detail = Damage::NotNext { after: reached.size.get() };
            return Err(Error::damaged(next_after(reached.size.get()), path, detail));
        }
        reached = archive.span.after;
        archives.push(archive);
    }
    Ok((archives, reached))
}

/// Says whether the archive of these events is there and whole.
pub(crate) fn holds(root: &Path, span: Span) -> bool {
    Archive::open_as(&span.path(root), span).is_ok_and(|archive| archive.is_whole())
}

/// The events before `end` that no file of the archive has, by the names of the files: the first and
/// the last of each gap. O(files).
pub(crate) fn gaps(root: &Path, end: Size) -> Result<Vec<(Seq, Seq)>, Error> {
    let mut found = Vec::new();
    let mut reached = Size::EMPTY;
    let ranges = list(root)?.into_iter().filter_map(|path| range_of(&path));
    let starts = ranges.map(|(first, last)| (first.leaf_index(), last.size()));
    for (before, after) in starts.chain([(end.get(), end)]) {
        let last = Seq::new(before).filter(|last| last.size() > reached);
        found.extend(reached.next_seq().zip(last));
        reached = reached.max(after);
    }
    Ok(found)
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    first: u64,
    frames: u32,
    raw: u32,
    packed: u32,
    crc: u32,
}

impl Chunk {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.offset.to_le_bytes());
        to.extend_from_slice(&self.first.to_le_bytes());
        for number in [self.frames, self.raw, self.packed, self.crc] {
            to.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn decode(entry: &[u8]) -> Option<Self> {
        let mut entry = Bytes(entry);
        Some(Self {
            offset: entry.u64()?,
            first: entry.u64()?,
            frames: entry.u32()?,
            raw: entry.u32()?,
            packed: entry.u32()?,
            crc: entry.u32()?,
        })
    }
}

/// An archive being written, under a temporary name.
pub(crate) struct ArchiveWriter {
    span: Span,
    file: File,
    path: PathBuf,
    tmp: PathBuf,
    packer: zstd::bulk::Compressor<'static>,
    index: Vec<u8>,
    chunks: u64,
    offset: u64,
    raw: Vec<u8>,
    raw_first: u64,
    next: u64,
}

impl ArchiveWriter {
    /// Begins the archive of these events.
    pub(crate) fn create(root: &Path, span: Span) -> Result<Self, Error> {
        let path = span.path(root);
        let tmp = dir::tmp_of(&path);
        let file = dir::create_file(&tmp)?;
        let packer = zstd::bulk::Compressor::new(COMPRESSION).map_err(at("compress", &tmp))?;
        let first = span.before.size.get() + 1;
        let mut writer = Self {
            span,
            file,
            path,
            tmp,
            packer,
            index: Vec::new(),
            chunks: 0,
            offset: 0,
            raw: Vec::new(),
            raw_first: first,
            next: first,
        };
        writer.put(&sector::encode(MAGIC, &span.encode()))?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.offset).map_err(at_or_full(
            "an archive",
            "write",
            &self.tmp,
        ))?;
        self.offset += wide(bytes.len());
        Ok(())
    }

    /// Adds the next frame.
    pub(crate) fn push(&mut self, frame: &[u8]) -> Result<(), Error> {
        frames::put(&mut self.raw, frame).map_err(at("write", &self.tmp))?;
        self.next += 1;
        let large = self.chunks >= SMALL_CHUNKS;
        let wanted = if large { LARGE_CHUNK_BYTES } else { CHUNK_BYTES };
        if self.raw.len() >= wanted { self.close_chunk() } else { Ok(()) }
    }

    /// Ends the chunk that is being filled.
    pub(crate) fn close_chunk(&mut self) -> Result<(), Error> {
        let packed = self.packer.compress(&self.raw).map_err(at("compress", &self.tmp))?;
        let chunk = Chunk {
            offset: self.offset,
            first: self.raw_first,
            frames: u32::try_from(self.next - self.raw_first).unwrap_or(u32::MAX),
            raw: short(self.raw.len()),
            packed: short(packed.len()),
            crc: crc32c::crc32c(&packed),
        };
        self.put(&packed)?;
        chunk.encode(&mut self.index);
        self.chunks += 1;
        self.raw.clear();
        self.raw_first = self.next;
        Ok(())
    }

    /// Closes the file, syncs it and reads it again. It gets its final name, durably, only after
    /// all of it was checked.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it did not get exactly the events of its name, or does not read back;
    /// [`Error::Full`], [`Error::Io`].
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let last = self.next - 1;
        if last != self.span.after.size {
            let detail = Damage::End { expected: self.span.after.size.get(), found: last };
            return Err(Error::damaged(next_after(last), self.path, detail));
        }
        if !self.raw.is_empty() {
            self.close_chunk()?;
        }
        let mut trailer = Vec::new();
        trailer.extend_from_slice(&self.offset.to_le_bytes());
        trailer.extend_from_slice(&self.chunks.to_le_bytes());
        trailer.extend_from_slice(&crc32c::crc32c(&self.index).to_le_bytes());
        let index = std::mem::take(&mut self.index);
        self.put(&index)?;
        self.put(&sector::encode(TRAILER, &trailer))?;
        let synced = dir::sync_file(&self.file, &self.tmp);
        synced.map_err(at_or_full("an archive", "sync", &self.tmp))?;
        let again = Archive::open_as(&self.tmp, self.span)?;
        again.all_frames().try_for_each(|frames| frames.map(drop))?;
        dir::publish(&self.tmp, &self.path)
    }
}

/// An archive, opened to be read.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) span: Span,
    pub(crate) path: PathBuf,
    file: Box<dyn ReadAt>,
    /// The index as it is in the file.
    index: Index,
}

/// An entry for each chunk. Takes 32 bytes of memory for each.
#[derive(Debug)]
struct Index(Vec<u8>);

impl Index {
    fn iter(&self) -> impl Iterator<Item = Chunk> {
        self.0.as_chunks::<ENTRY>().0.iter().filter_map(|entry| Chunk::decode(entry))
    }

    /// The chunk that holds an event, or would hold it, and those after it.
    fn from(&self, seq: Seq) -> impl Iterator<Item = Chunk> {
        let (entries, _) = self.0.as_chunks::<ENTRY>();
        let first =
            |entry: &[u8; ENTRY]| Chunk::decode(entry).map_or(u64::MAX, |chunk| chunk.first);
        let before = entries.partition_point(|entry| first(entry) <= seq.get());
        let rest = entries.iter().skip(before.saturating_sub(1));
        rest.filter_map(|entry| Chunk::decode(entry))
    }
}

impl Archive {
    /// The memory that its index takes, in bytes.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index.0.len()
    }

    /// Opens an archive and checks all of it except the chunks.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] with its first event, [`Error::UnsupportedFormat`], [`Error::Io`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::over(Box::new(dir::open_to_read(path)?), path)
    }

    /// As [`open`](Self::open), for a file that is open.
    pub(crate) fn over(file: Box<dyn ReadAt>, path: &Path) -> Result<Self, Error> {
        let length = file.len().map_err(at("inspect", path))?;
        let span = span_of(&*file, path)?;
        let index = read_index(&*file, path, length, &span)?;
        Ok(Self { span, path: path.to_owned(), file, index })
    }

    fn open_as(path: &Path, span: Span) -> Result<Self, Error> {
        let archive = Self::open(path)?;
        if archive.span == span {
            return Ok(archive);
        }
        Err(damaged(path, Damage::OtherEvents))
    }

    /// Says whether every chunk can be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.all_frames().all(|frames| frames.is_ok())
    }

    /// The frames of every chunk, in order. After the error of a damaged chunk, the frames behind
    /// it follow.
    pub(crate) fn all_frames(&self) -> impl Iterator<Item = Result<Frames, Error>> {
        self.index.iter().map(|entry| self.frames_at(&entry))
    }

    /// The frames of the chunk that holds an event, and of those after it.
    pub(crate) fn frames_from(&self, seq: Seq) -> impl Iterator<Item = Result<Frames, Error>> {
        self.index.from(seq).map(|entry| self.frames_at(&entry))
    }

    /// The frames of a chunk. O(chunk).
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] with the first event of the chunk.
    fn frames_at(&self, entry: &Chunk) -> Result<Frames, Error> {
        let bad = |detail| Error::damaged(Seq::new(entry.first), &self.path, detail);
        let mut packed = vec![0; narrow(u64::from(entry.packed))];
        self.file.read_exact_at(&mut packed, entry.offset).map_err(at("read", &self.path))?;
        if crc32c::crc32c(&packed) != entry.crc {
            return Err(bad(Damage::Malformed { part: "the checksum of a chunk" }));
        }
        let first = Seq::new(entry.first)
            .ok_or_else(|| bad(Damage::Malformed { part: "the first event of a chunk" }))?;
        let frames = Frames::unpack(first, &packed, narrow(u64::from(entry.raw)));
        frames
            .filter(|frames| wide(frames.len()) == u64::from(entry.frames))
            .ok_or_else(|| bad(Damage::Contradiction { part: "a chunk", other: "its index" }))
    }
}

/// Reads the events of an archive from its header, which has those of its name. One read.
///
/// # Errors
///
/// [`Error::Damaged`], [`Error::UnsupportedFormat`], [`Error::Io`].
pub(crate) fn span_of(file: &dyn ReadAt, path: &Path) -> Result<Span, Error> {
    let head = read_sector(file, path, 0)?;
    let span = match sector::decode(MAGIC, &head) {
        Sector::Newer(found) => return Err(dir::newer(path, found)),
        Sector::Valid(mut body) => Span::decode(&mut body),
        Sector::Blank | Sector::Bad => None,
    };
    let span = span.ok_or_else(|| damaged(path, Damage::Malformed { part: "its header" }))?;
    let named = range_of(path).map(|(first, last)| (first.get(), last.get()));
    if named.is_some_and(|named| named != (span.before.size.get() + 1, span.after.size.get())) {
        let (part, other) = ("its header", "its name");
        return Err(damaged(path, Damage::Contradiction { part, other }));
    }
    Ok(span)
}

fn damaged(path: &Path, detail: Damage) -> Error {
    Error::damaged(range_of(path).map(|(first, _)| first), path, detail)
}

pub(super) fn read_sector(
    file: &dyn ReadAt,
    path: &Path,
    place: u64,
) -> Result<[u8; SECTOR], Error> {
    let mut bytes = [0; SECTOR];
    match file.read_exact_at(&mut bytes, place) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(damaged(path, Damage::CutOff))
        }
        Err(error) => Err(at("read", path)(error)),
    }
}

fn read_index(file: &dyn ReadAt, path: &Path, length: u64, span: &Span) -> Result<Index, Error> {
    let short = || damaged(path, Damage::CutOff);
    let trailer_at = length.checked_sub(wide(SECTOR)).ok_or_else(short)?;
    let trailer = read_sector(file, path, trailer_at)?;
    let Sector::Valid(mut trailer) = sector::decode(TRAILER, &trailer) else {
        return Err(damaged(path, Damage::Malformed { part: "its trailer" }));
    };
    let (Some(offset), Some(chunks), Some(crc)) = (trailer.u64(), trailer.u64(), trailer.u32())
    else {
        return Err(damaged(path, Damage::Malformed { part: "its trailer" }));
    };
    let bytes = chunks.saturating_mul(wide(ENTRY));
    if chunks > CHUNKS_MAX || offset.checked_add(bytes) != Some(trailer_at) {
        let (part, other) = ("the place of its index", "its trailer");
        return Err(damaged(path, Damage::Contradiction { part, other }));
    }
    let mut index = vec![0; narrow(bytes)];
    file.read_exact_at(&mut index, offset).map_err(at("read", path))?;
    if crc32c::crc32c(&index) != crc {
        return Err(damaged(path, Damage::Malformed { part: "the checksum of its index" }));
    }
    let index = Index(index);
    if adds_up(index.iter(), offset, span) {
        return Ok(index);
    }
    Err(damaged(path, Damage::Contradiction { part: "its index", other: "its header" }))
}

/// Says whether the chunks follow each other without a gap and have sizes that a writer can give
/// them.
fn adds_up(index: impl Iterator<Item = Chunk>, end: u64, span: &Span) -> bool {
    let (mut offset, mut first) = (wide(SECTOR), span.before.size.get() + 1);
    for chunk in index {
        let sane = narrow(u64::from(chunk.raw)) <= CHUNK_BYTES_MAX
            && narrow(u64::from(chunk.packed)) <= zstd::zstd_safe::compress_bound(CHUNK_BYTES_MAX);
        if chunk.offset != offset || chunk.first != first || chunk.frames == 0 || !sane {
            return false;
        }
        offset += u64::from(chunk.packed);
        first += u64::from(chunk.frames);
    }
    offset == end && first == span.after.size.get() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Root;

    fn archive_of(root: &Path, frames: &[Vec<u8>]) -> Span {
        std::fs::create_dir_all(root.join(dir::ARCHIVE)).unwrap();
        let before = Head { size: Size::new(100), root: Root([1; 32]) };
        let after = Head { size: Size::new(100 + wide(frames.len())), root: Root([2; 32]) };
        let span = Span { ledger: LedgerId([9; 16]), before, after };
        let mut writer = ArchiveWriter::create(root, span).unwrap();
        for frame in frames {
            writer.push(frame).unwrap();
        }
        writer.finish().unwrap();
        span
    }

    fn read_all(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
        let archive = Archive::open(path)?;
        let mut frames = Vec::new();
        for chunk in archive.all_frames() {
            frames.extend(chunk?.iter().map(|(_, frame)| frame.to_vec()));
        }
        Ok(frames)
    }

    #[test]
    fn frames_read_back_and_any_of_them_is_found_through_the_index() {
        let root = tempfile::tempdir().unwrap();
        let frames: Vec<_> = (0..3000_u32).map(|n| n.to_le_bytes().repeat(100)).collect();
        let span = archive_of(root.path(), &frames);
        let archive = Archive::open(&span.path(root.path())).unwrap();
        assert!(archive.index.iter().count() > 2);
        assert_eq!(read_all(&archive.path).unwrap(), frames);
        for (wanted, frame) in (101..).filter_map(Seq::new).zip(&frames) {
            let chunk = archive.frames_from(wanted).next().unwrap().unwrap();
            assert_eq!(chunk.get(wanted), Some(&frame[..]), "{wanted}");
        }
    }

    /// Memory for a chunk is asked for on the word of the index.
    #[test]
    fn a_chunk_larger_than_was_ever_written_is_refused_by_its_length() {
        let before = Head { size: Size::EMPTY, root: Root([1; 32]) };
        let after = Head { size: Size::new(1), root: Root([2; 32]) };
        let span = Span { ledger: LedgerId([9; 16]), before, after };
        let offset = wide(SECTOR);
        let fits = |raw, packed| {
            let chunk = Chunk { offset, first: 1, frames: 1, raw, packed, crc: 0 };
            adds_up([chunk].into_iter(), offset + u64::from(packed), &span)
        };
        let largest = u32::try_from(CHUNK_BYTES_MAX).unwrap();
        assert!(fits(largest, 100));
        assert!(!fits(largest + 1, 100));
        assert!(!fits(u32::MAX, 100));
        assert!(!fits(100, u32::MAX));
    }

    #[test]
    fn gaps_are_told_by_the_names_of_the_files() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join(dir::ARCHIVE);
        std::fs::create_dir_all(&place).unwrap();
        let found = |end| {
            let gaps = gaps(root.path(), Size::new(end)).unwrap();
            gaps.iter().map(|(a, b)| (a.get(), b.get())).collect::<Vec<_>>()
        };
        assert_eq!(found(0), []);
        assert_eq!(found(9), [(1, 9)]);
        std::fs::write(place.join(format!("{:020}-{:020}.archive", 5, 6)), b"").unwrap();
        assert_eq!(found(6), [(1, 4)]);
        assert_eq!(found(9), [(1, 4), (7, 9)]);
        std::fs::write(place.join(format!("{:020}-{:020}.archive", 1, 4)), b"").unwrap();
        assert_eq!(found(6), []);
        assert_eq!(found(5), []);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let root = tempfile::tempdir().unwrap();
        let frames: Vec<_> = (0..40_u8).map(|n| vec![n; 10]).collect();
        let path = archive_of(root.path(), &frames).path(root.path());
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (place % 8);
            std::fs::write(&path, &flipped).unwrap();
            assert!(read_all(&path).is_err(), "byte {place}");
            std::fs::write(&path, &whole[..place]).unwrap();
            assert!(read_all(&path).is_err(), "cut at {place}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_all(&path).unwrap(), frames);
    }
}
