//! The faults that an opening finds; it writes nothing if there is one.

mod forged;
mod sealed;
mod unopened;

use super::*;
use crate::{ids::Size, store::Damage};
use std::os::unix::fs::FileExt;

/// The files of a ledger but the one that every opening writes to.
fn evidence(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = files(&ledger(dir));
    found.retain(|(path, _)| !path.ends_with("LOCK"));
    found
}

/// Opening is refused, and changes nothing.
#[track_caller]
fn refused_untouched(dir: &Path) -> Error {
    let before = evidence(dir);
    let error = refused(dir);
    assert!(evidence(dir) == before, "something was written before {error}");
    error
}

fn open_file(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// A ledger of `size` events in one journal, none of them sealed.
fn unsealed(size: u64) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, size);
    store.sync().unwrap();
    drop(store);
    let journal = journals(dir.path()).remove(0);
    (dir, journal)
}

/// A ledger of 700 events, all of them sealed, as an older version leaves it: each opening opens sled.
fn sealed_before() -> (TempDir, PathBuf) {
    let (dir, sled) = sealed();
    forget_upto(dir.path());
    (dir, sled)
}

/// A ledger of 700 events, all of them sealed.
fn sealed() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 700);
    store.close().unwrap();
    drop(store);
    let sled = ledger(dir.path()).join("sled");
    (dir, sled)
}

fn place_of(path: &Path, text: &str) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap() as u64
}

fn flip(path: &Path, place: u64) {
    let file = open_file(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
}

#[test]
fn a_group_that_was_never_synced_is_dropped_when_torn_and_the_rest_is_zeroed() {
    let (dir, journal) = unsealed(50);
    let store = reopened_with(dir.path(), &lazy());
    append_group(&store, 51, 60).unwrap();
    append_group(&store, 61, 62).unwrap();
    drop(store);
    flip(&journal, place_of(&journal, "frame 55 "));
    let store = reopened_with(dir.path(), &lazy());
    assert_holds(&store, 50);
    let bytes = fs::read(&journal).unwrap();
    let text = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(text(b"frame 50 ") && !text(b"frame 52 ") && !text(b"frame 61 "));
    append_upto(&store, 70);
    store.close().unwrap();
    assert_holds(&reopened_with(dir.path(), &lazy()), 70);
}

#[test]
fn a_bad_group_below_what_head_says_was_synced_is_damaged_there() {
    let (dir, journal) = unsealed(50);
    flip(&journal, place_of(&journal, "frame 20 "));
    let error = refused_untouched(dir.path());
    let Error::Damaged { seq: Some(at), .. } = error else { panic!("{error}") };
    // The first event of its group.
    assert!(at <= seq(20) && at > seq(13), "{at}");
}

#[test]
fn a_bad_group_below_what_a_later_group_says_was_synced_is_damaged_too() {
    let (dir, journal) = unsealed(50);
    let store = reopened_with(dir.path(), &lazy());
    append_group(&store, 51, 51).unwrap();
    drop(store);
    // After loss of power HEAD may be old: here it knows of nothing.
    let head = ledger(dir.path()).join("HEAD");
    fs::remove_file(&head).unwrap();
    head::HeadFile::create(&ledger(dir.path()), &HeadRecord::NEW).unwrap();
    flip(&journal, place_of(&journal, "frame 20 "));
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { seq: Some(_), .. }));
}

#[test]
fn a_cut_journal_is_a_lost_tail() {
    let (dir, journal) = unsealed(50);
    open_file(&journal).set_len(place_of(&journal, "frame 40 ")).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { .. } | Error::Damaged { .. }), "{error}");
    open_file(&journal).set_len(4096).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 50, found: 0 }), "{error}");
    fs::remove_file(&journal).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 50, found: 0 }), "{error}");
}

// All was sealed, so nothing is lost: "ends at event 700 but held 700" did not say what was wrong.
#[test]
fn without_any_journal_that_is_what_is_said() {
    let (dir, _) = sealed();
    for journal in journals(dir.path()) {
        fs::remove_file(journal).unwrap();
    }
    let error = refused_untouched(dir.path());
    let Error::Damaged { detail, .. } = &error else { panic!("{error}") };
    assert!(matches!(detail, Damage::MissingJournal { .. }), "{error}");
}

#[test]
fn a_journal_cut_behind_its_groups_is_made_whole_again() {
    let (dir, journal) = unsealed(50);
    let length = fs::metadata(&journal).unwrap().len();
    open_file(&journal).set_len(length - 100_000).unwrap();
    drop(reopened_with(dir.path(), &lazy()));
    assert_eq!(fs::metadata(&journal).unwrap().len(), length);
}

#[test]
fn a_missing_journal_between_two_is_damage() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &small());
    store.stop_thread();
    append_upto(&store, 700);
    store.sync().unwrap();
    drop(store);
    let journals = journals(dir.path());
    fs::remove_file(&journals[1]).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { .. }), "{error}");
    fs::remove_file(&journals[0]).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(1)), "{error}");
}

#[test]
fn one_bad_slot_of_head_is_harmless_and_two_are_damage() {
    let (dir, _) = unsealed(50);
    let head = ledger(dir.path()).join("HEAD");
    flip(&head, 20);
    assert_holds(&reopened_with(dir.path(), &lazy()), 50);
    flip(&head, 20);
    flip(&head, 4096 + 20);
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
}

#[test]
fn a_head_that_names_another_root_is_damage() {
    let (dir, _) = unsealed(50);
    let head = ledger(dir.path()).join("HEAD");
    let synced = Head { size: Size::new(50), root: Root([1; 32]) };
    fs::remove_file(&head).unwrap();
    let record = HeadRecord { synced, written: synced, ..HeadRecord::NEW };
    head::HeadFile::create(&ledger(dir.path()), &record).unwrap();
    assert!(matches!(
        refused_untouched(dir.path()),
        Error::Damaged { seq: Some(at), .. } if at == seq(50)
    ));
}

#[test]
fn a_file_of_a_later_format_is_refused() {
    let (dir, journal) = unsealed(50);
    let root = ledger(dir.path());
    for path in [root.join("NODE"), root.join("HEAD"), journal] {
        let whole = fs::read(&path).unwrap();
        let mut newer = whole.clone();
        newer[8] = 9;
        let crc = crc32c::crc32c(&newer[..508]);
        newer[508..512].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, newer).unwrap();
        let error = refused_untouched(dir.path());
        assert!(
            matches!(&error, Error::UnsupportedFormat { path: at, found: 9, max: 1 } if *at == path),
            "{error}"
        );
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_node_file_that_is_lost_or_bad_is_damage_and_no_empty_place() {
    let (dir, _) = unsealed(50);
    let node = ledger(dir.path()).join("NODE");
    let whole = fs::read(&node).unwrap();
    flip(&node, 30);
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
    fs::remove_file(&node).unwrap();
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
    let again = DiskStore::create(ledger(dir.path()), &small(), identity());
    assert!(matches!(again, Err(Error::Exists { .. })));
    fs::write(&node, whole).unwrap();
    assert_holds(&reopened_with(dir.path(), &lazy()), 50);
}

/// Neither opening nor creating takes this ledger, without its `NODE`, for one that was never
/// finished; with its `NODE` back it holds all it held.
#[track_caller]
fn assert_not_taken_for_unfinished(dir: &Path, size: u64) {
    let (node, begun) = (ledger(dir).join("NODE"), ledger(dir).join("NODE.tmp"));
    fs::rename(&node, &begun).unwrap();
    assert!(matches!(refused_untouched(dir), Error::Damaged { .. }));
    let before = evidence(dir);
    let again = DiskStore::create(ledger(dir), &small(), identity());
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    assert!(evidence(dir) == before);
    fs::rename(&begun, &node).unwrap();
    assert_holds(&reopened(dir), size);
}

// NODE under its temporary name was taken for a creation cut short: the next `open_or_create`
// cleared the whole ledger away.
#[test]
fn a_ledger_whose_node_has_its_temporary_name_is_not_cleared_away() {
    let (dir, _) = unsealed(50);
    assert_not_taken_for_unfinished(dir.path(), 50);
    let (dir, _) = sealed();
    assert_not_taken_for_unfinished(dir.path(), 700);
}

#[test]
fn any_one_thing_that_may_have_been_acknowledged_keeps_a_ledger_from_being_cleared() {
    let new_head = |dir: &Path| {
        fs::remove_file(ledger(dir).join("HEAD")).unwrap();
        head::HeadFile::create(&ledger(dir), &HeadRecord::NEW).unwrap();
    };
    // After loss of power HEAD may know of nothing: the journal tells.
    let (dir, journal) = unsealed(5);
    new_head(dir.path());
    assert_not_taken_for_unfinished(dir.path(), 5);
    // Without its journal, HEAD tells.
    fs::remove_file(&journal).unwrap();
    let node = ledger(dir.path()).join("NODE");
    let begun = ledger(dir.path()).join("NODE.tmp");
    fs::rename(&node, &begun).unwrap();
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
    // Without either, an archive or a saved state does.
    new_head(dir.path());
    for place in ["archive", "snapshots"] {
        let file = ledger(dir.path()).join(place).join("something");
        fs::write(&file, b"kept").unwrap();
        assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }), "{place}");
        fs::remove_file(&file).unwrap();
    }
    // With nothing of all that, it was never finished.
    assert!(matches!(refused_untouched(dir.path()), Error::NotFound { .. }));
    created(dir.path()).close().unwrap();
}

// The leftover of a change of identity had the name that speaks for an unfinished creation.
#[test]
fn a_change_of_identity_that_was_cut_short_leaves_no_unfinished_creation() {
    let (dir, _) = unsealed(50);
    let store = reopened_with(dir.path(), &lazy());
    // A directory in the place of the file: the change stops before its end.
    let root = ledger(dir.path());
    fs::remove_file(root.join("NODE")).unwrap();
    fs::create_dir(root.join("NODE")).unwrap();
    store.set_identity(Identity { role: Role::Standby, ..identity() }).unwrap_err();
    assert_eq!(store.identity(), identity());
    drop(store);
    assert!(!root.join("NODE.tmp").exists());
    fs::remove_dir(root.join("NODE")).unwrap();
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
}

#[test]
fn any_flipped_bit_of_a_journal_is_found_or_harmless() {
    let (_dir, journal) = unsealed(12);
    let whole = fs::read(&journal).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    for place in (0..4096).step_by(31).chain(4096..end + 40) {
        flip(&journal, place);
        match scan::Scan::read(&journal).and_then(|scan| scan.judge(12).map(|()| scan)) {
            Ok(scan) => {
                let frames: Vec<_> = scan.frames().map(|(_, frame)| frame.to_vec()).collect();
                assert_eq!(frames, (1..=12).map(frame_of).collect::<Vec<_>>(), "byte {place}");
            }
            Err(Error::Damaged { .. }) => {}
            Err(other) => panic!("byte {place}: {other}"),
        }
        fs::write(&journal, &whole).unwrap();
    }
}
