//! A directory as a [`Home`].

use super::{
    DiskOptions, DiskStore,
    inspect::Inspection,
    look::{Look, inspect::Beside},
    whole::{create, open, rebuild},
};
use crate::store::{Error, Home, Identity, Inspect, Looked, NodeStore, Opened, Rebuilt, Replay};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A directory that holds a store, or will hold one. Touches nothing before a call asks for it.
#[derive(Clone)]
pub struct DiskHome {
    root: PathBuf,
    options: DiskOptions,
}

impl DiskHome {
    /// The directory at `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, options: DiskOptions) -> Self {
        Self { root: root.into(), options }
    }

    /// The directory and its options.
    pub(super) fn parts(&self) -> (&Path, &DiskOptions) {
        (&self.root, &self.options)
    }
}

/// The directory alone, as log lines name it.
impl fmt::Debug for DiskHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}

impl Home for DiskHome {
    fn create(&self, identity: Identity) -> Result<Opened, Error> {
        Ok(opened(DiskStore::create(&self.root, &self.options, identity)?))
    }

    fn open(&self) -> Result<Opened, Error> {
        Ok(opened(DiskStore::open(&self.root, &self.options)?))
    }

    fn look(&self) -> Result<Looked, Error> {
        Look::open(&self.root)
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>, Error> {
        Ok(Box::new(Inspection::open(&self.root, self.options.lock_wait)?))
    }

    fn inspect_beside(&self, why: &str) -> Result<Box<dyn Inspect>, Error> {
        Ok(Box::new(Beside::open(&self.root, why)?))
    }

    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, Error> {
        rebuild::rebuild(&self.root, &self.options, replay)
    }

    fn unsealed_since(&self) -> Result<Option<u64>, Error> {
        open::unsealed_since(&self.root)
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        create::remove_unfinished(&self.root)
    }
}

fn opened(store: DiskStore) -> Opened {
    let snapshots = Arc::new(store.snapshots());
    let store = Arc::new(store);
    Opened { log: store.clone(), snapshots, node: store }
}

impl NodeStore for DiskStore {
    fn identity(&self) -> Identity {
        self.identity()
    }

    fn set_identity(&self, identity: Identity) -> Result<(), Error> {
        self.set_identity(identity)
    }
}
