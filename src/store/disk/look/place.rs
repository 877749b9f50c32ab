//! The files of a directory for a reader that takes no lock: opened relative to one handle, without
//! following a link, without waiting, and only if they are regular files.
//!
//! Start reading at [`Files`], the seam that tests put a directory under change behind.

use crate::store::{
    Error, Unsafe,
    disk::files::{
        dir::{at, not_regular},
        read_at::ReadAt,
    },
};
use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    fmt,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

/// The directory of a ledger, as one handle: whatever becomes of its path, this is one directory.
pub(crate) trait Files: fmt::Debug + Send + Sync {
    /// The path, for errors and to look again.
    fn root(&self) -> &Path;

    /// Says whether the path still leads to this directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if that cannot be told now.
    fn is_current(&self) -> Result<bool, Error>;

    /// Opens a file by its path in the directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it is no regular file, [`Error::Io`].
    fn open(&self, name: &str) -> Result<Option<Handle>, Error>;

    /// The names in a directory below, in any order; none if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn list(&self, name: &str) -> Result<Vec<String>, Error>;

    /// Lets a writer go on. There is no event to wait for: a look takes no lock that one holds.
    fn wait(&self, pause: Duration);
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) file: Box<dyn ReadAt>,
    /// Distinguishes the file from every other that may have its name later.
    pub(crate) id: FileId,
}

/// The device and the inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(pub(crate) u64, pub(crate) u64);

/// The directory itself.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    /// The same, whatever directory this process changes to.
    absolute: PathBuf,
    handle: OwnedFd,
    id: FileId,
}

impl Place {
    /// Opens the directory, which must not be a link.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::UnsafeDir`], [`Error::Io`].
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let (handle, id) = directory(root).map_err(|errno| match errno {
            Errno::NOENT => Error::NotFound { path: root.to_owned() },
            Errno::LOOP => Error::UnsafeDir { path: root.to_owned(), why: Unsafe::Link },
            // With NOFOLLOW some systems say this of a link, too.
            Errno::NOTDIR => match root.symlink_metadata() {
                Ok(meta) if meta.is_symlink() => {
                    Error::UnsafeDir { path: root.to_owned(), why: Unsafe::Link }
                }
                _ => Error::NotFound { path: root.to_owned() },
            },
            errno => at("open", root)(errno.into()),
        })?;
        let absolute = std::path::absolute(root).map_err(at("find", root))?;
        Ok(Self { root: root.to_owned(), absolute, handle, id })
    }

    /// Opens a file as [`open`](Files::open) does, if only the owner of the directory can have written
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::UnsafeDir`] if others could; else as `open`.
    pub(crate) fn open_own(&self, name: &str) -> Result<Option<Handle>, Error> {
        let Some((file, stat)) = self.opened(name)? else { return Ok(None) };
        let place = rustix::fs::fstat(&self.handle).map_err(self.failed("inspect", ""))?;
        let (owner, user, mode) = (stat.st_uid, place.st_uid, stat.st_mode);
        let unsafe_file = |why| Err(Error::UnsafeDir { path: self.root.join(name), why });
        if owner != user {
            return unsafe_file(Unsafe::MixedOwners { owner, user });
        }
        if mode & 0o022 != 0 {
            return unsafe_file(Unsafe::OthersMayWrite { mode });
        }
        Ok(Some(handle(file, &stat)))
    }

    fn opened(&self, name: &str) -> Result<Option<(OwnedFd, Stat)>, Error> {
        // A pipe would wait for a writer without NONBLOCK, and changes nothing for regular files.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let open = |flags| rustix::fs::openat(&self.handle, name, flags, Mode::empty());
        // Only the owner may leave the time of access alone.
        let opened = open(flags | OFlags::NOATIME).or_else(|errno| match errno {
            Errno::PERM => open(flags),
            errno => Err(errno),
        });
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(not_regular(&self.root.join(name))),
            Err(errno) => return Err(self.failed("open", name)(errno)),
        };
        let stat = rustix::fs::fstat(&file).map_err(self.failed("inspect", name))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_regular(&self.root.join(name)));
        }
        Ok(Some((file, stat)))
    }

    fn failed(&self, during: &'static str, name: &str) -> impl FnOnce(Errno) -> Error {
        let path = self.root.join(name);
        move |errno| at(during, &path)(errno.into())
    }
}

fn handle(file: OwnedFd, stat: &Stat) -> Handle {
    let id = FileId(stat.st_dev, stat.st_ino);
    Handle { file: Box::new(File::from(file)), id }
}

fn directory(path: &Path) -> Result<(OwnedFd, FileId), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&handle)?;
    Ok((handle, FileId(stat.st_dev, stat.st_ino)))
}

impl Files for Place {
    fn root(&self) -> &Path {
        &self.root
    }

    fn is_current(&self) -> Result<bool, Error> {
        match directory(&self.absolute) {
            Ok((_, id)) => Ok(id == self.id),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(errno) => Err(self.failed("open", "")(errno)),
        }
    }

    fn open(&self, name: &str) -> Result<Option<Handle>, Error> {
        Ok(self.opened(name)?.map(|(file, stat)| handle(file, &stat)))
    }

    fn list(&self, name: &str) -> Result<Vec<String>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(not_regular(&self.root.join(name))),
            Err(errno) => return Err(self.failed("list", name)(errno)),
        };
        let listing = rustix::fs::Dir::new(handle).map_err(self.failed("list", name))?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(self.failed("list", name))?;
            // A name that is no text is no name of a ledger's file.
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    #[allow(clippy::disallowed_methods, reason = "a writer cannot be waited for without its lock")]
    fn wait(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
