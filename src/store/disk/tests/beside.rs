//! Tree hashes beside archives: who writes them, what a look makes of them, and what their loss costs.

use super::{inspecting::flip, *};
use crate::store::{
    FrameRead, StoreFindingKind,
    disk::{inspect::Inspection, look::Look},
};
use std::ops::ControlFlow;

/// A closed ledger with archives up to event 600, and 700 events.
fn archived() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 700);
    store.close().unwrap();
    assert!(archives(dir.path()).len() > 3);
    dir
}

fn look(dir: &Path) -> Arc<dyn FrameRead> {
    Look::open(&ledger(dir)).unwrap().log
}

/// The files of hashes, by the archives.
fn beside(dir: &Path) -> Vec<PathBuf> {
    archives(dir).iter().map(|archive| hashes::path_of(archive)).collect()
}

/// The end of the archive that holds an event.
fn end_of(dir: &Path, seq: Seq) -> Option<Head> {
    let ends = archives(dir).into_iter().filter_map(|path| archive::range_of(&path));
    ends.map(|(_, last)| last).find(|last| *last >= seq).map(|last| head_at(last.get()))
}

/// Every archive has its hashes, and a look gives each of them with the end of the archive.
#[track_caller]
fn assert_all_beside(dir: &Path) {
    assert!(beside(dir).iter().all(|path| path.exists()));
    let look = look(dir);
    let mut given = 0;
    for index in 0..1_500 {
        let completed = TreeHash::place_of(index).map(|(seq, _)| seq);
        let end = completed.and_then(|seq| end_of(dir, seq));
        let expected = end.map(|end| (hash_of(index), end));
        assert_eq!(look.tree_hash(index).unwrap(), expected, "{index}");
        given += u64::from(expected.is_some());
    }
    let (_, last) = archive::range_of(archives(dir).last().unwrap()).unwrap();
    assert_eq!(given, TreeHash::kept_by(last.size()));
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn every_archive_gets_the_hashes_that_its_events_complete() {
    let dir = archived();
    assert_all_beside(dir.path());
    assert_holds(&reopened(dir.path()), 700);
}

/// A ledger of an older version has archives alone.
#[test]
fn hashes_that_are_missing_are_written_by_the_next_flush() {
    let dir = archived();
    remove(&beside(dir.path()));
    assert_eq!(look(dir.path()).tree_hash(30).unwrap(), None);
    let store = reopened(dir.path());
    assert!(beside(dir.path()).iter().all(|path| !path.exists()));
    store.flush().unwrap();
    assert_all_beside(dir.path());
}

#[test]
fn a_rebuild_writes_all_hashes_again_and_leaves_none_without_an_archive() {
    let dir = archived();
    let paths = beside(dir.path());
    remove(&paths[..1]);
    flip(&paths[1], 520);
    fs::write(&paths[2], b"").unwrap();
    let alone = ledger(dir.path()).join("archive/00000000000000000700-00000000000000000800.tree");
    fs::copy(&paths[3], &alone).unwrap();
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    assert!(!alone.exists());
    assert_all_beside(dir.path());
}

#[test]
fn a_purge_changes_no_hash() {
    let dir = archived();
    let before: Vec<_> = beside(dir.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let store = reopened(dir.path());
    store.erase(seq(700), &|at, _| Ok((at.get() < 500).then(|| b"erased".to_vec()))).unwrap();
    store.close().unwrap();
    for (path, before) in beside(dir.path()).iter().zip(before) {
        assert_eq!(fs::read(path).unwrap(), before);
    }
    assert_all_beside(dir.path());
}

/// The file of another archive, or of another ledger, is as good as none.
#[test]
fn hashes_of_other_events_are_not_given() {
    let dir = archived();
    let paths = beside(dir.path());
    fs::copy(&paths[1], &paths[0]).unwrap();
    assert_eq!(look(dir.path()).tree_hash(30).unwrap(), None);
    let other = TempDir::new().unwrap();
    let identity = Identity { ledger: LedgerId([6; 16]), ..identity() };
    let store = DiskStore::create(ledger(other.path()), &small(), identity).unwrap();
    append_upto(&store, 600);
    store.close().unwrap();
    fs::copy(&beside(other.path())[0], &paths[0]).unwrap();
    assert_eq!(look(dir.path()).tree_hash(30).unwrap(), None);
}

/// A look fails at nothing that one bit says, and an audit finds it and loses nothing.
#[test]
fn any_flipped_bit_and_any_cut_is_found_and_is_harmless() {
    let dir = archived();
    let path = beside(dir.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let (_, last) = archive::range_of(&archives(dir.path())[0]).unwrap();
    let mut wrong = 0;
    let mut check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let look = look(dir.path());
        for seq in (1..=last.get()).filter_map(Seq::new) {
            for index in TreeHash::completed_by(seq) {
                let given = look.tree_hash(index).unwrap();
                wrong += u64::from(given.is_some_and(|(hash, _)| hash != hash_of(index)));
            }
        }
        let inspection = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap();
        let found = inspection.log(&mut |_| ControlFlow::Continue(()));
        let kinds: Vec<_> = found.iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [StoreFindingKind::TreeHashes], "{what}: {found:?}");
        assert!(found[0].is_harmless() && found[0].detail.contains("may be removed"), "{found:?}");
        assert!(inspection.findings().is_empty());
    };
    for place in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        check(&flipped, &format!("byte {place}"));
    }
    for cut in [0, 1, 511, 512, 543, whole.len() - 1] {
        check(&whole[..cut], &format!("cut at {cut}"));
    }
    assert!(wrong > 0, "a look gives what a file says, and does not judge it");
}

/// Root reads other people's ledgers: the file beside an archive may be anything.
#[test]
fn what_is_no_file_of_hashes_is_none_and_is_not_waited_for() {
    for kind in ["pipe", "link", "directory", "long"] {
        let dir = archived();
        let path = beside(dir.path()).remove(0);
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        match kind {
            "pipe" => {
                let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(made.success());
            }
            "link" => std::os::unix::fs::symlink(&aside, &path).unwrap(),
            "directory" => fs::create_dir(&path).unwrap(),
            _ => fs::File::create(&path).unwrap().set_len(1 << 40).unwrap(),
        }
        assert_eq!(look(dir.path()).tree_hash(30).unwrap(), None, "{kind}");
    }
}

/// A crash leaves a file under a temporary name, which the next opening removes.
#[test]
fn a_file_that_was_being_written_is_removed_and_written_again() {
    let dir = archived();
    let path = beside(dir.path()).remove(2);
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let tmp = dir::tmp_of(&path);
    fs::write(&tmp, &whole[..600]).unwrap();
    let store = reopened(dir.path());
    assert!(!tmp.exists() && !path.exists());
    store.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

/// A sled that has lost a hash gives none to a file: a file has all hashes or is not there.
#[test]
fn a_file_is_never_written_with_a_hash_missing() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    // The hash that event 32 completes at level 5 is not given.
    let missing = TreeHash::completed_by(seq(32)).last().unwrap();
    for number in 1..=400 {
        let hashes: Vec<_> = tree_hashes_of(number).filter(|hash| hash.index != missing).collect();
        let frames = [frame_of(number)];
        let (first, root) = (seq(number), root_at(number));
        store.append(Group { first, frames: &frames, root, tree_hashes: &hashes }).unwrap();
    }
    store.sync().unwrap();
    store.flush().unwrap();
    let there: Vec<_> = beside(dir.path()).iter().map(|path| path.exists()).collect();
    assert!(!there[0] && there[1..].iter().all(|there| *there) && there.len() > 1, "{there:?}");
    let left = dir::entries(&ledger(dir.path()).join(dir::ARCHIVE)).unwrap();
    assert!(!left.iter().any(|path| dir::is_tmp(path)), "{left:?}");
}
