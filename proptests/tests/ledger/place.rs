//! Where a ledger lives, and what can be done to it there.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    ids::LedgerId,
    ledger::{Durability, OpenError},
    store::{
        DiskOptions, SnapshotStore,
        faulty::{FaultyDisk, FaultyStore},
    },
    time::{Entropy, ManualClock, SeededEntropy},
};
use taskledger_proptests::{machine::Setup, world::HERE};
use tempfile::TempDir;

/// Where the ledger is.
#[derive(Debug)]
pub(crate) enum Place {
    /// In a directory of this one; each kill and each copy takes another.
    Directory { all: TempDir, path: PathBuf, made: u32 },
    /// On a device in memory.
    Device { disk: FaultyDisk, store: Option<Arc<FaultyStore>> },
}

impl Place {
    pub(crate) fn new(setup: &Setup) -> Self {
        if setup.on_disk {
            let all = tempfile::Builder::new().prefix("model-").tempdir_in(quick()).unwrap();
            let path = all.path().join("0");
            return Self::Directory { all, path, made: 0 };
        }
        Self::Device { disk: FaultyDisk::new(setup.seed), store: None }
    }

    /// Makes the ledger.
    pub(crate) fn create(&mut self, options: Options) -> Ledger {
        match self {
            Self::Directory { path, .. } => Ledger::create(path, options).unwrap(),
            Self::Device { .. } => self.open(options).unwrap(),
        }
    }

    /// Opens the ledger that is there.
    pub(crate) fn open(&mut self, options: Options) -> Result<Ledger, OpenError> {
        match self {
            Self::Directory { path, .. } => Ledger::open(path, options),
            Self::Device { disk, store } => {
                let opened = Arc::new(disk.open()?);
                *store = Some(Arc::clone(&opened));
                Ledger::over_store(opened.clone(), opened, HERE, options)
            }
        }
    }

    /// Leaves of `ledger` what a kill leaves: the files as they are.
    ///
    /// The threads behind it may be at work. A copy that was made meanwhile is of no moment that
    /// there was, so it is made again until nothing has changed.
    pub(crate) fn kill(&mut self, ledger: Ledger) {
        if let Self::Directory { path, .. } = self {
            let mut image = Image::of(path);
            loop {
                let again = Image::of(path);
                if again == image {
                    break;
                }
                image = again;
            }
            let next = self.next_path();
            image.write(&next);
            self.move_to(next);
        }
        if let Self::Device { disk, .. } = self {
            // From here on the ledger can do nothing more: what is dropped is not closed.
            let _ = disk.open();
        }
        drop(ledger);
    }

    /// A directory that is not there yet.
    pub(crate) fn next_path(&mut self) -> PathBuf {
        let Self::Directory { all, made, .. } = self else { panic!("there are no directories") };
        *made += 1;
        all.path().join(made.to_string())
    }

    /// The ledger is there from now on; the directory before is removed.
    pub(crate) fn move_to(&mut self, next: PathBuf) {
        let Self::Directory { path, .. } = self else { panic!("there are no directories") };
        // A killed ledger is still at work in it, so something may be left until the end.
        let _ = fs::remove_dir_all(std::mem::replace(path, next));
    }

    pub(crate) fn path(&self) -> &Path {
        let Self::Directory { path, .. } = self else { panic!("there are no directories") };
        path
    }

    pub(crate) fn device(&self) -> &FaultyDisk {
        let Self::Device { disk, .. } = self else { panic!("there is no device") };
        disk
    }

    /// Removes every snapshot of the ledger, which is not open.
    pub(crate) fn lose_snapshots(&mut self) {
        match self {
            Self::Directory { path, .. } => fs::remove_dir_all(path.join("snapshots")).unwrap(),
            Self::Device { disk, .. } => {
                let store = disk.open().unwrap();
                for at in store.list().unwrap() {
                    store.remove(at).unwrap();
                }
            }
        }
    }

    /// Changes a byte of the newest snapshot of the ledger, which is not open.
    pub(crate) fn spoil_snapshot(&mut self, at: proptest::sample::Index) {
        let spoil = |bytes: &mut Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] ^= 0x10;
        };
        match self {
            Self::Directory { path, .. } => {
                if let Some(newest) = snapshots(path).pop() {
                    let mut bytes = fs::read(&newest).unwrap();
                    spoil(&mut bytes);
                    fs::write(newest, bytes).unwrap();
                }
            }
            Self::Device { disk, .. } => {
                let store = disk.open().unwrap();
                if let Some(newest) = store.list().unwrap().pop() {
                    let mut bytes = store.load(newest).unwrap();
                    spoil(&mut bytes);
                    store.save(newest, &bytes).unwrap();
                }
            }
        }
    }

    /// Removes the newest snapshot beside the open ledger.
    pub(crate) fn remove_newest_snapshot(&mut self) {
        match self {
            Self::Directory { path, .. } => {
                if let Some(newest) = snapshots(path).pop() {
                    fs::remove_file(newest).unwrap();
                }
            }
            Self::Device { store, .. } => {
                let store = store.as_ref().expect("it is open");
                if let Some(newest) = store.list().unwrap().pop() {
                    store.remove(newest).unwrap();
                }
            }
        }
    }
}

/// Where files are quick, since what a kill leaves does not depend on the device. A sync of a real
/// one takes most of the time otherwise.
fn quick() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn snapshots(path: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(path.join("snapshots")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The files below a directory.
#[derive(Debug, PartialEq, Eq, Default)]
struct Image {
    /// Parents before what is in them; `None` for a directory.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Image {
    fn of(root: &Path) -> Self {
        let mut image = Self::default();
        image.add(root, Path::new(""));
        image
    }

    /// What is removed meanwhile is not in it; then it will not be the same twice.
    fn add(&mut self, root: &Path, below: &Path) {
        self.files.push((below.to_owned(), None));
        let Ok(entries) = fs::read_dir(root.join(below)) else { return };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(root, &path);
            } else if let Ok(bytes) = fs::read(root.join(&path)) {
                self.files.push((path, Some(bytes)));
            }
        }
    }

    fn write(&self, root: &Path) {
        for (path, bytes) in &self.files {
            let path = root.join(path);
            match bytes {
                None => DirBuilder::new().mode(0o700).create(path).unwrap(),
                Some(bytes) => {
                    fs::write(&path, bytes).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                }
            }
        }
    }
}

/// Random numbers, but an id of our choice for the ledger that is made with them, and its node.
#[derive(Debug)]
struct Named {
    ledger: LedgerId,
    drawn: AtomicU64,
    rest: SeededEntropy,
}

impl Entropy for Named {
    fn fill(&self, bytes: &mut [u8]) {
        self.rest.fill(bytes);
    }

    fn bytes16(&self) -> [u8; 16] {
        match self.drawn.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => self.ledger.0,
            _ => {
                let mut bytes = [0; 16];
                self.rest.fill(&mut bytes);
                bytes
            }
        }
    }
}

/// The options of one opening; a ledger that is made with them has this id.
pub(crate) fn options(
    setup: &Setup,
    clock: &Arc<ManualClock>,
    ledger: LedgerId,
    opening: u64,
) -> Options {
    let hour = Duration::from_hours(1);
    let store = DiskOptions::default()
        .journal_bytes(setup.journal_bytes)
        .seal_bytes(setup.seal_bytes)
        .flush_every(None)
        .reserve_bytes(4_096)
        .cache_bytes(1 << 20);
    let rest = SeededEntropy::new(setup.seed.wrapping_add(opening));
    Options::default()
        .durability(if setup.interval { Durability::Interval(hour) } else { Durability::Synced })
        .batch_events_max(setup.batch_events_max)
        .snapshots_kept(setup.snapshots_kept)
        .snapshot_distance(32)
        .store(store)
        .clock(Arc::<ManualClock>::clone(clock))
        .entropy(Arc::new(Named { ledger, drawn: AtomicU64::new(0), rest }))
}
