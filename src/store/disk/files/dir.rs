//! The directory of a ledger: its access, its lock, and the creation of files in it.
//!
//! All files are private to their owner (directories 0700, files 0600), unless the ledger was made for
//! its group to read (0750, 0640): what is made in a directory takes the group's right to read from
//! there ([`Access`]), whatever the umask. sled makes its files by the umask, so `sled/` and
//! `quarantine/` are always private. No link is followed, and a file that must be whole appears by a
//! rename after a sync.

use super::sector::wide;
use crate::store::{Damage, Error, Room, Unsafe};
use rustix::fs::{FallocateFlags, OFlags};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{
        DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
    },
    path::{Path, PathBuf},
};

pub(crate) const JOURNAL: &str = "journal";
pub(crate) const ARCHIVE: &str = "archive";
pub(crate) const SLED: &str = "sled";
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const QUARANTINE: &str = "quarantine";
pub(crate) const SUBDIRS: [&str; 5] = [JOURNAL, ARCHIVE, SLED, SNAPSHOTS, QUARANTINE];
/// Made by the first that needs it, and by no opening.
pub(crate) const SPOOL: &str = "spool";
pub(crate) const RESERVE: &str = "RESERVE";
/// The socket at which the process that has the ledger open is asked.
const SOCKET: &str = "ledger.sock";
/// Directories below the ledger are never deeper than `sled/1/blobs`.
const DEPTH_MAX: usize = 4;
/// The largest small file, in bytes: larger than any file that is read whole, except journals,
/// archives and snapshots.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// Makes an I/O error that names the action and the file.
pub(crate) fn at(during: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { during, path: Some(path), source }
}

/// Like [`at`], but with an error of its own for a full disk: for files that are written whole or
/// not at all.
pub(crate) fn at_or_full(
    what: &'static str,
    during: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| {
        if is_full(&source) {
            return Error::Full { what, room: None, source: Some(source) };
        }
        Error::Io { during, path: Some(path), source }
    }
}

/// Says whether there was no space, for any reason.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The error for a file of a later format.
pub(crate) fn newer(path: &Path, found: u32) -> Error {
    Error::UnsupportedFormat { path: path.to_owned(), found, max: super::sector::FORMAT }
}

/// As [`check_safe`], of a ledger that is there: a directory with nothing of a ledger in it is none,
/// whoever may enter it.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::UnsafeDir`].
pub(crate) fn check_ledger(root: &Path) -> Result<(), Error> {
    let none = || Error::NotFound { path: root.to_owned() };
    let is_dir = fs::symlink_metadata(root).is_ok_and(|meta| meta.is_dir());
    if is_dir && entries(root).is_ok_and(|entries| !entries.iter().any(|at| is_of_ledger(at))) {
        return Err(none());
    }
    check_safe(root)
}

/// Says whether an entry of a directory has a name that a ledger gives, apart from those that say
/// nothing of events.
fn is_of_ledger(path: &Path) -> bool {
    let name = name(path);
    SUBDIRS.contains(&name) || ["NODE", "NODE.tmp", "HEAD"].contains(&name)
}

/// Refuses a directory that another user could have changed or can change, or that is a link.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::UnsafeDir`].
pub(crate) fn check_safe(root: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(root) {
        Ok(_) => check_entry(root, 0, Modes::Private, rustix::process::geteuid().as_raw()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NotFound { path: root.to_owned() })
        }
        Err(error) => Err(at("inspect", root)(error)),
    }
}

/// Says who else than its owner could have changed the ledger in `root`: as [`check_safe`], for its owner.
/// Leaves out what this process cannot see.
pub(crate) fn check_safe_for_owner(root: &Path) -> Result<(), Error> {
    let Ok(meta) = fs::symlink_metadata(root) else { return Ok(()) };
    match check_entry(root, 0, Modes::Private, meta.uid()) {
        Err(Error::Io { .. }) => Ok(()),
        answer => answer,
    }
}

/// The origin of a file's mode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Modes {
    /// This module set it.
    Private,
    /// sled set it, by the umask. Other users do not get past the directory above, which must be
    /// private.
    Umask,
    /// Any mode: files in the spool are opened one by one, as what they are and if they are the owner's
    /// own, and keep nobody from the ledger.
    Spool,
}

fn check_entry(path: &Path, depth: usize, modes: Modes, user: u32) -> Result<(), Error> {
    let refuse = |why| Err(Error::UnsafeDir { path: path.to_owned(), why });
    let meta = match fs::symlink_metadata(path) {
        // The threads of sled may still be removing a file.
        Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(at("inspect", path))?,
    };
    if modes == Modes::Spool {
        return Ok(());
    }
    if meta.file_type().is_symlink() {
        return refuse(Unsafe::Link);
    }
    let (owner, mode) = (meta.uid(), meta.mode());
    if owner != user {
        // The directory was looked at first, so it is the user's own.
        let within = Unsafe::MixedOwners { owner, user };
        return refuse(if depth == 0 { Unsafe::OtherUser { owner, user } } else { within });
    }
    if is_of_server(path, depth, &meta) {
        return Ok(());
    }
    if !(meta.is_file() || meta.is_dir()) {
        return refuse(Unsafe::Special);
    }
    if modes != Modes::Umask && mode & 0o022 != 0 {
        return refuse(Unsafe::OthersMayWrite { mode });
    }
    if meta.is_file() {
        return Ok(());
    }
    let by_sled = depth == 1 && is_shut(path);
    if by_sled && mode & 0o077 != 0 {
        return refuse(Unsafe::OthersMayEnter { mode });
    }
    if depth > DEPTH_MAX {
        return refuse(Unsafe::TooDeep);
    }
    let below = match name(path) {
        _ if by_sled => Modes::Umask,
        SPOOL if depth == 1 => Modes::Spool,
        _ => modes,
    };
    entries(path)?.iter().try_for_each(|entry| check_entry(entry, depth + 1, below, user))
}

/// True for the socket of a server, under its own name. It holds nothing: a server that was killed
/// leaves it behind, and the next one replaces it.
fn is_of_server(path: &Path, depth: usize, meta: &fs::Metadata) -> bool {
    depth == 1 && name(path) == SOCKET && meta.file_type().is_socket()
}

/// Checks that `bytes` more fit the file system, before a part of them is written.
///
/// # Errors
///
/// [`Error::Full`].
pub(crate) fn check_space(what: &'static str, place: &Path, bytes: u64) -> Result<(), Error> {
    // If the system cannot tell, the write itself will.
    let Ok(now) = rustix::fs::statvfs(place) else { return Ok(()) };
    let free = now.f_bavail.saturating_mul(now.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    Err(Error::full(what, Room { needed: bytes, free }))
}

/// The contents of a directory, in order of name; empty if there is no directory.
pub(crate) fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("list", path)(error)),
    };
    let mut found = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(at("list", path))?;
    found.sort();
    Ok(found)
}

/// The name of a file; empty if it has none or it is not text.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Says whether a directory of a ledger is never its group's to read.
fn is_shut(path: &Path) -> bool {
    [SLED, QUARANTINE].contains(&name(path))
}

/// The users who may read what is made, besides its owner: nobody, or the group. Nobody else may ever
/// write.
#[derive(Debug, Clone, Copy)]
struct Access {
    /// The bits of the group in the mode of a directory.
    group: u32,
}

impl Access {
    const PRIVATE: Self = Self { group: 0 };

    fn of_root(group_read: bool) -> Self {
        if group_read { Self { group: 0o050 } } else { Self::PRIVATE }
    }

    /// The access to what is made at `path`: that of its directory.
    fn within_parent(path: &Path) -> Result<Self, Error> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let meta = fs::metadata(parent).map_err(at("inspect", parent))?;
        Ok(Self { group: meta.mode() & 0o050 })
    }

    fn of_dir(self) -> u32 {
        0o700 | self.group
    }

    fn of_file(self) -> u32 {
        0o600 | self.group & 0o040
    }
}

/// The mode to set if the umask took some of `wanted` away. What makes files have the group of their
/// directory stays.
fn amended(wanted: u32, meta: &fs::Metadata) -> Option<Permissions> {
    let lacks = wanted & !meta.mode() != 0;
    lacks.then(|| Permissions::from_mode(wanted | meta.mode() & 0o2000))
}

/// Makes the directory of a ledger. Returns false if something is there already.
pub(crate) fn create_root(path: &Path, group_read: bool) -> Result<bool, Error> {
    make_dir(path, Access::of_root(group_read))
}

/// Shuts off a directory in which a ledger is to be made; its group may read it if that is wanted.
pub(crate) fn shut_off(path: &Path, group_read: bool) -> Result<(), Error> {
    let found = fs::symlink_metadata(path).map_err(at("inspect", path))?.mode() & 0o7777;
    let mode = Access::of_root(group_read).of_dir() | found & 0o2000;
    if mode == found {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at("shut off", path))
}

/// Makes a directory within a ledger, if it is not there yet. Durable only after a sync of its parent.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    let access = if is_shut(path) { Access::PRIVATE } else { Access::within_parent(path)? };
    make_dir(path, access).map(drop)
}

/// Returns false if it is there already.
fn make_dir(path: &Path, access: Access) -> Result<bool, Error> {
    let made = DirBuilder::new().mode(access.of_dir()).create(path).and_then(|()| {
        let amended = amended(access.of_dir(), &fs::symlink_metadata(path)?);
        amended.map_or(Ok(()), |mode| fs::set_permissions(path, mode))
    });
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(at_or_full("a directory", "create", path)(error)),
    }
}

pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    let nofollow = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits();
    options.mode(0o600).custom_flags(i32::try_from(nofollow).unwrap_or(0));
    options
}

/// A new empty file, or an old one emptied.
pub(crate) fn create_file(path: &Path) -> Result<File, Error> {
    made(path, true)
}

/// A new empty file; `None` if something is there.
pub(crate) fn create_new(path: &Path) -> Result<Option<File>, Error> {
    let mode = Access::within_parent(path)?.of_file();
    let opened = private().write(true).create_new(true).mode(mode).open(path);
    match opened.and_then(|file| amend(file, mode)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(at_or_full("a file", "create", path)(error)),
    }
}

fn amend(file: File, mode: u32) -> io::Result<File> {
    let amended = amended(mode, &file.metadata()?);
    amended.map_or(Ok(()), |mode| file.set_permissions(mode)).map(|()| file)
}

/// A file to read and write, which is made if it is not there. All files but sled's are made here.
pub(super) fn made(path: &Path, truncate: bool) -> Result<File, Error> {
    let mode = Access::within_parent(path)?.of_file();
    let mut options = private();
    options.read(true).write(true).create(true).truncate(truncate).mode(mode);
    let opened = options.open(path).and_then(|file| amend(file, mode));
    opened.map_err(at_or_full("a file", "create", path))
}

pub(crate) fn open_to_read(path: &Path) -> Result<File, Error> {
    private().read(true).open(path).map_err(at("open", path))
}

pub(crate) fn open_to_write(path: &Path) -> Result<File, Error> {
    match private().read(true).write(true).open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(path)),
        Err(error) => Err(at("open", path)(error)),
    }
}

/// The error for something else in the place of a file.
pub(crate) fn not_regular(path: &Path) -> Error {
    Error::damaged(None, path, Damage::NotRegular)
}

/// The error for a missing file that every ledger has.
pub(crate) fn missing(path: &Path) -> Error {
    Error::damaged(None, path, Damage::Missing)
}

/// The bytes of a small file, at most 64 KiB; `None` if it is not there.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match private().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES_MAX).read_to_end(&mut bytes).map_err(at("read", path))?;
    Ok(Some(bytes))
}

/// Writes `bytes` to `path`, whole or not at all, durably. They go to `tmp` first.
pub(crate) fn write_atomically(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let file = create_file(tmp)?;
    let written = (&file).write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(tmp);
        return Err(at_or_full("a file", "write", tmp)(error));
    }
    publish(tmp, path)
}

/// The name of a file until it is whole.
pub(crate) fn tmp_of(path: &Path) -> PathBuf {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    tmp.into()
}

/// Says whether a file was still being written when the process ended.
pub(crate) fn is_tmp(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tmp")
}

/// Gives a synced file its final name, durably.
pub(crate) fn publish(tmp: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(tmp, path).map_err(at_or_full("a directory entry", "rename", path))?;
    sync_parent(path)
}

/// Makes the creation or removal of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
thread_local! {
    /// The directories that were synced on this thread, and the files by [`sync_file`], for tests: their
    /// disk keeps everything.
    pub(crate) static SYNCED: std::cell::RefCell<Vec<PathBuf>> =
        const { std::cell::RefCell::new(Vec::new()) };
}

/// Makes the bytes of a file durable, and notes that for tests.
pub(crate) fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    #[cfg(not(test))]
    let _ = path;
    file.sync_all()
}

/// Makes all creations and removals in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at("sync", path))
}

/// Removes a file durably, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// Removes a directory and its contents, if it is there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// Removes files that were still being written when the process ended. Returns false if there are
/// none.
pub(crate) fn remove_leftovers(root: &Path) -> Result<bool, Error> {
    let mut found = false;
    for place in [root.to_owned(), root.join(JOURNAL), root.join(ARCHIVE), root.join(SNAPSHOTS)] {
        for entry in entries(&place)? {
            if is_tmp(&entry) {
                remove(&entry)?;
                found = true;
            }
        }
    }
    Ok(found)
}

/// The size of the reserve; 0 if there is none.
pub(crate) fn reserved_bytes(root: &Path) -> u64 {
    fs::symlink_metadata(root.join(RESERVE)).map_or(0, |meta| meta.len())
}

/// Cuts the reserve down to `kept` bytes, so that its space can be used, and warns of it. Returns false
/// if it is no longer than that.
pub(crate) fn give_reserve_up(root: &Path, kept: u64) -> Result<bool, Error> {
    let (path, found) = (root.join(RESERVE), reserved_bytes(root));
    if found <= kept {
        return Ok(false);
    }
    if kept == 0 {
        remove(&path)?;
    } else {
        let cut = open_to_write(&path)?.set_len(kept).map_err(at("cut", &path));
        cut.and_then(|()| sync_dir(root))?;
    }
    let ledger = root.display();
    let bytes = found - kept;
    tracing::warn!(%ledger, bytes, "the disk is full: the reserve was given up; make space");
    Ok(true)
}

/// Reserves the space that makes opening possible when the disk is full.
pub(crate) fn ensure_reserve(root: &Path, bytes: u64) -> Result<(), Error> {
    let path = root.join(RESERVE);
    if reserved_bytes(root) >= bytes {
        return Ok(());
    }
    let tmp = tmp_of(&path);
    let file = create_file(&tmp)?;
    let filled = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&file, 0, bytes),
        Err(errno) => Err(errno.into()),
    };
    if let Err(error) = filled.and_then(|()| file.sync_all()) {
        let _ = fs::remove_file(&tmp);
        return Err(at_or_full("the reserve", "write", &tmp)(error));
    }
    publish(&tmp, &path)
}

/// Writes zeros from `from` up to `to`, a mebibyte at a time.
pub(crate) fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut place = from;
    while place < to {
        let count = super::sector::narrow(to - place).min(zeros.len());
        file.write_all_at(zeros.get(..count).unwrap_or_default(), place)?;
        place += wide(count);
    }
    Ok(())
}

/// The directory of the engine with this number.
pub(crate) fn engine_path(root: &Path, engine: u64) -> PathBuf {
    root.join(SLED).join(engine.to_string())
}
