//! A copy of the directory at every step of everything, opened as if the process had been killed
//! there.

use super::*;
use std::sync::Mutex;

/// Copies of a ledger, taken while it was at work.
struct Images {
    place: TempDir,
    taken: Mutex<Vec<(&'static str, u64)>>,
}

impl Images {
    /// Options under which `dir` is copied at every step.
    fn of(dir: &Path, options: &DiskOptions) -> (Arc<Self>, DiskOptions) {
        let place = TempDir::new().unwrap();
        let images = Arc::new(Self { place, taken: Mutex::default() });
        let (kept, from) = (Arc::clone(&images), ledger(dir));
        let hook: Arc<dyn Fn(&'static str) + Send + Sync> = Arc::new(move |step| {
            let mut taken = lock(&kept.taken);
            copy(&from, &kept.place.path().join(taken.len().to_string()));
            taken.push((step, 0));
        });
        let mut options = options.clone();
        options.steps.hook = Some(hook);
        (images, options)
    }

    /// Gives each copy to `check`, with the step at which it was taken.
    fn each(&self, mut check: impl FnMut(&'static str, &Path)) -> Vec<&'static str> {
        let steps: Vec<_> = lock(&self.taken).iter().map(|(step, _)| *step).collect();
        for (number, step) in steps.iter().enumerate() {
            let dir = TempDir::new().unwrap();
            copy(&self.place.path().join(number.to_string()), &ledger(dir.path()));
            check(step, dir.path());
        }
        steps
    }
}

/// Opens a copy, checks that it holds a prefix, appends to it, and opens it again.
fn assert_lives(step: &str, dir: &Path, at_least: u64) {
    let store = reopened(dir);
    let size = store.written().size;
    assert!(size >= at_least, "{step}: only {size} of {at_least}");
    assert_holds(&store, size.get());
    append_upto(&store, size.get() + 30);
    store.close().unwrap();
    assert_holds(&reopened(dir), size.get() + 30);
    let left = files(&ledger(dir));
    assert!(!left.iter().any(|(path, _)| path.ends_with("NODE.tmp")), "{step}");
}

#[test]
fn a_crash_at_any_step_of_rotation_and_store_checkpoint_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let (images, options) = Images::of(dir.path(), &small());
    let store = created_with(dir.path(), &options);
    // One thread, so that every copy is of one moment.
    store.stop_thread();
    let mut synced = 0;
    for upto in [120, 240, 360, 480] {
        append_upto(&store, upto);
        store.sync().unwrap();
        store.flush().unwrap();
        synced = upto;
    }
    drop(store);
    let steps = images.each(|step, dir| {
        if step.starts_with("creation") || step == "directory claimed" {
            // Not a ledger yet, and no obstacle to making one.
            assert!(matches!(refused(dir), Error::NotFound { .. }), "{step}");
            created(dir).close().unwrap();
        } else {
            assert_lives(step, dir, 0);
        }
    });
    for wanted in [
        "creation begun",
        "creation made its directories",
        "creation made the reserve",
        "creation zeroed a journal",
        "creation made a journal",
        "creation made sled",
        "creation all but named",
        "ledger named",
        "spare journal ready",
        "journal header written",
        "journal published",
        "blocks in sled",
        "sled synced",
        "sled is said to be synced",
        "HEAD says sealed",
        "archive half written",
        "archive written",
        "tree hashes of an archive written",
        "journal removed",
    ] {
        assert!(steps.contains(&wanted), "{wanted} is not among {steps:?}");
    }
    assert_eq!(reopened(dir.path()).written(), head_at(synced));
}

#[test]
fn a_crash_at_any_step_of_opening_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 300);
    store.sync().unwrap();
    drop(store);
    fs::write(ledger(dir.path()).join("journal/spare-9.tmp"), b"half").unwrap();
    let (images, options) = Images::of(dir.path(), &lazy());
    drop(reopened_with(dir.path(), &options));
    let steps = images.each(|step, dir| assert_lives(step, dir, 300));
    let looked = "sled looked at";
    assert_eq!(steps, ["opening sled", "leftovers removed", "torn end cut", looked]);
}

#[test]
fn a_crash_at_any_step_of_erasing_leaves_a_log_that_can_be_erased_again() {
    let dir = TempDir::new().unwrap();
    let (images, options) = Images::of(dir.path(), &small());
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 250);
    store.sync().unwrap();
    for at in [100, 250] {
        store.snapshots().save(seq(at), b"state").unwrap();
    }
    let before = lock(&images.taken).len();
    store.erase(seq(250), &|at, _| Ok((at == seq(100)).then(|| b"erased".to_vec()))).unwrap();
    drop(store);
    let mut number = 0;
    let steps = images.each(|step, dir| {
        number += 1;
        if number <= before {
            return;
        }
        let store = reopened(dir);
        assert_eq!(store.written(), head_at(250), "{step}");
        assert_eq!(store.read(seq(99), 1).unwrap(), [frame_of(99)], "{step}");
        // A reader that begins now has a state to begin with.
        assert!(store.snapshots().list().unwrap().contains(&seq(250)), "{step}");
        store.erase(seq(250), &|at, _| Ok((at == seq(100)).then(|| b"erased".to_vec()))).unwrap();
        assert_eq!(store.read(seq(100), 1).unwrap(), [b"erased"], "{step}");
        assert_eq!(store.erased_upto(), Some(seq(250)), "{step}");
        assert_eq!(store.snapshots().list().unwrap(), [seq(250)], "{step}");
        store.close().unwrap();
        super::erasing::assert_gone(dir, &frame_of(100));
    });
    for wanted in [
        "all in the archive",
        "archive half rewritten",
        "archive rewritten",
        "sled built without the texts",
        "HEAD names the sled without the texts",
        "copies removed",
    ] {
        assert!(steps.contains(&wanted), "{wanted} is not among {steps:?}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_rebuild_leaves_a_log_that_can_be_rebuilt() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 400);
    store.close().unwrap();
    drop(store);
    // One archive is missing, and one is damaged: both are made again.
    let found = archives(dir.path());
    fs::remove_file(&found[0]).unwrap();
    fs::write(&found[2], b"").unwrap();
    let (images, options) = Images::of(dir.path(), &small());
    rebuild(ledger(dir.path()), &options, &mut Tree(0)).unwrap();
    let steps = images.each(|step, dir| {
        assert_holds(&reopened(dir), 400);
        rebuild(ledger(dir), &small(), &mut Tree(0)).unwrap();
        assert_lives(step, dir, 400);
    });
    let (whole, named) = ("archives are whole", "HEAD names the new sled");
    let mut expected = vec!["sled built", "damaged archives aside", whole];
    expected.extend(vec!["tree hashes of an archive written"; archives(dir.path()).len()]);
    expected.extend([named, named]);
    assert_eq!(steps, expected);
}

// A directory that was made and whose parent was not synced is gone after loss of power, and with
// it every file that was synced in it.
#[test]
fn directories_that_were_missing_are_durable_before_anything_is_in_them() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 50);
    store.close().unwrap();
    drop(store);
    let root = fs::canonicalize(ledger(dir.path())).unwrap();
    let synced = || dir::SYNCED.take().contains(&root);
    fs::remove_dir_all(root.join("sled")).unwrap();
    synced();
    rebuild(&root, &small(), &mut Tree(0)).unwrap();
    assert!(synced(), "after a rebuild");
    fs::remove_dir(root.join("snapshots")).unwrap();
    // With a reserve that is large enough, nothing else appears here.
    let store = DiskStore::open(&root, &small()).unwrap();
    assert!(synced(), "after an opening");
    drop(store);
}

// The page cache of whoever was killed may say more than the disk: the journal is the last copy.
#[test]
fn head_and_archive_are_made_durable_again_before_an_opening_removes_its_first_journal() {
    let dir = TempDir::new().unwrap();
    let waits = DiskOptions { seal_bytes: usize::MAX, ..small() };
    let (images, options) = Images::of(dir.path(), &waits);
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 700);
    store.sync().unwrap();
    store.flush().unwrap();
    drop(store);
    let mut seen = 0;
    images.each(|step, dir| {
        if step != "archive written" || seen > 0 {
            return;
        }
        seen += 1;
        let root = ledger(dir);
        let written = || head::HeadFile::open(&root).unwrap().1.generation;
        let first = Arc::new(Mutex::new(None));
        let (noted, place) = (Arc::clone(&first), root.clone());
        let mut options = waits.clone();
        options.steps.hook = Some(Arc::new(move |step| {
            if step == "journal removed" {
                let generation = head::HeadFile::open(&place).unwrap().1.generation;
                lock(&noted).get_or_insert(generation);
            }
        }));
        assert!(journals(dir).len() > 2);
        // Without the tree hashes of the tail nothing is sealed, and its thread does not run.
        let store = DiskStore::open(&root, &options).unwrap();
        let before = written();
        dir::SYNCED.take();
        store.flush().unwrap();
        assert_eq!(*lock(&first), Some(before + 2), "both slots");
        assert_eq!(written(), before + 2, "once is enough");
        let synced = dir::SYNCED.take();
        let at = |name: &str| synced.iter().position(|path| path.ends_with(name)).unwrap();
        assert!(at("archive") < at("journal"), "{synced:?}");
        assert_eq!(journals(dir).len(), 1);
    });
    assert_eq!(seen, 1);
}

// The journal is the last other copy that was synced.
#[test]
fn the_bytes_and_the_name_of_an_archive_are_durable_before_its_journal_goes() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
    store.stop_thread();
    append_upto(&store, 700);
    store.sync().unwrap();
    let before = journals(dir.path()).len();
    dir::SYNCED.take();
    store.flush().unwrap();
    let (synced, archived) = (dir::SYNCED.take(), archives(dir.path()));
    assert!(before > 2 && archived.len() == before - 1, "{before} journals, {archived:?}");
    let root = ledger(dir.path());
    let mut last = 0;
    for path in archived
        .iter()
        .flat_map(|path| [dir::tmp_of(path), root.join("archive"), root.join("journal")])
    {
        let next = synced.iter().skip(last).position(|found| *found == path);
        last +=
            next.unwrap_or_else(|| panic!("{path:?} is not synced in its turn: {synced:?}")) + 1;
    }
}

/// Forgets what is in a journal behind event 60, as loss of power does with pages that a failed
/// sync has left in memory only.
fn forget_behind_60(journal: &Path) {
    use std::os::unix::fs::FileExt;
    let bytes = fs::read(journal).unwrap();
    let text = b"frame 61 ";
    let place = bytes.windows(text.len()).position(|window| window == text).unwrap();
    // Where its group begins: a head, and a length.
    let place = place - journal::GROUP_HEAD - 4;
    let file = fs::OpenOptions::new().write(true).open(journal).unwrap();
    file.write_all_at(&vec![0; bytes.len() - place], place as u64).unwrap();
}

/// A ledger of 60 events that are synced and 40 that are only written.
fn partly_synced() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 60);
    store.sync().unwrap();
    append_upto(&store, 100);
    drop(store);
    let journal = journals(dir.path()).remove(0);
    (dir, journal)
}

// After a sync that failed, pages can be read that are not on the disk, and are taken for written:
// a sync alone would make the opening promise what the next loss of power takes away.
#[test]
fn an_opening_writes_again_what_it_has_read_and_nobody_has_synced() {
    let (dir, journal) = partly_synced();
    let mut options = lazy();
    // Between reading and writing: what is in the file then is not what was read.
    let forgetful = journal.clone();
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "leftovers removed" {
            forget_behind_60(&forgetful);
        }
    }));
    let store = reopened_with(dir.path(), &options);
    assert_eq!(store.synced(), head_at(100));
    drop(store);
    assert_holds(&reopened_with(dir.path(), &lazy()), 100);
}

#[test]
fn a_rebuild_writes_again_what_it_has_read_and_nobody_has_synced() {
    struct Forgetting(Tree, PathBuf);
    impl Replay for Forgetting {
        fn push(&mut self, at: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error> {
            if at == seq(100) {
                forget_behind_60(&self.1);
            }
            self.0.push(at, frame)
        }
        fn root(&self) -> Root {
            self.0.root()
        }
    }
    let (dir, journal) = partly_synced();
    rebuild(ledger(dir.path()), &lazy(), &mut Forgetting(Tree(0), journal)).unwrap();
    assert_holds(&reopened_with(dir.path(), &lazy()), 100);
}

/// The bytes of a file after a loss of power: the old ones, with any of the new sectors.
fn torn(old: &[u8], new: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut left = old.to_vec();
    left.resize(new.len(), 0);
    for (to, from) in left.chunks_mut(512).zip(new.chunks(512)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state.is_multiple_of(2) {
            to[..from.len()].copy_from_slice(from);
        }
    }
    left
}

#[test]
fn loss_of_power_leaves_what_was_synced_and_a_prefix_of_the_rest() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 60);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 100);
    store.sync().unwrap();
    let journal = journals(dir.path()).remove(0);
    let head = ledger(dir.path()).join("HEAD");
    let (journal_synced, head_synced) = (fs::read(&journal).unwrap(), fs::read(&head).unwrap());
    append_upto(&store, 140);
    store.shared.write_head().unwrap();
    let (journal_new, head_new) = (fs::read(&journal).unwrap(), fs::read(&head).unwrap());
    drop(store);

    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let image = TempDir::new().unwrap();
        copy(&ledger(dir.path()), &ledger(image.path()));
        let place =
            |path: &Path| ledger(image.path()).join(path.strip_prefix(ledger(dir.path())).unwrap());
        fs::write(place(&journal), torn(&journal_synced, &journal_new, seed)).unwrap();
        fs::write(place(&head), torn(&head_synced, &head_new, seed + 1000)).unwrap();
        let store = reopened_with(image.path(), &lazy());
        let size = store.written().size;
        assert!((100..=140).contains(&size), "seed {seed}: {size}");
        assert_holds(&store, size.get());
        append_upto(&store, 150);
        store.close().unwrap();
        assert_holds(&reopened_with(image.path(), &lazy()), 150);
        sizes.insert(size);
    }
    assert!(sizes.len() > 1, "every image is the same: {sizes:?}");
}
