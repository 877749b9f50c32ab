//! The sealed store: blocks of 16 frames and the tree hashes, in sled. The only file that names
//! that crate.
//!
//! sled 0.34.7 is trusted with no bytes that are not in another file too. Its `flush` does not
//! sync, so [`Sled::sync`] does. A damaged file may make it panic or, worse, return an empty log
//! and overwrite the file, so [`preflight()`] checks the files before sled opens them. Values over
//! a quarter of a segment would go to files that are never synced, so blocks are cut into pieces.
//! An error or a panic is [`Error::Engine`]; its caller stops sealing, and commits go on.
//!
//! ```text
//! 'B', first seq u64 BE, piece u16 BE   a piece of a block, up to 7 KiB (store::block)
//! 'M', index u64 BE                     32 bytes
//! ```
//!
//! Knows nothing of journals, tails or the contents of a frame.

mod preflight;
#[cfg(test)]
mod tests;

pub(super) use preflight::{preflight, snapshot_bytes};

use crate::{
    ids::{Seq, TreeHash},
    store::{Damage, Error, Frames, block},
};
use sled::{Config, Db};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// The most bytes that sled may hold unwritten. sled writes on a pool of seven threads. When it
/// extends a file that it is truncating, it holds a lock until the pool has truncated it, and every
/// write of the pool waits for that lock: with seven writes at once, for ever (seen in practice; it
/// starts no more threads then). So it never gets enough bytes to fill seven buffers of a segment
/// each, though it writes every leaf several times.
const UNWRITTEN_BYTES_MAX: usize = 256 << 10;
/// Bytes after which a batch is full. For each batch sled wakes every thread of its pool twice;
/// with one block a batch that took more time than writing. Well below the limit above.
const BATCH_BYTES: usize = 64 << 10;
/// The longest wait for sled's lock, which outlives its handle for as long as sled's threads need.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const BLOCK: u8 = b'B';
const MARK: u8 = b'M';

/// An open sled directory.
pub(super) struct Sled {
    db: Db,
    path: PathBuf,
    /// Opened before anything is written, so that it sees every failed write-back.
    file: File,
    /// Bytes given to sled since it last wrote all that it held.
    unwritten: AtomicUsize,
    /// Dropped after `db`, so that sled's work at its last handle happens here.
    _last: LastHandle<Db>,
}

/// Holds the last handle of a value, and catches a panic of its drop: sled writes and syncs when it
/// is dropped, and panics if the device fails.
struct LastHandle<T>(Option<T>);

impl<T: Clone> LastHandle<T> {
    /// Makes the last handle and another one. In a pattern, the last binding is dropped first.
    fn of(handle: T) -> (Self, T) {
        let other = handle.clone();
        (Self(Some(handle)), other)
    }
}

impl<T> Drop for LastHandle<T> {
    fn drop(&mut self) {
        let last = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(last))) {
            tracing::warn!("sled panicked as it was let go of; what was not sealed is in journals");
            std::mem::forget(panic); // it could panic again
        }
    }
}

impl std::fmt::Debug for Sled {
    // sled's own implementation would print the whole tree.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sled").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Blocks and tree hashes that are stored together.
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

    pub(super) fn add_tree_hashes(&mut self, tree_hashes: &[TreeHash]) {
        for tree_hash in tree_hashes {
            self.writes.insert(mark_key(tree_hash.index), &tree_hash.hash);
        }
        self.bytes += size_of_val(tree_hashes);
    }

    /// Says whether the next block should go into another batch.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}

impl Sled {
    /// Makes a new one; the directory must be there, and empty.
    pub(super) fn create(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        Self::start(path, cache_bytes)
    }

    /// Opens files that [`preflight()`] accepted. First moves leftovers of a killed opening to
    /// `quarantine`: with them in place every opening fails.
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
                // sled lets go of its lock a moment after its last handle is dropped, and has no
                // error of its own for it: its text is all that tells.
                Err(Error::Engine { detail, .. })
                    if detail.contains("could not acquire lock") && began.elapsed() < LOCK_WAIT =>
                {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                answer => break answer?,
            }
        };
        let (last, db) = LastHandle::of(db);
        let io = |source| Error::Io { during: "open", path: Some(path.to_owned()), source };
        let file = File::open(path.join("db")).map_err(io)?;
        let (path, unwritten) = (path.to_owned(), AtomicUsize::new(0));
        let sled = Self { db, path, file, unwritten, _last: last };
        sled.make_private().map_err(io)?;
        Ok(sled)
    }

    /// Removes the access of other users to the files that sled made.
    fn make_private(&self) -> io::Result<()> {
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

    /// Stores `batch`, all or nothing. Durable only after [`Self::sync`].
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

    /// Makes sled write its memory to its files, which it calls flushing. That is no sync.
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

    /// Gives every block to `visit`, in order, until it returns `false`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`]. A damaged block is an error for `visit`.
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
        Error::damaged(first, self.path.join("db"), Damage::MalformedBlock)
    }

    fn malformed_tree_hash(&self, len: usize) -> Error {
        Error::damaged(None, self.path.join("db"), Damage::MalformedTreeHash { len })
    }

    /// The first frame of the last block; `None` if there is no block.
    pub(super) fn last_block(&self) -> Result<Option<Seq>, Error> {
        let last = guarded("read", || self.db.range([BLOCK]..[BLOCK + 1]).next_back().transpose())?;
        Ok(last.and_then(|(key, _)| first_of(&key)))
    }

    /// The hash under this index.
    pub(super) fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        let hash = guarded("read", || self.db.get(mark_key(index)))?;
        let Some(hash) = hash else { return Ok(None) };
        match <[u8; 32]>::try_from(&*hash) {
            Ok(hash) => Ok(Some(hash)),
            Err(_) => Err(self.malformed_tree_hash(hash.len())),
        }
    }

    /// Gives every tree hash to `visit`, in order of its index.
    pub(super) fn each_mark(
        &self,
        visit: impl FnMut(u64, [u8; 32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each_mark_in(0..u64::MAX, visit)
    }

    /// As [`each_mark`](Self::each_mark), of those with an index in a range.
    pub(super) fn each_mark_in(
        &self,
        indexes: Range<u64>,
        mut visit: impl FnMut(u64, [u8; 32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut tree_hashes = self.db.range(mark_key(indexes.start)..mark_key(indexes.end));
        while let Some((key, hash)) = guarded("read", || tree_hashes.next().transpose())? {
            let index = key.get(1..).and_then(|key| <[u8; 8]>::try_from(key).ok());
            let len = hash.len();
            let hash = <[u8; 32]>::try_from(&*hash).ok();
            let (Some(index), Some(hash)) = (index, hash) else {
                return Err(self.malformed_tree_hash(len));
            };
            visit(u64::from_be_bytes(index), hash)?;
        }
        Ok(())
    }

    /// Makes everything stored so far survive loss of power: a flush of sled, and then our own sync
    /// of its files and directories.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.write_out()?;
        self.make_private().and_then(|()| self.sync_files()).map_err(|source| Error::Io {
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

/// The snapshots that a killed opening left.
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

/// Calls sled, and turns its errors and panics into our error.
fn guarded<T>(during: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(sled::Error::Io(source))) if source.kind() == io::ErrorKind::StorageFull => {
            Err(Error::Full { what: "sealed blocks", room: None, source: Some(source) })
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
