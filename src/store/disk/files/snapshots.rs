//! Saved states as files, each whole or absent.

use super::{
    dir::{self, at},
    engines,
    read_at::ReadAt,
};
use crate::{
    ids::Seq,
    store::{Error, SnapshotBytes, SnapshotStore},
};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The largest saved state, in bytes.
const BYTES_MAX: u64 = 8 << 30;

/// The saved states beside a log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DiskSnapshots {
    root: PathBuf,
    place: PathBuf,
}

impl DiskSnapshots {
    /// The saved states of the ledger at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), place: root.join(dir::SNAPSHOTS) }
    }

    pub(crate) fn path(&self, at: Seq) -> PathBuf {
        self.place.join(format!("{:020}.snapshot", at.get()))
    }
}

impl SnapshotStore for DiskSnapshots {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        let at =
            |path: &PathBuf| Seq::new(dir::name(path).strip_suffix(".snapshot")?.parse().ok()?);
        Ok(dir::entries(&self.place)?.iter().filter_map(at).collect())
    }

    fn bytes(&self, seq: Seq) -> Result<u64, Error> {
        let path = self.path(seq);
        Ok(path.symlink_metadata().map_err(at("look at", &path))?.len())
    }

    fn load(&self, seq: Seq) -> Result<Vec<u8>, Error> {
        let path = self.path(seq);
        let mut bytes = Vec::new();
        let file = dir::open_to_read(&path)?;
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(at("read", &path))?;
        Ok(bytes)
    }

    fn parts(&self, seq: Seq) -> Result<Box<dyn SnapshotBytes>, Error> {
        let path = self.path(seq);
        let file = dir::open_to_read(&path)?;
        let size = ReadAt::len(&file).map_err(at("inspect", &path))?;
        Ok(Box::new(OpenSnapshot { file: Box::new(file), path, size }))
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(at);
        dir::write_atomically(&dir::tmp_of(&path), &path, bytes)
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        dir::remove(&self.path(at))
    }

    fn set_aside(&self, at: Seq) -> Result<(), Error> {
        let path = self.path(at);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        engines::move_aside(&self.root, &path, "").map(drop)
    }
}

/// A saved state that is open.
#[derive(Debug)]
pub(crate) struct OpenSnapshot {
    pub(crate) file: Box<dyn ReadAt>,
    pub(crate) path: PathBuf,
    /// Its length when it was opened. It is never written again.
    pub(crate) size: u64,
}

impl SnapshotBytes for OpenSnapshot {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut read = vec![0; bytes.min(left)];
        let found = self.file.read_at(&mut read, offset).map_err(at("read", &self.path))?;
        read.truncate(found);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_listed_oldest_first_and_removing_one_twice_is_fine() {
        let root = tempfile::tempdir().unwrap();
        dir::create_dir(&root.path().join(dir::SNAPSHOTS)).unwrap();
        let snapshots = DiskSnapshots::of(root.path());
        let [nine, ten] = [9, 10].map(|n| Seq::new(n).unwrap());
        snapshots.save(ten, b"ten").unwrap();
        snapshots.save(nine, b"nine").unwrap();
        assert_eq!(snapshots.list().unwrap(), [nine, ten]);
        assert_eq!(snapshots.load(ten).unwrap(), b"ten");
        snapshots.remove(nine).unwrap();
        snapshots.remove(nine).unwrap();
        assert_eq!(snapshots.list().unwrap(), [ten]);
        assert!(snapshots.load(nine).is_err());
    }
}
