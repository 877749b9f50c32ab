//! The numbered directories of sled: the one that is being built, and those that are no longer
//! used.
//!
//! A directory that `HEAD` does not name may still hold the only copy of an event: if journal and
//! `HEAD` were put back from an older copy, sled knows of more events than they do. So this module
//! removes only a directory that is marked as never finished. Others are moved to `quarantine/`,
//! from where only a person, or a purge, removes them.

use super::{dir, snapshots::DiskSnapshots, upto};
use crate::{
    ids::Seq,
    store::{Error, SnapshotStore, disk::files::dir::engine_path},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The suffix of a directory while it is being built.
const BUILDING: &str = ".building";
/// The most names that are tried in `quarantine/`.
const KEPT_MAX: u32 = 10_000;

/// Makes the empty directory number `engine`, marked as unfinished.
pub(crate) fn begin(root: &Path, engine: u64) -> Result<PathBuf, Error> {
    let place = root.join(dir::SLED);
    dir::create_dir(&place)?;
    dir::sync_dir(root)?;
    let path = engine_path(root, engine);
    remove_or_move(root, &path)?;
    dir::remove(&upto::path_of(&path))?;
    dir::create_file(&marker_of(&path))?;
    dir::sync_dir(&place)?;
    dir::create_dir(&path)?;
    Ok(path)
}

/// Removes a directory that is marked as unfinished, so that its space is free. For a caller that could
/// not finish it.
pub(crate) fn abandon(path: &Path) -> Result<(), Error> {
    dir::remove_tree(path)?;
    dir::remove(&upto::path_of(path))?;
    dir::remove(&marker_of(path))
}

/// The size of directory number `engine`, by the lengths of its files. 0 if it cannot be told.
pub(crate) fn bytes(root: &Path, engine: u64) -> u64 {
    let files = fs::read_dir(engine_path(root, engine)).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Marks the directory as finished, durably. Its files must be synced.
pub(crate) fn finish(path: &Path) -> Result<(), Error> {
    dir::remove(&marker_of(path))
}

/// Moves every directory except number `engine` to `quarantine/`, and returns the new paths.
/// Removes one that was never finished. What says beside one how far it was given events goes with it:
/// it may be the only witness of the end of a log.
pub(crate) fn set_others_aside(root: &Path, engine: u64) -> Result<Vec<PathBuf>, Error> {
    let keep = engine_path(root, engine);
    let mut kept = Vec::new();
    for path in dir::entries(&root.join(dir::SLED))? {
        if path.is_dir() && path != keep {
            kept.extend(remove_or_move(root, &path)?);
        } else if dir::name(&path).ends_with(BUILDING) {
            dir::remove(&path)?;
        } else if is_beside_another(&path, &keep) {
            move_aside(root, &path, "sled-")?;
        }
    }
    Ok(kept)
}

/// Removes every directory except number `engine`. For a caller that has just rebuilt that one from
/// all events, and must leave no copy.
pub(crate) fn remove_others(root: &Path, engine: u64) -> Result<(), Error> {
    let keep = engine_path(root, engine);
    for path in dir::entries(&root.join(dir::SLED))? {
        if path.is_dir() && path != keep {
            dir::remove_tree(&path)?;
        } else if is_beside_another(&path, &keep) {
            dir::remove(&path)?;
        }
    }
    Ok(())
}

/// Says whether a file tells of another directory than the one that is kept.
fn is_beside_another(path: &Path, keep: &Path) -> bool {
    upto::engine_of(path).is_some_and(|engine| engine != keep)
}

/// Moves saved states of more than `size` events, and those after the events `useless`, to
/// `quarantine/`, and returns the new paths.
pub(crate) fn set_snapshots_aside(
    root: &Path,
    size: u64,
    useless: &[Seq],
) -> Result<Vec<PathBuf>, Error> {
    let snapshots = DiskSnapshots::of(root);
    let saved = snapshots.list()?.into_iter();
    saved
        .filter(|at| at.get() > size || useless.contains(at))
        .map(|at| move_aside(root, &snapshots.path(at), ""))
        .collect()
}

/// Removes an unfinished or empty directory, moves any other and returns its new path.
fn remove_or_move(root: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    let marker = marker_of(path);
    if marker.exists() || dir::entries(path)?.is_empty() {
        dir::remove_tree(path)?;
        dir::remove(&marker)?;
        return Ok(None);
    }
    move_aside(root, path, "sled-").map(Some)
}

/// Gives a file or directory the first free name in `quarantine/`, durably.
pub(crate) fn move_aside(root: &Path, path: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let place = root.join(dir::QUARANTINE);
    dir::create_dir(&place)?;
    dir::sync_dir(root)?;
    let name = format!("{prefix}{}", dir::name(path));
    let others = (1..KEPT_MAX).map(|number| format!("{name}.{number}"));
    let mut free = std::iter::once(name.clone()).chain(others).map(|name| place.join(name));
    let target = free.find(|target| fs::symlink_metadata(target).is_err());
    let target = target.ok_or_else(|| Error::Exists { path: place.join(&name) })?;
    fs::rename(path, &target).map_err(dir::at_or_full("quarantine", "move", path))?;
    dir::sync_dir(&place)?;
    dir::sync_parent(path)?;
    Ok(target)
}

fn marker_of(path: &Path) -> PathBuf {
    let mut marker = path.as_os_str().to_owned();
    marker.push(BUILDING);
    marker.into()
}
