//! Making a new ledger.
//!
//! `NODE` appears last, first under its temporary name. A directory with `NODE.tmp`, without
//! `NODE`, and with no file that could have been acknowledged is unfinished, and may be cleared. So
//! may one whose `NODE` says that it is an unfinished copy.

use super::open::Parts;
use crate::{
    ids::Head,
    store::{
        Error, Identity, Unsafe,
        disk::{
            files::{
                dir::{self, engine_path},
                head::{self, HeadFile, HeadRecord},
                journal::{Header, Spare},
                lock::Lock,
                node, unfinished,
            },
            live::{
                shared::{Shared, nonce},
                tail::Tail,
                writer::file_bytes,
            },
            options::DiskOptions,
        },
        sled::Sled,
    },
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

/// Makes a ledger; see [`super::DiskStore::create`].
pub(crate) fn create(
    root: &Path,
    options: &DiskOptions,
    identity: Identity,
) -> Result<Shared, Error> {
    claim(root, options)?;
    let lock = Lock::take(root, options.lock_wait)?;
    refuse_content(root)?;
    clear(root)?;
    let node = root.join(unfinished::NODE);
    write_node(&node, &identity)?;
    options.steps.at("creation begun");

    let record = HeadRecord { boot_id: head::boot_id(), ..HeadRecord::NEW };
    let engine = engine_path(root, record.engine);
    for name in dir::SUBDIRS {
        dir::create_dir(&root.join(name))?;
    }
    dir::create_dir(&engine)?;
    dir::ensure_reserve(root, options.reserve_bytes)?;
    let spare = Spare::prepare(&root.join(dir::JOURNAL), 0, file_bytes(options, 0))?;
    let header = Header {
        ledger: identity.ledger,
        nonce: nonce(options.nonce_seed, &identity, 0, 0),
        before: Head::EMPTY,
        bytes: 0,
    };
    let journal = spare.write_header(header)?.publish()?;
    let sled = Sled::create(&engine, options.cache_bytes)?;
    sled.sync()?;
    let head_file = HeadFile::create(root, &record)?;
    dir::sync_dir(root)?;
    options.steps.at("creation all but named");

    dir::publish(&node, &root.join(node::FILE))?;
    dir::sync_parent(&fs::canonicalize(root).map_err(dir::at("find", root))?)?;
    let tail = Tail::new(0);
    Parts { identity, lock, record, head_file, journal, retired: Vec::new(), tail, sled }
        .into_shared(root, options)
}

/// Makes the directory, or makes an empty one private. A faster process cannot make it its own: in
/// the end the directory is checked.
fn claim(root: &Path, options: &DiskOptions) -> Result<(), Error> {
    match fs::symlink_metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            options.steps.at("creation of the directory");
            dir::create_dir(root)?;
        }
        Err(error) => return Err(dir::at("inspect", root)(error)),
        Ok(meta) if meta.is_symlink() => {
            return Err(Error::UnsafeDir { path: root.to_owned(), why: Unsafe::Link });
        }
        Ok(meta) if !meta.is_dir() => return Err(Error::Exists { path: root.to_owned() }),
        Ok(_) => {
            refuse_content(root)?;
            if dir::entries(root)?.is_empty() {
                fs::set_permissions(root, Permissions::from_mode(0o700))
                    .map_err(dir::at("shut off", root))?;
            }
        }
    }
    dir::check_safe(root)
}

/// Refuses a directory that holds anything except an unfinished ledger or copy.
fn refuse_content(root: &Path) -> Result<(), Error> {
    let entries = dir::entries(root)?;
    let has = |wanted: &str| entries.iter().any(|entry| dir::name(entry) == wanted);
    let begun = has(unfinished::NODE) && !has(node::FILE);
    let empty = entries.iter().all(|entry| dir::name(entry) == "LOCK");
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
    dir::remove(&root.join("LOCK"))?;
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
