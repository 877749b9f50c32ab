//! A directory of a ledger that makes way for another copy of the same ledger, and is kept.
//!
//! ```text
//! PATH                             the ledger, locked from begin to end
//! PATH.rejoin                      the copy, until both are exchanged in one step
//! PATH.divergent-EPOCH-FIRST-LAST  what was at PATH before
//! ```
//!
//! At every moment there is a whole ledger at PATH. The roles in both `NODE` files say which step
//! comes next, so a process that was killed is followed by one that goes on. Start reading at
//! [`Place`].

use crate::store::{
    Error, Identity, Role,
    disk::{
        DiskHome,
        files::{dir, lock::Lock, node},
        options::DiskOptions,
        whole::{create, open},
    },
};
use rustix::fs::{CWD, RenameFlags};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The reason that a directory could not be replaced.
#[derive(Debug)]
pub(crate) enum ReplaceError {
    /// Its file system cannot exchange two directories, or it is where another one is mounted.
    CannotExchange(io::Error),
    /// A file or directory could not be read or written.
    Store(Error),
}

impl From<Error> for ReplaceError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// The directory of a ledger, whose lock is held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    options: DiskOptions,
    _lock: Lock,
}

impl Place {
    /// Takes the lock of the ledger at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::UnsafeDir`], [`Error::InUse`], [`Error::Io`].
    pub(crate) fn take(path: &Path, options: &DiskOptions) -> Result<Self, Error> {
        dir::check_ledger(path)?;
        if !path.join(node::FILE).exists() {
            node::read(path)?;
        }
        let root = fs::canonicalize(path).map_err(dir::at("find", path))?;
        let lock = Lock::take(&root, options.lock_wait)?;
        Ok(Self { root, options: options.clone(), _lock: lock })
    }

    /// The directory of the ledger.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// The identity of the ledger.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        node::read(&self.root)
    }

    /// Changes the identity of the ledger, durably. It must not be open.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), Error> {
        if self.identity()? == *identity {
            return Ok(());
        }
        node::replace(&self.root, identity)?;
        self.options.steps.at("role written");
        Ok(())
    }

    /// The ledger, to be opened under this lock.
    pub(crate) fn home(&self) -> DiskHome {
        DiskHome::new(&self.root, DiskOptions { lock_held: true, ..self.options.clone() })
    }

    /// The copy, which whoever may read the ledger may read too.
    pub(crate) fn copy(&self) -> Result<DiskHome, Error> {
        let mode = fs::metadata(&self.root).map_err(dir::at("inspect", &self.root))?.mode();
        let group_read = mode & 0o050 != 0;
        // Its journals must not take those of the ledger for their own.
        let nonce_seed = self.options.nonce_seed.wrapping_add(1);
        let options = DiskOptions { group_read, nonce_seed, ..self.options.clone() };
        Ok(DiskHome::new(self.copy_path(), options))
    }

    /// The directory of the copy.
    pub(crate) fn copy_path(&self) -> PathBuf {
        self.beside(".rejoin")
    }

    /// The identity of what is at the place of the copy; `None` if nothing is there, or an unfinished
    /// copy.
    pub(crate) fn copy_identity(&self) -> Result<Option<Identity>, Error> {
        match node::read(&self.copy_path()) {
            Ok(identity) => Ok(Some(identity)),
            Err(Error::NotFound { .. } | Error::Unfinished { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a whole copy of this ledger that was not put in place.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if it is anything else.
    pub(crate) fn remove_copy(&self) -> Result<(), Error> {
        let path = self.copy_path();
        let (ours, found) = (self.identity()?, node::read(&path)?);
        let same = (ours.ledger, ours.node) == (found.ledger, found.node);
        if !same || found.role != Role::Standby {
            return Err(Error::Exists { path });
        }
        {
            let _lock = Lock::take(&path, self.options.lock_wait)?;
            node::replace(&path, &Identity { role: Role::Copying, ..found })?;
        }
        create::remove_unfinished(&path)
    }

    /// Checks that two directories can be exchanged here, with two empty ones that are removed again.
    ///
    /// # Errors
    ///
    /// [`ReplaceError::CannotExchange`]; a full disk, or a parent that may not be written.
    pub(crate) fn check_exchange(&self) -> Result<(), ReplaceError> {
        if is_mount(&self.root) {
            let why = "another file system is mounted at it";
            return Err(ReplaceError::CannotExchange(io::Error::other(why)));
        }
        let (one, other) = (self.beside(".rejoin-1.tmp"), self.beside(".rejoin-2.tmp"));
        let made = [&one, &other].into_iter().try_for_each(|path| dir::create_dir(path));
        let exchanged =
            made.map_err(ReplaceError::Store).and_then(|()| self.exchange(&one, &other));
        for path in [&one, &other] {
            if let Err(left) = fs::remove_dir(path)
                && left.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %left, "an empty directory is left");
            }
        }
        exchanged
    }

    /// Puts the copy, which becomes what `identity` says, at the place of the ledger, and keeps that at
    /// the path `aside`. Resumes what an earlier call has begun.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if something is at `aside`; [`ReplaceError::CannotExchange`]: then the ledger
    /// stays where it is, and so does the copy.
    pub(crate) fn put_in_place(&self, aside: &Path) -> Result<(), ReplaceError> {
        refuse_existing(aside)?;
        let copy = self.copy_path();
        {
            // Held over the exchange: nobody opens either of them before both have their names.
            let _lock = Lock::take(&copy, self.options.lock_wait)?;
            self.exchange(&copy, &self.root)?;
            self.options.steps.at("exchanged");
            dir::sync_parent(&self.root)?;
            self.options.steps.at("exchange synced");
            self.name_replaced(aside)?;
        }
        Ok(())
    }

    /// Gives what was replaced, which is at the place of the copy now, the name under which it is kept.
    pub(crate) fn name_replaced(&self, aside: &Path) -> Result<(), Error> {
        refuse_existing(aside)?;
        dir::publish(&self.copy_path(), aside)?;
        self.options.steps.at("replaced ledger named");
        Ok(())
    }

    /// The path at which the ledger is kept when it is replaced: `PATH.divergent-EPOCH-FIRST-LAST`.
    pub(crate) fn aside(&self, epoch: u64, first: u64, last: u64) -> PathBuf {
        self.beside(&format!(".divergent-{epoch}-{first}-{last}"))
    }

    /// A sibling of the ledger: its path with this at the end.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.root.as_os_str().to_owned();
        path.push(suffix);
        path.into()
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<(), ReplaceError> {
        let exchange = |()| {
            rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
                .map_err(io::Error::from)
        };
        let exchanged = self.options.steps.check_exchange().and_then(exchange);
        exchanged.map_err(ReplaceError::CannotExchange)
    }
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::Exists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(dir::at("inspect", path)(error)),
    }
}

/// Says whether a file system is mounted at a directory, which then cannot be renamed. Says no where the
/// system does not tell: the exchange itself is refused then.
fn is_mount(path: &Path) -> bool {
    let parent = path.parent().and_then(|parent| fs::metadata(parent).ok());
    let elsewhere = fs::metadata(path)
        .is_ok_and(|meta| parent.is_some_and(|parent| parent.dev() != meta.dev()));
    elsewhere || is_mount_root(path)
}

#[cfg(target_os = "linux")]
fn is_mount_root(path: &Path) -> bool {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount_root(_: &Path) -> bool {
    false
}

impl DiskHome {
    /// Removes a ledger that was replaced, under its lock: afterwards nothing has its events.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if it is no such ledger: nothing is changed. [`Error::NotFound`],
    /// [`Error::UnsafeDir`], [`Error::InUse`], [`Error::Io`].
    pub(crate) fn remove_divergent(&self) -> Result<(), Error> {
        let (root, options) = self.parts();
        dir::check_ledger(root)?;
        let _lock = open::locked(root, options)?;
        if node::read(root)?.role != Role::Divergent {
            return Err(Error::Exists { path: root.to_owned() });
        }
        // Stopped half way, it leaves a name that no command takes for a ledger.
        let leaving = dir::tmp_of(root);
        dir::remove_tree(&leaving)?;
        dir::publish(root, &leaving)?;
        dir::remove_tree(&leaving)
    }
}
