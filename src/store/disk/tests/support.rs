//! A made-up log: every frame, root and tree hash follows from its number, so a test can say what a
//! store must hold without keeping a copy.

use super::*;
use crate::ids::Size;

pub(super) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// The path of the ledger below a temporary directory.
pub(super) fn ledger(dir: &Path) -> PathBuf {
    dir.join("ledger")
}

/// Small files, no timer: a test sees every rotation and decides on every flush.
pub(super) fn small() -> DiskOptions {
    DiskOptions {
        journal_bytes: 32 << 10,
        reserve_bytes: 4096,
        cache_bytes: 1 << 20,
        seal_bytes: 4 << 10,
        unsealed_at_close_max: 0,
        flush_every: None,
        busy_wait: Duration::from_secs(5),
        ..DiskOptions::default()
    }
}

/// Rotates only when it must, and seals only when asked.
pub(super) fn lazy() -> DiskOptions {
    DiskOptions { journal_bytes: 1 << 20, seal_bytes: usize::MAX, ..small() }
}

pub(super) fn identity() -> Identity {
    Identity {
        ledger: LedgerId([7; 16]),
        node: NodeId([8; 16]),
        role: Role::Primary,
        fenced: None,
        promised: None,
        note: [0; NOTE_BYTES],
    }
}

pub(super) fn created(dir: &Path) -> DiskStore {
    created_with(dir, &small())
}

pub(super) fn created_with(dir: &Path, options: &DiskOptions) -> DiskStore {
    DiskStore::create(ledger(dir), options, identity()).unwrap()
}

pub(super) fn reopened(dir: &Path) -> DiskStore {
    reopened_with(dir, &small())
}

pub(super) fn reopened_with(dir: &Path, options: &DiskOptions) -> DiskStore {
    let store = DiskStore::open(ledger(dir), options).unwrap();
    let (sealed, written) = (store.sealed().size, store.written().size);
    store.resume((sealed.get() + 1..=written.get()).flat_map(tree_hashes_of).collect()).unwrap();
    store
}

pub(super) fn refused(dir: &Path) -> Error {
    DiskStore::open(ledger(dir), &small()).unwrap_err()
}

/// Removes the word beside sled, which older versions do not write: the next opening opens sled.
pub(super) fn forget_upto(dir: &Path) {
    fs::remove_file(ledger(dir).join("sled/1.upto")).unwrap();
}

/// The frame with this number: 100 to 300 bytes that tell which it is.
pub(super) fn frame_of(number: u64) -> Vec<u8> {
    let text = format!("frame {number} of the log|");
    text.as_bytes().iter().copied().cycle().take(100 + (number % 200) as usize).collect()
}

/// A stand-in for the root over the first `size` frames.
pub(super) fn root_at(size: u64) -> Root {
    let mut root = [0x5a; 32];
    root[..8].copy_from_slice(&size.to_le_bytes());
    if size == 0 { Root::EMPTY } else { Root(root) }
}

pub(super) fn head_at(size: u64) -> Head {
    Head { size: Size::new(size), root: root_at(size) }
}

/// The hashes that a frame completes: every 16th one or more.
pub(super) fn tree_hashes_of(number: u64) -> impl Iterator<Item = TreeHash> {
    let seq = seq(number);
    TreeHash::completed_by(seq).map(move |index| TreeHash { seq, index, hash: hash_of(index) })
}

/// A stand-in for the hash with this index.
pub(super) fn hash_of(index: u64) -> [u8; 32] {
    [(index % 251) as u8; 32]
}

/// Appends frames in groups of one to seven, up to and including number `upto`.
pub(super) fn append_upto(store: &DiskStore, upto: u64) {
    let mut next = store.written().size.get() + 1;
    while next <= upto {
        let last = upto.min(next + next % 7);
        append_group(store, next, last).unwrap();
        next = last + 1;
    }
}

pub(super) fn append_group(store: &DiskStore, first: u64, last: u64) -> Result<(), Error> {
    let frames: Vec<_> = (first..=last).map(frame_of).collect();
    let tree_hashes: Vec<_> = (first..=last).flat_map(tree_hashes_of).collect();
    store.append(Group {
        first: seq(first),
        frames: &frames,
        root: root_at(last),
        tree_hashes: &tree_hashes,
    })
}

/// The store holds exactly the first `size` frames and their tree hashes.
#[track_caller]
pub(super) fn assert_holds(store: &DiskStore, size: u64) {
    assert_eq!(store.written(), head_at(size));
    let mut next = 1;
    while next <= size {
        let frames = store.read(seq(next), 3000).unwrap();
        assert!(!frames.is_empty(), "nothing at {next} of {size}");
        for frame in frames {
            assert_eq!(frame, frame_of(next), "frame {next}");
            next += 1;
        }
    }
    assert_eq!(next, size + 1);
    assert!(store.read(seq(size + 1), 100).unwrap().is_empty());
    for tree_hash in (1..=size).flat_map(tree_hashes_of) {
        assert_eq!(
            store.tree_hash(tree_hash.index).unwrap(),
            Some(tree_hash.hash),
            "tree_hash of {}",
            tree_hash.seq
        );
    }
}

/// The files below a directory, with their bytes.
pub(super) fn files(place: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in dir::entries(place).unwrap() {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            let bytes = fs::read(&entry).unwrap();
            found.push((entry, bytes));
        }
    }
    found
}

pub(super) fn copy(from: &Path, to: &Path) {
    dir::create_dir(to).unwrap();
    for entry in dir::entries(from).unwrap() {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            // What is renamed or removed meanwhile would not be there after a crash either.
            let _ = fs::copy(&entry, &target);
        }
    }
}

pub(super) fn journals(dir: &Path) -> Vec<PathBuf> {
    crate::store::disk::files::journal::list_journals(&ledger(dir)).unwrap()
}

pub(super) fn archives(dir: &Path) -> Vec<PathBuf> {
    archive::list(&ledger(dir)).unwrap()
}

/// The caller's part of a rebuild: the roots and tree hashes of the made-up log.
pub(super) struct Tree(pub(super) u64);

impl Replay for Tree {
    fn push(&mut self, at: Seq, _frame: &[u8]) -> Result<Vec<TreeHash>, Error> {
        assert_eq!(at.get(), self.0 + 1, "frames come in order");
        self.0 += 1;
        Ok(tree_hashes_of(self.0).collect())
    }

    fn root(&self) -> Root {
        root_at(self.0)
    }
}

/// Waits for another thread.
#[track_caller]
pub(super) fn wait_until(done: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_mins(1), "it does not come");
        std::thread::yield_now();
    }
}
