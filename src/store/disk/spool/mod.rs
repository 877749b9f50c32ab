//! `spool/`: files beside a store, written by processes that do not hold its lock, for the one that
//! has it next.
//!
//! ```text
//! KEY.batch    a whole batch, synced, until a writer has taken it in      (here)
//! KEY.output   the end of what a running command writes, not synced       (output)
//! ```
//!
//! To this module a batch is bytes with a time, and an output bytes with a count. It believes no file:
//! only regular files are opened, without following a link and without waiting, their headers are
//! sectors with a checksum, and no length that they claim is read beyond a limit. Other names in the
//! directory mean nothing. Start reading at [`SpoolFiles`].

mod output;

pub(crate) use output::{OUTPUT_BYTES_MAX, Output, key_of as output_key};

use super::{
    files::{
        dir::{self, at, at_or_full},
        engines, node,
        sector::{self, Bytes, SECTOR, Sector, narrow, wide},
    },
    look::place::{Files as _, Place},
};
use crate::{
    ids::{Key, LedgerId},
    store::{Damage, Error, Unsafe},
};
use rustix::fs::OFlags;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const MAGIC: [u8; 8] = *b"TLBATC\r\n";
const BATCH: &str = ".batch";
/// The end of the name of a batch that is not whole yet, `KEY.batch.PROCESS.NUMBER.tmp`.
const TMP: &str = ".tmp";
/// The largest batch, in bytes: as much as the frames of a batch may have.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// The most batches that wait: far more than there are commands that run at once.
const BATCHES_MAX: usize = 4_096;
/// The most bytes of batches that wait.
const BYTES_MAX: u64 = 256 << 20;
/// The most names of the directory that are looked at: the files of a ledger, and strangers among them.
const NAMES_MAX: usize = 65_536;
/// The most times that a batch is written: a purge takes files away that are not whole yet.
const TRIES: u32 = 3;

/// The spool of the store at a path. Touches nothing before a call asks for it.
#[derive(Debug, Clone)]
pub(crate) struct SpoolFiles {
    root: PathBuf,
}

#[cfg(test)]
thread_local! {
    /// True to let [`SpoolFiles::settle`] fail on this thread, for tests.
    pub(crate) static UNSETTLED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A batch that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spooled {
    /// The ledger that it is for.
    pub(crate) ledger: LedgerId,
    /// The time at which it was written, in milliseconds: they are taken in by it.
    pub(crate) at: u64,
    /// The batch.
    pub(crate) body: Vec<u8>,
}

impl SpoolFiles {
    /// The spool of the store at `root`.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn place(&self) -> PathBuf {
        self.root.join(dir::SPOOL)
    }

    /// The path of a file in the spool.
    fn path(&self, name: &str) -> PathBuf {
        self.place().join(name)
    }

    /// Writes a batch under a key. Its bytes are synced then, and its name is not before
    /// [`settle`](Self::settle). The same batch may wait already; no file is ever replaced, so that who
    /// has read one may remove it by its name.
    ///
    /// # Errors
    ///
    /// It does not wait then.
    ///
    /// - [`Error::Replaced`] if another ledger is at the path; else as reading `NODE`.
    /// - [`Error::Exists`] if another batch waits under the key.
    /// - [`Error::TooLarge`], and [`Error::Full`] if too many wait or the disk is full.
    /// - [`Error::UnsafeDir`], [`Error::Io`].
    pub(crate) fn put(&self, key: Key, batch: &Spooled) -> Result<(), Error> {
        let (len, max) = (batch.body.len(), BATCH_BYTES_MAX);
        if len > max {
            return Err(Error::TooLarge { what: "a batch for the spool", len, max });
        }
        self.check_ledger(batch.ledger)?;
        self.make()?;
        // Whoever made it: an output is written without a sync.
        dir::sync_dir(&self.root)?;
        let name = format!("{key}{BATCH}");
        let path = self.path(&name);
        self.check_room(&path, wide(len))?;
        let bytes = [header(batch), batch.body.clone()].concat();
        let mut tries = 1..TRIES;
        loop {
            let tmp = write_new(&path, &bytes)?;
            let named = fs::hard_link(&tmp, &path);
            let _ = fs::remove_file(&tmp); // a purge removes it as well
            let Err(error) = named else { return Ok(()) };
            if error.kind() == io::ErrorKind::AlreadyExists {
                let waits = self.read(&name).ok();
                let same = waits.is_some_and(|waits| Spooled { at: batch.at, ..waits } == *batch);
                return if same { Ok(()) } else { Err(Error::Exists { path }) };
            }
            // Unless a purge has taken it away before it had its name.
            if error.kind() != io::ErrorKind::NotFound || tries.next().is_none() {
                return Err(at_or_full("a batch in the spool", "name", &path)(error));
            }
        }
    }

    /// Makes the names of the batches that were put survive loss of power.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: they wait, and may not after a loss of power.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        #[cfg(test)]
        if UNSETTLED.get() {
            return Err(at("sync", &self.place())(io::ErrorKind::Other.into()));
        }
        dir::sync_dir(&self.place())
    }

    /// Checks that this is a directory of this user with that ledger in it.
    fn check_ledger(&self, ledger: LedgerId) -> Result<(), Error> {
        let root = &self.root;
        let meta = root.symlink_metadata().map_err(|error| {
            let none = error.kind() == io::ErrorKind::NotFound;
            let found = if none { Some(Error::NotFound { path: root.clone() }) } else { None };
            found.unwrap_or_else(|| at("inspect", root)(error))
        })?;
        let (owner, user) = (meta.uid(), rustix::process::geteuid().as_raw());
        let unsafe_dir = |why| Err(Error::UnsafeDir { path: root.clone(), why });
        if meta.is_symlink() {
            return unsafe_dir(Unsafe::Link);
        }
        // The owner could not take away, nor trust, a file of another user.
        if owner != user {
            return unsafe_dir(Unsafe::OtherUser { owner, user });
        }
        if node::read(root)?.ledger != ledger {
            return Err(Error::Replaced { path: root.clone() });
        }
        Ok(())
    }

    /// Makes the directory, if it is not there. Not synced.
    fn make(&self) -> Result<(), Error> {
        let place = self.place();
        let is_there = || place.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if is_there() {
            return Ok(());
        }
        dir::create_dir(&place)?;
        if is_there() { Ok(()) } else { Err(dir::not_regular(&place)) }
    }

    fn check_room(&self, path: &Path, bytes: u64) -> Result<(), Error> {
        let others = self.files(BATCH)?.into_iter().filter(|(name, _)| name != dir::name(path));
        let (count, held) = others.fold((0, bytes), |(count, held): (usize, u64), (_, len)| {
            (count + 1, held.saturating_add(len))
        });
        if count < BATCHES_MAX && held <= BYTES_MAX {
            return Ok(());
        }
        Err(Error::Full { what: "another batch in the spool", room: None, source: None })
    }

    /// The names of the batches that wait, in order of name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Damaged`] if something else is in the place of the directory.
    pub(crate) fn batches(&self) -> Result<Vec<String>, Error> {
        Ok(self.files(BATCH)?.into_iter().map(|(name, _)| name).collect())
    }

    /// The number of outputs.
    ///
    /// # Errors
    ///
    /// As [`batches`](Self::batches).
    pub(crate) fn outputs(&self) -> Result<usize, Error> {
        Ok(self.files(output::SUFFIX)?.len())
    }

    /// The regular files with names of this kind, and their lengths, in order of name.
    fn files(&self, suffix: &str) -> Result<Vec<(String, u64)>, Error> {
        let Some(place) = self.open()? else { return Ok(Vec::new()) };
        let mut names = place.list(".")?;
        names.retain(|name| is_ours(name, suffix));
        names.sort();
        names.truncate(NAMES_MAX);
        let lengths = names.into_iter().filter_map(|name| {
            let meta = self.path(&name).symlink_metadata().ok()?;
            meta.is_file().then_some((name, meta.len()))
        });
        Ok(lengths.collect())
    }

    /// A handle of the directory, which is no link; `None` if there is none.
    fn open(&self) -> Result<Option<Place>, Error> {
        match Place::open(&self.place()) {
            Ok(place) => Ok(Some(place)),
            Err(Error::NotFound { .. }) if self.place().symlink_metadata().is_err() => Ok(None),
            Err(Error::NotFound { .. } | Error::UnsafeDir { .. }) => {
                Err(dir::not_regular(&self.place()))
            }
            Err(error) => Err(error),
        }
    }

    /// The time of a batch, without its bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn time_of(&self, name: &str) -> Result<u64, Error> {
        Ok(self.load(name, false)?.at)
    }

    /// Reads a batch.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it does not hold or is not there, [`Error::UnsupportedFormat`],
    /// [`Error::Io`].
    pub(crate) fn read(&self, name: &str) -> Result<Spooled, Error> {
        self.load(name, true)
    }

    fn load(&self, name: &str, whole: bool) -> Result<Spooled, Error> {
        let path = self.path(name);
        let place = self.open()?.ok_or_else(|| dir::missing(&path))?;
        let file = place.open_own(name)?.ok_or_else(|| dir::missing(&path))?.file;
        let mut head = vec![0; SECTOR];
        let found = file.read_at(&mut head, 0).map_err(at("read", &path))?;
        head.truncate(found);
        let malformed = |part| Error::damaged(None, &path, Damage::Malformed { part });
        let (mut batch, len, crc) = match sector::decode(MAGIC, &head) {
            Sector::Valid(body) => decode(body).ok_or_else(|| malformed("its header"))?,
            Sector::Newer(found) => return Err(dir::newer(&path, found)),
            Sector::Blank | Sector::Bad => return Err(malformed("its header")),
        };
        if whole {
            // One byte more than it may have, so that a longer file shows.
            let mut body = vec![0; len + 1];
            let found = file.read_at(&mut body, wide(SECTOR)).map_err(at("read", &path))?;
            body.truncate(found);
            if body.len() != len || crc32c::crc32c(&body) != crc {
                return Err(malformed("the batch"));
            }
            batch.body = body;
        }
        Ok(batch)
    }

    /// Removes batches, durably. One that is not there is removed already.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub(crate) fn remove(&self, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        names.iter().try_for_each(|name| remove(&self.path(name)))?;
        dir::sync_dir(&self.place())
    }

    /// Moves a file to `quarantine/`, and returns its new path.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Exists`], [`Error::Io`]: it stays where it is.
    pub(crate) fn set_aside(&self, name: &str) -> Result<PathBuf, Error> {
        engines::move_aside(&self.root, &self.path(name), "")
    }

    /// Removes files that were not whole yet when their process ended, and every output except those of
    /// the tasks with these keys. A process that is writing a batch writes it again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub(crate) fn purge(&self, keep: impl Fn(&Key) -> bool) -> Result<(), Error> {
        let kept = |name: &str| key_of(name, output::SUFFIX).is_some_and(|key| keep(&key));
        let outputs = self.files(output::SUFFIX)?.into_iter().filter(|(name, _)| !kept(name));
        let leftovers = self.files(TMP)?.into_iter();
        let names: Vec<String> = outputs.chain(leftovers).map(|(name, _)| name).collect();
        self.remove(&names)
    }
}

/// Says whether a name is 32 hexadecimal digits and this suffix, or of a batch that is not whole yet.
fn is_ours(name: &str, suffix: &str) -> bool {
    if suffix != TMP {
        return key_of(name, suffix).is_some();
    }
    let end = name.find(BATCH).map_or(0, |at| at + BATCH.len());
    name.ends_with(TMP) && name.get(..end).is_some_and(|whole| is_ours(whole, BATCH))
}

fn key_of(name: &str, suffix: &str) -> Option<Key> {
    let digits = name.strip_suffix(suffix)?;
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_key = digits.len() == 32 && digits.bytes().all(is_hex);
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_key)?;
    Some(Key(number.to_be_bytes()))
}

fn header(batch: &Spooled) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&batch.ledger.0);
    body.extend_from_slice(&batch.at.to_le_bytes());
    body.extend_from_slice(&wide(batch.body.len()).to_le_bytes());
    body.extend_from_slice(&crc32c::crc32c(&batch.body).to_le_bytes());
    sector::encode(MAGIC, &body)
}

/// A batch without its bytes, how many these are, and their checksum.
fn decode(mut body: Bytes<'_>) -> Option<(Spooled, usize, u32)> {
    let batch = Spooled { ledger: LedgerId(body.array()?), at: body.u64()?, body: Vec::new() };
    let len = narrow(body.u64()?);
    (len <= BATCH_BYTES_MAX).then_some((batch, len, body.u32()?))
}

/// Writes a new file that is to be named `path`, and syncs it. Its name until then is that of no other:
/// several processes may write the same batch.
fn write_new(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut tmp = path.as_os_str().to_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        tmp.push(format!(".{}.{number}{TMP}", std::process::id()));
        let tmp = PathBuf::from(tmp);
        let Some(file) = dir::create_new(&tmp)? else { continue };
        let written = (&file).write_all(bytes).and_then(|()| dir::sync_file(&file, &tmp));
        return written.map(|()| tmp.clone()).map_err(|error| {
            let _ = fs::remove_file(&tmp);
            at_or_full("a batch in the spool", "write", &tmp)(error)
        });
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Opens a regular file to write it in place, or makes it.
fn open_or_create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    options.write(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir::create_file(path)?,
        file => file.map_err(at("open", path))?,
    };
    let is_file = file.metadata().map_err(at("inspect", path))?.is_file();
    if is_file { Ok(file) } else { Err(dir::not_regular(path)) }
}
