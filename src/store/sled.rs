//! The sealed store: blocks of 16 frames and the tree's hashes, in sled. The only file that names
//! it.
//!
//! sled 0.34.7 is not trusted with anything that is not elsewhere too. Its `flush` does not sync,
//! so [`Sled::sync`] does; a damaged file may make it panic or, worse, answer with an empty log
//! and overwrite the file, so [`preflight`] looks before it may; values over a quarter of a
//! segment would go to files that are never synced, so blocks are cut into pieces. An error or a
//! panic is [`Error::Engine`]; whoever sees one stops sealing, and commits go on.
//!
//! ```text
//! 'B', first seq u64 BE, piece u16 BE   a piece of a block, up to 7 KiB (store::block)
//! 'M', index u64 BE                     32 bytes
//! ```
//!
//! Knows nothing of journals, tails or what a frame is.

use crate::{
    ids::Seq,
    store::{Error, Frames, Mark, block},
};
use sled::{Config, Db};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const SEGMENT_BYTES: u64 = 512 << 10;
/// sled writes on a pool of seven threads. When it lengthens a file that it is cutting short, it
/// holds a lock until the pool has cut it, and every write of the pool waits for that lock: with
/// seven writes in hand, for ever (seen; it starts no more threads then). What is given to it
/// before it must have written all is therefore less than fills seven buffers of a segment each,
/// though it writes every leaf several times.
const UNWRITTEN_BYTES_MAX: usize = 256 << 10;
/// Bytes after which a batch is full. For each batch sled wakes every thread of its pool twice:
/// with one block a batch that took more time than writing. Well below what must be written out.
const BATCH_BYTES: usize = 64 << 10;
/// sled's own lock outlives the handle that took it, for as long as its threads need.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const BLOCK: u8 = b'B';
const MARK: u8 = b'M';

/// An open sled directory.
pub(super) struct Sled {
    db: Db,
    path: PathBuf,
    /// Opened before anything is written, so that it sees every failed write-back.
    file: File,
    /// Bytes given to sled since it last had to write all that it held.
    unwritten: AtomicUsize,
    /// Let go of after `db`, so that what sled does when the last handle goes is done here.
    _last: Last<Db>,
}

/// Something whose last handle this is, and whose end does not get out as a panic: sled writes and
/// syncs when it is let go of, and panics if the device fails to.
struct Last<T>(Option<T>);

impl<T: Clone> Last<T> {
    /// The last handle and another one. In a pattern, what comes last is let go of first.
    fn of(handle: T) -> (Self, T) {
        let other = handle.clone();
        (Self(Some(handle)), other)
    }
}

impl<T> Drop for Last<T> {
    fn drop(&mut self) {
        let last = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(last))) {
            tracing::warn!("sled panicked as it was let go of; what was not sealed is in journals");
            std::mem::forget(panic); // it could panic again
        }
    }
}

impl std::fmt::Debug for Sled {
    // sled's own would print the whole tree.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sled").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Checks, without writing, whether sled may be let at the files in `path`. Answers how many
/// segments hold something.
///
/// Each segment header says up to where the log was stable, and sled's snapshot how far it was
/// replayed. If the segment of the highest such place is not there, opening would take the whole
/// log for torn and overwrite it. Segments before the snapshot do not count: sled zeroes those that
/// hold nothing any more, also the one that a later header was stable up to. O(1 header per 512
/// KiB).
///
/// # Errors
///
/// [`Error::Damaged`], [`Error::Io`].
pub(super) fn preflight(path: &Path) -> Result<usize, Error> {
    let db = path.join("db");
    let io = |source| Error::Io { during: "check", path: Some(db.clone()), source };
    let damaged = |detail: String| Err(Error::Damaged { seq: None, file: db.clone(), detail });
    let file = match File::open(&db) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return damaged("it is missing; a rebuild makes it anew".to_owned());
        }
        Err(error) => return Err(io(error)),
    };
    let length = file.metadata().map_err(io)?.len();
    let segment = i64::try_from(SEGMENT_BYTES).unwrap_or(i64::MAX);
    let replayed = replayed_upto(path)?;
    let (mut headers, mut place) = (std::collections::BTreeMap::new(), 0);
    while place + 20 <= length {
        let mut head = [0; 20];
        file.read_exact_at(&mut head, place).map_err(io)?;
        headers.extend(segment_header(&head));
        place += SEGMENT_BYTES;
    }
    let counting = headers.range(replayed / segment * segment..);
    let stable = counting.map(|(_, stable)| *stable).fold(replayed, i64::max);
    let needed = stable / segment * segment;
    // What was replayed up to the very end of a segment needs none after it.
    let nothing_since = stable == replayed && needed == replayed && replayed > 0;
    if !headers.is_empty() && !headers.contains_key(&needed) && !nothing_since {
        return damaged(format!(
            "it was stable up to {stable}, but the segment of {needed} is not in it; \
             a rebuild makes it anew"
        ));
    }
    Ok(headers.len())
}

/// How far the newest snapshot of sled's goes, by its name; 0 if there is none.
fn replayed_upto(path: &Path) -> Result<i64, Error> {
    let io = |source| Error::Io { during: "list", path: Some(path.to_owned()), source };
    let mut replayed = 0;
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("snap."));
        let number = number.and_then(|number| i64::from_str_radix(number, 16).ok());
        replayed = number.map_or(replayed, |number| replayed.max(number));
    }
    Ok(replayed)
}

/// Place and stable place of a segment, if its checksum holds.
fn segment_header(head: &[u8; 20]) -> Option<(i64, i64)> {
    let (crc, kept) = head.split_first_chunk::<4>()?;
    let (lsn, stable) = kept.split_first_chunk::<8>()?;
    let (stable, _) = stable.split_first_chunk::<8>()?;
    let holds = u32::from_le_bytes(*crc) == !crc32(kept);
    let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes) ^ i64::MAX;
    holds.then(|| (number(lsn), number(stable)))
}

/// CRC-32 (IEEE), as sled uses it; for 16 bytes per segment no table is worth it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Blocks and marks that are stored together.
#[derive(Default)]
pub(super) struct Batch {
    writes: sled::Batch,
    bytes: usize,
}

impl Batch {
    /// Adds a block, whole or not. It replaces the block that began with the same frame.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be compressed.
    pub(super) fn add_block(
        &mut self,
        first: Seq,
        frames: &[impl AsRef<[u8]>],
    ) -> Result<(), Error> {
        let stored = block::pack(frames).map_err(|source| Error::Io {
            during: "compress",
            path: None,
            source,
        })?;
        for (number, piece) in block::pieces(&stored) {
            self.writes.insert(block_key(first, number), piece);
        }
        self.bytes += stored.len();
        Ok(())
    }

    pub(super) fn add_marks(&mut self, marks: &[Mark]) {
        for mark in marks {
            self.writes.insert(mark_key(mark.index), &mark.hash);
        }
        self.bytes += size_of_val(marks);
    }

    /// Whether another block should go into another batch.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}

impl Sled {
    /// Makes a new one; the directory must be there, and empty.
    pub(super) fn create(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        Self::start(path, cache_bytes)
    }

    /// Opens what [`preflight`] accepted. Leftovers of an opening that was killed go to
    /// `quarantine` first: with them in place every opening fails.
    pub(super) fn open(path: &Path, cache_bytes: u64, quarantine: &Path) -> Result<Self, Error> {
        for name in leftovers(path)? {
            fs::rename(path.join(&name), quarantine.join(&name)).map_err(|source| Error::Io {
                during: "move away",
                path: Some(path.join(&name)),
                source,
            })?;
        }
        Self::start(path, cache_bytes)
    }

    fn start(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let config = Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
        let began = Instant::now();
        let db = loop {
            match guarded("open", || config.open()) {
                Err(Error::Engine { detail, .. })
                    if detail.contains("could not acquire lock") && began.elapsed() < LOCK_WAIT =>
                {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                answer => break answer?,
            }
        };
        let (last, db) = Last::of(db);
        let io = |source| Error::Io { during: "open", path: Some(path.to_owned()), source };
        let file = File::open(path.join("db")).map_err(io)?;
        let (path, unwritten) = (path.to_owned(), AtomicUsize::new(0));
        let sled = Self { db, path, file, unwritten, _last: last };
        sled.shut_off().map_err(io)?;
        Ok(sled)
    }

    /// Takes the rights of others off the files that sled made.
    fn shut_off(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            match fs::set_permissions(&path, fs::Permissions::from_mode(mode)) {
                // sled removes old snapshots on its own threads.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => answer?,
            }
        }
        Ok(())
    }

    /// Stores what is in `batch`, all or none. It is not durable before [`Self::sync`].
    pub(super) fn put(&self, batch: Batch) -> Result<(), Error> {
        if batch.bytes == 0 {
            return Ok(());
        }
        guarded("seal", || self.db.apply_batch(batch.writes))?;
        let unwritten = self.unwritten.fetch_add(batch.bytes, Ordering::Relaxed) + batch.bytes;
        if unwritten >= UNWRITTEN_BYTES_MAX {
            self.write_out()?;
        }
        Ok(())
    }

    /// Has sled write what it holds in memory: what it calls flushing. That is no sync.
    fn write_out(&self) -> Result<(), Error> {
        self.unwritten.store(0, Ordering::Relaxed);
        guarded("flush", || self.db.flush()).map(drop)
    }

    /// The frames of the block that begins with `first`; `None` if there is no such block.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] at its first frame if its pieces do not add up, [`Error::Engine`].
    pub(super) fn block(&self, first: Seq) -> Result<Option<Frames>, Error> {
        let Some(head) = guarded("read", || self.db.get(block_key(first, 0)))? else {
            return Ok(None);
        };
        let damaged = || self.damaged(first);
        let pieces = block::piece_count(&head).ok_or_else(damaged)?;
        let mut stored = head.to_vec();
        for number in 1..pieces {
            let piece = guarded("read", || self.db.get(block_key(first, number)))?;
            stored.extend_from_slice(&piece.ok_or_else(damaged)?);
        }
        block::unpack(first, &stored).map(Some).ok_or_else(damaged)
    }

    /// Gives every block to `visit`, in order, until it answers `false`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`]. A block that does not hold is an error for `visit`.
    pub(super) fn each_block(
        &self,
        mut visit: impl FnMut(Result<Frames, Error>) -> bool,
    ) -> Result<(), Error> {
        let mut pieces = self.db.range([BLOCK]..[BLOCK + 1]);
        let mut current: Option<(Seq, Vec<u8>)> = None;
        while let Some((key, piece)) = guarded("read", || pieces.next().transpose())? {
            match (&mut current, first_of(&key)) {
                (Some((first, stored)), Some(next)) if *first == next => {
                    stored.extend_from_slice(&piece);
                }
                (_, Some(next)) => {
                    let done = current.replace((next, piece.to_vec()));
                    if !done.is_none_or(|(first, stored)| visit(self.whole(first, &stored))) {
                        return Ok(());
                    }
                }
                (_, None) => {}
            }
        }
        if let Some((first, stored)) = current {
            visit(self.whole(first, &stored));
        }
        Ok(())
    }

    fn whole(&self, first: Seq, stored: &[u8]) -> Result<Frames, Error> {
        block::unpack(first, stored).ok_or_else(|| self.damaged(first))
    }

    fn damaged(&self, first: Seq) -> Error {
        Error::Damaged {
            seq: Some(first),
            file: self.path.join("db"),
            detail: "the block does not hold; a rebuild makes it anew".to_owned(),
        }
    }

    /// The first frame of the last block; `None` if there is no block.
    pub(super) fn last_block(&self) -> Result<Option<Seq>, Error> {
        let last = guarded("read", || self.db.range([BLOCK]..[BLOCK + 1]).next_back().transpose())?;
        Ok(last.and_then(|(key, _)| first_of(&key)))
    }

    /// The hash under this index.
    pub(super) fn mark(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        let hash = guarded("read", || self.db.get(mark_key(index)))?;
        let Some(hash) = hash else { return Ok(None) };
        match <[u8; 32]>::try_from(&*hash) {
            Ok(hash) => Ok(Some(hash)),
            Err(_) => Err(Error::Damaged {
                seq: None,
                file: self.path.join("db"),
                detail: format!("mark {index} has {} bytes instead of 32", hash.len()),
            }),
        }
    }

    /// Gives every mark to `visit`, in order of its index.
    pub(super) fn each_mark(
        &self,
        mut visit: impl FnMut(u64, [u8; 32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut marks = self.db.range([MARK]..[MARK + 1]);
        while let Some((key, hash)) = guarded("read", || marks.next().transpose())? {
            let index = key.get(1..).and_then(|key| <[u8; 8]>::try_from(key).ok());
            let hash = <[u8; 32]>::try_from(&*hash).ok();
            let (Some(index), Some(hash)) = (index, hash) else {
                return Err(Error::Damaged {
                    seq: None,
                    file: self.path.join("db"),
                    detail: "a mark has not 32 bytes; a rebuild makes it anew".to_owned(),
                });
            };
            visit(u64::from_be_bytes(index), hash)?;
        }
        Ok(())
    }

    /// Makes everything stored so far survive loss of power: what sled calls flushing, and then
    /// our own sync of its files and directories.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.write_out()?;
        self.shut_off().and_then(|()| self.sync_files()).map_err(|source| Error::Io {
            during: "sync",
            path: Some(self.path.clone()),
            source,
        })
    }

    fn sync_files(&self) -> io::Result<()> {
        self.file.sync_all()?;
        for entry in fs::read_dir(&self.path)? {
            match File::open(entry?.path()).and_then(|file| file.sync_all()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => answer?,
            }
        }
        File::open(&self.path)?.sync_all()?;
        self.path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }
}

/// The snapshots that an opening was killed over.
fn leftovers(path: &Path) -> Result<Vec<String>, Error> {
    let io = |source| Error::Io { during: "list", path: Some(path.to_owned()), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".generating")) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// Calls sled, and makes an error of whatever comes out of it.
fn guarded<T>(during: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(sled::Error::Io(source))) if source.kind() == io::ErrorKind::StorageFull => {
            Err(Error::Full { what: "sealed blocks", source: Some(source) })
        }
        Ok(Err(error)) => Err(Error::Engine { during, detail: error.to_string() }),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing");
            Err(Error::Engine { during, detail: format!("it panicked, saying: {said}") })
        }
    }
}

fn block_key(first: Seq, piece: u16) -> Vec<u8> {
    let mut key = vec![BLOCK];
    key.extend_from_slice(&first.get().to_be_bytes());
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

fn first_of(key: &[u8]) -> Option<Seq> {
    let first = key.get(1..9)?.try_into().ok()?;
    Seq::new(u64::from_be_bytes(first))
}

fn mark_key(index: u64) -> Vec<u8> {
    let mut key = vec![MARK];
    key.extend_from_slice(&index.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// The power went while a ledger was opened; sled, let go of because of that, synced its file and
    /// unwrapped the answer. Opening panicked instead of saying what was wrong.
    #[test]
    fn what_sled_does_when_it_is_let_go_of_does_not_get_out_as_a_panic() {
        struct Fails;
        impl Drop for Fails {
            fn drop(&mut self) {
                panic!("called `Result::unwrap()` on an `Err` value: EIO");
            }
        }
        let opening = || -> Result<(), Error> {
            let (_last, _sled) = Last::of(Arc::new(Fails));
            Err(Error::Halted)
        };
        assert!(matches!(opening(), Err(Error::Halted)));
    }

    fn put_block(
        sled: &Sled,
        first: Seq,
        frames: &[impl AsRef<[u8]>],
        marks: &[Mark],
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        batch.add_block(first, frames)?;
        batch.add_marks(marks);
        sled.put(batch)
    }

    fn seq(number: u64) -> Seq {
        Seq::new(number).unwrap()
    }

    /// Bytes that do not compress.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(next());
        }
        bytes.truncate(len);
        bytes
    }

    /// As large as the codec lets a frame be: four texts of 1 MiB, an event of 16 KiB.
    const FRAME_BYTES: usize = (4 << 20) + (16 << 10);

    fn narrow_segment() -> usize {
        usize::try_from(SEGMENT_BYTES).unwrap()
    }

    fn block(sled: &Sled, first: u64) -> Vec<Vec<u8>> {
        let frames = sled.block(seq(first)).unwrap().unwrap();
        frames.iter().map(|(_, frame)| frame.to_vec()).collect()
    }

    fn block_of(seed: u64, len: usize) -> Vec<Vec<u8>> {
        (0..16).map(|n| noise(seed * 16 + n + 1, len)).collect()
    }

    #[test]
    fn a_block_reads_back_and_a_fuller_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        let frames = block_of(1, 2000);
        let mark = Mark { seq: seq(16), index: 30, hash: [3; 32] };
        put_block(&sled, seq(1), &frames[..3], &[]).unwrap();
        assert_eq!(block(&sled, 1), &frames[..3]);
        put_block(&sled, seq(1), &frames, &[mark]).unwrap();
        assert_eq!(block(&sled, 1), frames);
        assert_eq!(sled.mark(30).unwrap(), Some([3; 32]));
        assert_eq!(sled.mark(31).unwrap(), None);
        assert_eq!(sled.block(seq(17)).unwrap(), None);
        assert_eq!(sled.last_block().unwrap(), Some(seq(1)));
    }

    // A value over a quarter of a segment goes to blobs/, which is never synced; a lost one is
    // skipped, or makes the next opening panic.
    #[test]
    fn the_largest_frames_leave_nothing_in_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        let blocks: Vec<_> = (0..2).map(|k| block_of(k, 1 << 20)).collect();
        for (frames, k) in blocks.iter().zip(0..) {
            put_block(&sled, seq(k * 16 + 1), frames, &[]).unwrap();
        }
        sled.sync().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
        drop(sled);
        preflight(dir.path()).unwrap();
        let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
        assert_eq!(block(&sled, 17), blocks[1]);
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    }

    // One block of the largest frames is a thousand times what may wait before it is written out,
    // and all of it is one batch.
    #[test]
    fn blocks_of_the_largest_frames_neither_hang_nor_lose_anything() {
        const BLOCKS: u64 = 2;
        let dir = tempfile::tempdir().unwrap();
        let (done, waits) = std::sync::mpsc::channel();
        let place = dir.path().to_owned();
        // On a thread of its own: if it hung, this would say so.
        let sealing = std::thread::spawn(move || {
            // Less memory than one frame has.
            let sled = Sled::create(&place, 1 << 20).unwrap();
            for k in 0..BLOCKS {
                let marks = [Mark { seq: seq(k * 16 + 16), index: k, hash: [7; 32] }];
                put_block(&sled, seq(k * 16 + 1), &block_of(k, FRAME_BYTES), &marks).unwrap();
                assert!(sled.unwritten.load(Ordering::Relaxed) < UNWRITTEN_BYTES_MAX);
            }
            sled.sync().unwrap();
            done.send(()).unwrap();
        });
        waits.recv_timeout(Duration::from_mins(5)).unwrap();
        sealing.join().unwrap();
        preflight(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
        let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
        for k in 0..BLOCKS {
            assert!(block(&sled, k * 16 + 1) == block_of(k, FRAME_BYTES), "block {k}");
            assert_eq!(sled.mark(k).unwrap(), Some([7; 32]));
        }
        assert_eq!(sled.last_block().unwrap(), Some(seq((BLOCKS - 1) * 16 + 1)));
    }

    /// sled zeroes a segment that holds nothing any more when it is opened, while the header of the
    /// next one still says that the log was stable up to there.
    #[test]
    fn a_log_whose_first_segments_are_used_up_is_opened_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        Sled::create(dir.path(), 1 << 20).unwrap().sync().unwrap();
        for k in 0..40 {
            preflight(dir.path()).unwrap();
            let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
            for n in 0..3 {
                // Of bytes that do not compress, and always the same block: what was is garbage.
                put_block(&sled, seq(1), &block_of(k * 3 + n, 1_500), &[]).unwrap();
                sled.sync().unwrap();
            }
        }
    }

    #[test]
    fn a_log_whose_newest_segment_is_missing_is_refused_before_sled_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        for k in 0..20 {
            put_block(&sled, seq(k * 16 + 1), &block_of(k, 8 << 10), &[]).unwrap();
            sled.sync().unwrap();
        }
        drop(sled);
        preflight(dir.path()).unwrap();
        // Which one it is depends on what sled wrote last; only that one is refused, so that no
        // log is refused without need.
        let whole = fs::read(dir.path().join("db")).unwrap();
        let segment = narrow_segment();
        let refused = (0..whole.len()).step_by(segment).filter(|place| {
            let mut cut = whole.clone();
            let end = whole.len().min(place + segment);
            cut[*place..end].fill(0);
            fs::write(dir.path().join("db"), cut).unwrap();
            matches!(preflight(dir.path()), Err(Error::Damaged { .. }))
        });
        assert_eq!(refused.count(), 1);
        fs::remove_file(dir.path().join("db")).unwrap();
        assert!(matches!(preflight(dir.path()), Err(Error::Damaged { .. })));
    }

    // A kill during sled's open leaves such a file, and every later open says Corruption.
    #[test]
    fn the_leftover_of_a_killed_opening_is_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        put_block(&sled, seq(1), &block_of(1, 100), &[]).unwrap();
        sled.sync().unwrap();
        drop(sled);
        fs::write(dir.path().join("snap.0000000000000000.generating"), b"half").unwrap();
        let sled = Sled::open(dir.path(), 1 << 20, quarantine.path()).unwrap();
        assert!(sled.block(seq(1)).unwrap().is_some());
        assert!(quarantine.path().join("snap.0000000000000000.generating").exists());
    }

    #[test]
    fn a_damaged_block_is_damaged_at_its_first_event() {
        let dir = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        put_block(&sled, seq(17), &block_of(1, 1000), &[]).unwrap();
        let mut piece = sled.db.get(block_key(seq(17), 1)).unwrap().unwrap().to_vec();
        piece[9] ^= 1;
        sled.db.insert(block_key(seq(17), 1), piece).unwrap();
        assert!(matches!(
            sled.block(seq(17)),
            Err(Error::Damaged { seq: Some(at), .. }) if at == seq(17)
        ));
    }

    // Without it, sealing hung for ever on a busy machine at 1,000,000 events.
    #[test]
    fn sled_never_holds_more_than_its_threads_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let sled = Sled::create(dir.path(), 1 << 20).unwrap();
        for block in 0..40 {
            put_block(&sled, seq(block * 16 + 1), &block_of(block, 1000), &[]).unwrap();
            assert!(sled.unwritten.load(Ordering::Relaxed) < UNWRITTEN_BYTES_MAX);
        }
        assert!(sled.unwritten.load(Ordering::Relaxed) < 40 * 16_000, "it has written some");
    }

    #[test]
    fn a_panic_inside_is_an_error() {
        let answer = guarded("seal", || -> sled::Result<()> { panic!("bug {}", 7) });
        let error = answer.unwrap_err();
        assert!(matches!(&error, Error::Engine { detail, .. } if detail.contains("bug 7")));
    }
}
