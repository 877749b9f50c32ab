//! The real store meets the contract that every store meets.

use super::*;
use crate::store::{Error, Home, Inspect, Looked, Opened, Rebuilt, Replay, conformance::Place};

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
        let home = DiskHome::new(&path, self.options.clone());
        if path.exists() { home.open().unwrap() } else { home.create(identity()).unwrap() }
    }

    fn crash(&mut self, opened: Opened) {
        drop(opened);
    }
}

crate::conformance_tests!(rotating_often, Directory::new(small()));
crate::conformance_tests!(sealing_when_asked, Directory::new(lazy()));
crate::conformance_tests!(
    leaving_some_unsealed,
    Directory::new(DiskOptions { unsealed_at_close_max: 8 << 20, ..lazy() })
);

/// A home in a directory that is removed with it.
#[derive(Debug)]
struct Temporary {
    home: DiskHome,
    _dir: TempDir,
}

impl Temporary {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self { home: DiskHome::new(ledger(dir.path()), small()), _dir: dir }
    }
}

impl Home for Temporary {
    fn create(&self, identity: Identity) -> Result<Opened, Error> {
        self.home.create(identity)
    }
    fn open(&self) -> Result<Opened, Error> {
        self.home.open()
    }
    fn look(&self) -> Result<Looked, Error> {
        self.home.look()
    }
    fn inspect(&self) -> Result<Box<dyn Inspect>, Error> {
        self.home.inspect()
    }
    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, Error> {
        self.home.rebuild(replay)
    }
    fn remove_unfinished(&self) -> Result<(), Error> {
        self.home.remove_unfinished()
    }
}

crate::conformance_tests!(@home disk_home, Temporary::new());
