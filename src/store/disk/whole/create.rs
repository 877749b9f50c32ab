//! Making a new ledger.
//!
//! `NODE` appears last, first under its temporary name. A directory with `NODE.tmp`, without
//! `NODE`, and with no file that could have been acknowledged is unfinished, and may be cleared. So
//! may one whose `NODE` says that it is an unfinished copy.

use super::open::Parts;
use crate::{
    ids::Head,
    store::{
        Error, FrameLog, Identity, Unsafe,
        disk::{
            DiskStore,
            files::{
                dir::{self, engine_path},
                head::{self, HeadFile, HeadRecord},
                journal::{Header, Spare},
                lock::{FILE as LOCK, Lock},
                node, unfinished,
            },
            live::{
                engine::{Beside, Engine},
                shared::{self, lock as held, nonce},
                sizes,
                tail::Tail,
            },
            options::DiskOptions,
        },
        sled::Sled,
    },
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// Makes a ledger; see [`DiskStore::create`]. Takes back all that it made if it fails.
pub(crate) fn create(
    root: &Path,
    options: &DiskOptions,
    identity: Identity,
) -> Result<DiskStore, Error> {
    let place = claim(root, options)?;
    options.steps.at("creation claimed its directory");
    // Without the lock the directory may be somebody else's by now.
    let lock = Lock::take(root, options.lock_wait).inspect_err(|_| place.leave(root))?;
    refuse_content(root)?;
    let made = clear(root).and_then(|()| make(root, options, identity));
    match made {
        Ok(store) => {
            *shared::lock(&store.shared.lock) = Some(lock);
            Ok(store)
        }
        Err(error) => {
            // Under the lock, so that nobody else has put anything there.
            if let Err(error) = clear(root).and_then(|()| place.give_back(root)) {
                let ledger = root.display();
                tracing::warn!(%ledger, %error, "an unfinished ledger stays there");
            }
            drop(lock);
            place.leave(root);
            Err(error)
        }
    }
}

/// Makes all files, and last the one that makes a ledger of them. The caller has the lock.
fn make(root: &Path, options: &DiskOptions, identity: Identity) -> Result<DiskStore, Error> {
    let step = |name| {
        options.steps.at(name);
        options.steps.check("a new ledger", 1)
    };
    dir::check_space("a new ledger", root, sizes::new_ledger_bytes(options))?;
    // An unfinished one may have been begun for other readers.
    dir::shut_off(root, options.group_read)?;
    let node = root.join(unfinished::NODE);
    write_node(&node, &identity)?;
    step("creation begun")?;

    let record = HeadRecord { boot_id: head::boot_id(), ..HeadRecord::NEW };
    let engine = engine_path(root, record.engine);
    for name in dir::SUBDIRS {
        dir::create_dir(&root.join(name))?;
    }
    dir::create_dir(&engine)?;
    step("creation made its directories")?;
    dir::ensure_reserve(root, sizes::reserve_bytes(options, 0))?;
    step("creation made the reserve")?;
    let bytes = sizes::journal_bytes(options, 0);
    let spare = Spare::prepare(&root.join(dir::JOURNAL), 0, bytes)?;
    let header = Header {
        ledger: identity.ledger,
        nonce: nonce(options.nonce_seed, &identity, 0, 0),
        before: Head::EMPTY,
        bytes: 0,
    };
    step("creation zeroed a journal")?;
    let journal = spare.write_header(header)?.publish()?;
    step("creation made a journal")?;
    let sled = Sled::create(&engine, options.cache_bytes)?;
    sled.sync()?;
    step("creation made sled")?;
    let beside = Beside::of(root, record.engine, identity.ledger, None);
    held(&beside.upto).settle(Head::EMPTY, |_| Ok(None))?;
    let head_file = HeadFile::create(root, &record)?;
    dir::sync_dir(root)?;
    let tail = Tail::new(0);
    let (lock, retired, engine) = (None, Vec::new(), Engine::Open(Arc::new(sled)));
    let parts = Parts { identity, lock, record, head_file, journal, retired, tail, beside, engine };
    let store = DiskStore::over(parts.into_shared(root, options)?);
    store.resume(Vec::new())?;
    step("creation all but named")?;

    dir::publish(&node, &root.join(node::FILE))?;
    step("ledger named")?;
    dir::sync_parent(&store.shared.root)?;
    Ok(store)
}

/// The bits by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// The directory of a new ledger, as it was before.
#[derive(Debug)]
struct Place {
    /// True if there was none.
    made: bool,
    /// The rights to it, if they were taken away.
    mode: Option<u32>,
    /// True if it has a file for the lock, of somebody who came before.
    has_lock: bool,
}

impl Place {
    /// Gives the directory the rights that it had, and removes the file for the lock. The caller has the
    /// lock: otherwise they may be of the ledger that somebody else made there.
    fn give_back(&self, root: &Path) -> Result<(), Error> {
        if let Some(mode) = self.mode {
            let mode = Permissions::from_mode(mode);
            fs::set_permissions(root, mode).map_err(dir::at("give back", root))?;
        }
        if self.has_lock { Ok(()) } else { dir::remove(&root.join(LOCK)) }
    }

    /// Removes the directory if it was made, and nobody has put anything there.
    fn leave(&self, root: &Path) {
        let left = if self.made { fs::remove_dir(root) } else { Ok(()) };
        if let Err(error) = left {
            let ledger = root.display();
            tracing::warn!(%ledger, %error, "the directory of a ledger that was not made stays");
        }
    }
}

/// Makes the directory, or shuts an empty one off. A faster process cannot make it its own: in
/// the end the directory is checked.
fn claim(root: &Path, options: &DiskOptions) -> Result<Place, Error> {
    let mut place = Place { made: false, mode: None, has_lock: false };
    match fs::symlink_metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            options.steps.at("creation of the directory");
            place.made = dir::create_root(root, options.group_read)?;
        }
        Err(error) => return Err(dir::at("inspect", root)(error)),
        Ok(meta) if meta.is_symlink() => {
            return Err(Error::UnsafeDir { path: root.to_owned(), why: Unsafe::Link });
        }
        Ok(meta) if !meta.is_dir() => return Err(Error::Exists { path: root.to_owned() }),
        Ok(meta) => {
            refuse_content(root)?;
            place.has_lock = root.join(LOCK).exists();
            if dir::entries(root)?.is_empty() {
                place.mode = Some(meta.mode());
                // Not one that nobody else may write: it may be shut off already, for a ledger in the
                // making. Nor one of another user, which is refused.
                let owned = meta.uid() == rustix::process::geteuid().as_raw();
                if owned && meta.mode() & OTHERS_WRITE != 0 {
                    dir::shut_off(root, options.group_read)?;
                }
            }
        }
    }
    dir::check_safe(root).inspect_err(|_| place.leave(root))?;
    Ok(place)
}

/// Refuses a directory that holds anything except an unfinished ledger or copy.
fn refuse_content(root: &Path) -> Result<(), Error> {
    let entries = dir::entries(root)?;
    let has = |wanted: &str| entries.iter().any(|entry| dir::name(entry) == wanted);
    let begun = has(unfinished::NODE) && !has(node::FILE);
    let empty = entries.iter().all(|entry| dir::name(entry) == LOCK);
    let copying = has(node::FILE) && matches!(node::read(root), Err(Error::Unfinished { .. }));
    if empty || copying || (begun && !unfinished::may_hold_events(root)?) {
        return Ok(());
    }
    Err(Error::Exists { path: root.to_owned() })
}

/// Removes an unfinished copy, and its directory.
///
/// # Errors
///
/// [`Error::Exists`] if `path` is no unfinished copy; [`Error::InUse`], [`Error::Io`].
pub(crate) fn remove_unfinished(path: impl AsRef<Path>) -> Result<(), Error> {
    let root = path.as_ref();
    dir::check_safe(root)?;
    {
        let _lock = Lock::take(root, Duration::ZERO)?;
        refuse_content(root)?;
        clear(root)?;
    }
    dir::remove(&root.join(LOCK))?;
    fs::remove_dir(root).map_err(dir::at("remove", root))
}

/// Removes the files of an unfinished creation or copy; last the file that shows that it is one.
fn clear(root: &Path) -> Result<(), Error> {
    for name in dir::SUBDIRS {
        dir::remove_tree(&root.join(name))?;
    }
    for name in ["HEAD", dir::RESERVE, "RESERVE.tmp", node::NEXT, node::FILE, unfinished::NODE] {
        dir::remove(&root.join(name))?;
    }
    Ok(())
}

fn write_node(path: &Path, identity: &Identity) -> Result<(), Error> {
    use std::io::Write;
    let mut file = dir::create_file(path)?;
    file.write_all(&node::encode(identity))
        .and_then(|()| file.sync_all())
        .map_err(dir::at_or_full("NODE", "write", path))?;
    dir::sync_parent(path)
}
