//! Files that are no longer in use are kept, unless they are marked as never finished.

use super::*;
use crate::store::Damage;

/// The names in `quarantine/`.
fn kept(dir: &Path) -> Vec<String> {
    let entries = dir::entries(&ledger(dir).join("quarantine")).unwrap();
    entries.iter().map(|path| dir::name(path).to_owned()).collect()
}

/// Files by their place below `root`.
fn below(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let place = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
    files(root).into_iter().map(|(path, bytes)| (place(&path), bytes)).collect()
}

/// A ledger of 400 events in sled, and a journal and `HEAD` of 100 from an older copy of it.
fn shorter_than_its_sled() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let old = TempDir::new().unwrap();
    copy(&ledger(dir.path()), &ledger(old.path()));
    let store = reopened_with(dir.path(), &lazy());
    append_upto(&store, 400);
    store.close().unwrap();
    drop(store);
    put_back(old.path(), dir.path());
    dir
}

/// Puts `HEAD` and journals of an older copy back.
fn put_back(old: &Path, dir: &Path) {
    fs::copy(ledger(old).join("HEAD"), ledger(dir).join("HEAD")).unwrap();
    fs::remove_dir_all(ledger(dir).join("journal")).unwrap();
    copy(&ledger(old).join("journal"), &ledger(dir).join("journal"));
}

// 300 events of which sled had the only copy were deleted with it.
#[test]
fn the_sled_that_a_rebuild_replaces_is_kept_as_it_was() {
    let dir = shorter_than_its_sled();
    let root = ledger(dir.path());
    for (at, bytes) in [(90, b"within"), (300, b"beyond")] {
        DiskSnapshots::of(&root).save(seq(at), bytes).unwrap();
    }
    let before = below(&root.join("sled/1"));
    let rebuilt = rebuild(&root, &lazy(), &mut Tree(0)).unwrap();
    let (sled, state) = ("quarantine/sled-1", "quarantine/00000000000000000300.snapshot");
    let set_aside = vec![root.join(sled), root.join(state)];
    assert_eq!(rebuilt, Rebuilt { head: head_at(100), set_aside });
    assert!(below(&root.join(sled)) == before);
    assert_eq!(fs::read(root.join(state)).unwrap(), b"beyond");
    assert_eq!(DiskSnapshots::of(&root).list().unwrap(), [seq(90)]);

    let store = reopened_with(dir.path(), &lazy());
    assert_holds(&store, 100);
    store.close().unwrap();
    drop(store);
    assert_eq!(rebuild(&root, &lazy(), &mut Tree(0)).unwrap().head, head_at(100));
    let names = ["00000000000000000300.snapshot", "sled-1", "sled-1.upto", "sled-2", "sled-2.upto"];
    assert_eq!(kept(dir.path()), names);
    // It tells of the end that the log had.
    let said = upto::Record::read(&root.join(sled), identity().ledger).unwrap().unwrap();
    assert_eq!(said.log, head_at(400));
    let lost = crate::store::sled::Sled::open(&root.join(sled), 1 << 20, &root).unwrap();
    let lost = lost.block(seq(385)).unwrap().unwrap();
    let lost: Vec<_> = lost.iter().map(|(_, frame)| frame.to_vec()).collect();
    assert_eq!(lost, (385..=400).map(frame_of).collect::<Vec<_>>());
}

// With an old HEAD, the newer sled is the one that is not in use: an opening deleted it.
#[test]
fn a_newer_sled_than_head_knows_of_is_kept_by_an_opening_and_by_a_rebuild() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let old = TempDir::new().unwrap();
    copy(&ledger(dir.path()), &ledger(old.path()));
    let root = ledger(dir.path());
    rebuild(&root, &lazy(), &mut Tree(0)).unwrap();
    let store = reopened_with(dir.path(), &lazy());
    append_upto(&store, 400);
    store.close().unwrap();
    drop(store);
    put_back(old.path(), dir.path());
    fs::remove_dir_all(root.join("quarantine")).unwrap();
    let newer = below(&root.join("sled/2"));

    let rebuilding = TempDir::new().unwrap();
    copy(&root, &ledger(rebuilding.path()));
    rebuild(ledger(rebuilding.path()), &lazy(), &mut Tree(0)).unwrap();
    assert!(below(&ledger(rebuilding.path()).join("quarantine/sled-2")) == newer);

    copy(&ledger(old.path()).join("sled/1"), &root.join("sled/1"));
    assert_holds(&reopened_with(dir.path(), &lazy()), 100);
    assert!(below(&root.join("quarantine/sled-2")) == newer);
}

/// Cannot read the frame of event 50, which ends a rebuild there.
struct Failing(Tree);

impl Replay for Failing {
    fn push(&mut self, at: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error> {
        if at == seq(50) {
            let detail = Damage::Frame { why: Arc::new(Error::Halted) };
            return Err(Error::Damaged { seq: Some(at), file: None, detail });
        }
        self.0.push(at, frame)
    }

    fn root(&self) -> Root {
        self.0.root()
    }
}

#[test]
fn a_sled_that_was_never_whole_is_removed() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let root = ledger(dir.path());
    let error = rebuild(&root, &small(), &mut Failing(Tree(0))).unwrap_err();
    let Error::Damaged { seq: Some(at), file: Some(file), .. } = &error else { panic!("{error}") };
    assert!(*at == seq(50) && file.exists(), "the file of the frame is named: {error}");
    assert!(root.join("sled/2").exists());
    assert_holds(&reopened(dir.path()), 100);
    let left = [root.join("sled/1"), root.join("sled/1.upto")];
    assert_eq!(dir::entries(&root.join("sled")).unwrap(), left);
    assert_eq!(kept(dir.path()), Vec::<String>::new());
}

#[test]
fn what_was_set_aside_goes_with_the_texts_that_are_erased() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    assert_eq!(kept(dir.path()), ["sled-1", "sled-1.upto"]);
    let store = reopened(dir.path());
    store.erase(seq(100), &|at, _| Ok((at == seq(30)).then(|| b"erased".to_vec()))).unwrap();
    store.close().unwrap();
    erasing::assert_gone(dir.path(), &frame_of(30));
    assert_eq!(kept(dir.path()), Vec::<String>::new());
}

#[test]
fn a_copy_in_the_making_is_no_store_and_can_be_cleared_and_nothing_else_can() {
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    let copying = Identity { role: Role::Copying, ..identity() };
    let store = DiskStore::create(&root, &small(), copying).unwrap();
    append_upto(&store, 200);
    store.sync().unwrap();
    let busy = DiskStore::create(&root, &small(), identity());
    assert!(matches!(busy, Err(Error::InUse { .. })), "{busy:?}");
    store.close().unwrap();
    drop(store);
    assert!(matches!(refused(dir.path()), Error::Unfinished { .. }));
    let rebuilt = rebuild(&root, &small(), &mut Tree(0));
    assert!(matches!(rebuilt, Err(Error::Unfinished { .. })), "{rebuilt:?}");

    let store = DiskStore::create(&root, &small(), copying).unwrap();
    assert_holds(&store, 0);
    append_upto(&store, 60);
    store.set_identity(identity()).unwrap();
    store.close().unwrap();
    drop(store);
    assert!(matches!(remove_unfinished(&root), Err(Error::Exists { .. })));
    assert_holds(&reopened(dir.path()), 60);

    let other = dir.path().join("other");
    drop(DiskStore::create(&other, &small(), copying).unwrap());
    remove_unfinished(&other).unwrap();
    assert!(!other.exists());
}
