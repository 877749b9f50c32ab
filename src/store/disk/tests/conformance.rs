//! The real store meets the contract that every store meets.

use super::*;
use crate::store::conformance::{Opened, Place};

/// A directory that is created when it is first opened. A crash is a drop without a close: what
/// loss of power leaves is tried in `crash`, file by file.
struct Directory {
    dir: TempDir,
    options: DiskOptions,
}

impl Directory {
    fn new(options: DiskOptions) -> Self {
        Self { dir: TempDir::new().unwrap(), options }
    }
}

impl Place for Directory {
    fn open(&mut self) -> Opened {
        let path = ledger(self.dir.path());
        let store = if path.exists() {
            DiskStore::open(path, &self.options).unwrap()
        } else {
            DiskStore::create(path, &self.options, identity()).unwrap()
        };
        let snapshots = std::sync::Arc::new(store.snapshots());
        Opened { log: std::sync::Arc::new(store), snapshots }
    }

    fn crash(&mut self, opened: Opened) {
        drop(opened);
    }
}

crate::conformance_tests!(rotating_often, Directory::new(small()));
crate::conformance_tests!(sealing_when_asked, Directory::new(lazy()));
