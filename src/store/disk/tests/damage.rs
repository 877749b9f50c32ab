//! What is found wrong at an opening, and that nothing is written when something is.

use super::*;
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

// Everything was sealed, so nothing is lost: "ends at event 700 but held 700" told nobody what was.
#[test]
fn without_any_journal_that_is_what_is_said() {
    let (dir, _) = sealed();
    for journal in journals(dir.path()) {
        fs::remove_file(journal).unwrap();
    }
    let error = refused_untouched(dir.path());
    let Error::Damaged { detail, .. } = &error else { panic!("{error}") };
    assert!(detail.contains("no journal"), "{error}");
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
    let synced = Head { size: 50, root: Root([1; 32]) };
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

#[test]
fn a_sled_that_is_missing_is_a_finding_and_is_rebuilt() {
    let (dir, sled) = sealed();
    fs::remove_dir_all(&sled).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: None, .. }), "{error}");
    let rebuilt = rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    assert_eq!(rebuilt, Rebuilt { head: head_at(700), set_aside: Vec::new() });
    assert_holds(&reopened(dir.path()), 700);
}

#[test]
fn a_sled_that_is_cut_or_emptied_is_a_finding_and_is_rebuilt() {
    let (dir, sled) = sealed();
    let db = sled.join("1/db");
    let length = fs::metadata(&db).unwrap().len();
    for cut in [0, 1, 600_000, length / 2] {
        if cut < length {
            open_file(&db).set_len(cut).unwrap();
            let error = refused(dir.path());
            assert!(
                matches!(
                    error,
                    Error::LostTail { expected: 700, .. }
                        | Error::Damaged { .. }
                        | Error::Engine { .. }
                ),
                "cut at {cut}: {error}"
            );
        }
    }
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    let store = reopened(dir.path());
    assert_holds(&store, 700);
    append_upto(&store, 800);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), 800);
}

/// Sled makes an empty file into a new database: what was lost would be written over.
#[test]
fn a_sled_that_is_emptied_is_refused_before_it_is_opened() {
    let (dir, sled) = sealed();
    open_file(&sled.join("1/db")).set_len(0).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 700, found: 0 }), "{error}");
}

#[test]
fn a_rebuild_takes_what_was_never_sealed_from_the_journal() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 500);
    store.sync().unwrap();
    store.checkpoint().unwrap();
    append_upto(&store, 530);
    store.sync().unwrap();
    drop(store);
    fs::remove_dir_all(ledger(dir.path()).join("sled")).unwrap();
    rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
    let store = reopened(dir.path());
    assert_eq!(store.sealed(), head_at(530));
    assert_holds(&store, 530);
}

#[test]
fn a_rebuild_from_a_damaged_archive_changes_nothing() {
    let (dir, _) = sealed();
    let archive = archives(dir.path()).remove(1);
    flip(&archive, 700);
    let before = evidence(dir.path());
    let error = rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap_err();
    let first = archive::range_of(&archive).unwrap().0;
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == first), "{error}");
    let mut after = evidence(dir.path());
    after.retain(|(path, _)| !path.to_string_lossy().contains("sled/2"));
    assert!(before == after);
    // The sled that is in use is as good as it was.
    assert_holds(&reopened(dir.path()), 700);
    fs::remove_file(&archive).unwrap();
    let error = rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap_err();
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == first), "{error}");
}

/// A tree that is not the one of the made-up log.
struct Other;

impl Replay for Other {
    fn push(&mut self, _: Seq, _: &[u8]) -> Result<Vec<Mark>, Error> {
        Ok(Vec::new())
    }
    fn root(&self) -> Root {
        Root([3; 32])
    }
}

#[test]
fn a_rebuild_that_gives_another_root_is_refused() {
    let (dir, _) = sealed();
    let error = rebuild(ledger(dir.path()), &small(), &mut Other).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_holds(&reopened(dir.path()), 700);
}

#[test]
fn any_flipped_bit_of_sled_is_found_or_harmless_and_a_rebuild_mends_it() {
    let (dir, sled) = sealed();
    let db = sled.join("1/db");
    let whole = fs::read(&db).unwrap();
    let original = files(&sled);
    let mut found = 0;
    for number in 0..16 {
        let image = TempDir::new().unwrap();
        copy(&ledger(dir.path()), &ledger(image.path()));
        let place = whole.len() / 16 * number + 77;
        flip(&ledger(image.path()).join("sled/1/db"), place as u64);
        match DiskStore::open(ledger(image.path()), &small()) {
            // What sled has lost without a word is read from where it was before.
            Ok(store) => {
                for number in 1..=700 {
                    assert_eq!(store.read(seq(number), 1).unwrap(), [frame_of(number)]);
                }
            }
            Err(Error::LostTail { .. } | Error::Damaged { .. } | Error::Engine { .. }) => {
                found += 1;
            }
            Err(other) => panic!("byte {place}: {other}"),
        }
        rebuild(ledger(image.path()), &small(), &mut Tree(0)).unwrap();
        assert_holds(&reopened(image.path()), 700);
    }
    assert!(found > 0, "not one of these places matters");
    assert!(files(&sled) == original);
}

// Only what is synced is sealed. An older journal and HEAD, put back beside a newer sled, made 402
// events 101 without a word.
#[test]
fn a_log_that_ends_before_what_sled_holds_has_lost_its_tail() {
    for (old, new) in [(100, 400), (96, 97), (97, 98), (96, 112), (0, 1)] {
        let dir = TempDir::new().unwrap();
        let store = created_with(dir.path(), &lazy());
        append_upto(&store, old);
        store.close().unwrap();
        drop(store);
        let kept = TempDir::new().unwrap();
        copy(&ledger(dir.path()), &ledger(kept.path()));
        let store = reopened_with(dir.path(), &lazy());
        append_upto(&store, new);
        store.close().unwrap();
        drop(store);
        let root = ledger(dir.path());
        fs::copy(ledger(kept.path()).join("HEAD"), root.join("HEAD")).unwrap();
        fs::remove_dir_all(root.join("journal")).unwrap();
        copy(&ledger(kept.path()).join("journal"), &root.join("journal"));

        let error = refused(dir.path());
        assert!(
            matches!(error, Error::LostTail { expected, found } if (expected, found) == (new, old)),
            "{old} of {new}: {error}"
        );
    }
}

// The other way round is what every crash leaves: blocks that HEAD does not know of yet.
#[test]
fn blocks_that_were_sealed_after_the_last_checkpoint_are_no_loss() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 90);
    store.sync().unwrap();
    let head = fs::read(ledger(dir.path()).join("HEAD")).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    fs::write(ledger(dir.path()).join("HEAD"), head).unwrap();
    let store = reopened_with(dir.path(), &lazy());
    assert_eq!(store.sealed(), Head::EMPTY);
    assert_holds(&store, 90);
}

/// The first journal of another run of the same ledger: `groups` of one event up to `size`.
fn first_journal_of_another_run(size: u64) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    (1..=size).for_each(|number| append_group(&store, number, number).unwrap());
    drop(store);
    fs::read(&journals(dir.path())[0]).unwrap()
}

// Two journals that both hold some events made opening panic, or the tail hold them twice.
#[test]
fn journals_that_overlap_are_damage_and_no_panic() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
    store.stop_thread();
    append_upto(&store, 400);
    store.sync().unwrap();
    drop(store);
    let journals = journals(dir.path());
    assert!(journals.len() > 2);
    fs::write(&journals[0], first_journal_of_another_run(300)).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(1)), "{error}");
    assert!(rebuild(ledger(dir.path()), &small(), &mut Tree(0)).is_err());
}

// The archive of a journal that is not the one that was full would take its place for good; the
// count was checked by a panic, in the middle of a close.
#[test]
fn a_full_journal_that_is_another_one_now_is_not_archived() {
    for more in [0, 5] {
        let dir = TempDir::new().unwrap();
        let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
        store.stop_thread();
        append_upto(&store, 400);
        store.sync().unwrap();
        let full = journals(dir.path()).remove(0);
        let last = lock(&store.shared.journals).retired[0].after.size;
        // As many events, or a few more; with the same number of events, other roots.
        let mut other = first_journal_of_another_run(last + more);
        if more == 0 {
            other = with_other_root(&other);
        }
        fs::write(&full, other).unwrap();
        let error = store.checkpoint().unwrap_err();
        assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(1)), "{error}");
        assert!(matches!(store.close(), Err(Error::Damaged { .. })));
        assert!(archives(dir.path()).is_empty());
        assert!(full.exists(), "what could not be archived is kept");
    }
}

/// The journal with another root in its last group, and checksums that hold.
fn with_other_root(journal: &[u8]) -> Vec<u8> {
    let mut bytes = journal.to_vec();
    let place = bytes.windows(4).rposition(|word| word == b"TLG1").unwrap();
    let frames = u32::from_le_bytes(bytes[place + 32..place + 36].try_into().unwrap()) as usize;
    bytes[place + 40] ^= 1;
    let end = place + journal::GROUP_HEAD + frames;
    let crc = crc32c::crc32c(&bytes[place..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Puts `bytes` into a sector at `place`, whose checksum holds again.
fn patch_sector(path: &Path, place: usize, bytes: &[u8]) {
    let file = open_file(path);
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, 0).unwrap();
    sector[place..place + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&sector[..508]);
    sector[508..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&sector, 0).unwrap();
}

/// Magic, format, ledger, nonce, size and root before it.
const BYTES_AT: usize = 8 + 4 + 16 + 8 + 40;

// Opening zeroes a journal as far as its header says: without a bound, until the disk is full.
#[test]
fn a_journal_that_claims_to_be_enormous_is_damage() {
    let (dir, journal) = unsealed(0);
    for bytes in [u64::MAX, journal::FILE_BYTES_MAX + 1] {
        patch_sector(&journal, BYTES_AT, &bytes.to_le_bytes());
        let header = scan::read_header(&journal);
        assert!(matches!(header, Err(Error::Damaged { .. })), "{header:?}");
    }
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
}

// Its length is all that is known of a journal before it is read, and memory is asked for on its word.
#[test]
fn a_journal_that_is_longer_than_any_is_refused_by_its_length() {
    let (dir, journal) = unsealed(50);
    open_file(&journal).set_len(1 << 40).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("no journal has over"), "{error}");
}

#[test]
fn no_journal_is_made_that_could_not_be_read_again() {
    let options = DiskOptions { journal_bytes: u64::MAX, ..small() };
    assert_eq!(super::super::writer::file_bytes(&options, 100), journal::FILE_BYTES_MAX);
}

// Checksums can be made to fit any number; adding to the highest ones made whoever read them panic.
#[test]
fn numbers_at_the_end_of_the_range_are_damage_and_no_panic() {
    let (dir, journal) = unsealed(0);
    let root = ledger(dir.path());
    let head = fs::read(root.join("HEAD")).unwrap();
    // Generation, size that was written, directory of sled.
    for place in [12, 20, 12 + 8 + 3 * 40 + 16] {
        patch_sector(&root.join("HEAD"), place, &u64::MAX.to_le_bytes());
        let page = fs::read(root.join("HEAD")).unwrap();
        open_file(&root.join("HEAD")).write_all_at(&page[..512], 4096).unwrap();
        assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }), "{place}");
        assert!(rebuild(&root, &small(), &mut Tree(0)).is_err(), "{place}");
        fs::write(root.join("HEAD"), &head).unwrap();
    }

    let empty = fs::read(&journal).unwrap();
    fs::remove_file(&journal).unwrap();
    for before in [u64::MAX - 1, u64::MAX - 3, u64::MAX >> 1] {
        let name = format!("{:020}.journal", before + 1);
        let path = journal.with_file_name(name);
        fs::write(&path, &empty).unwrap();
        patch_sector(&path, 8 + 4 + 16 + 8, &before.to_le_bytes());
        append_crafted(&path, before);
        assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }), "{before}");
        let seen = inspect::Inspection::open(&root).unwrap();
        assert!(!seen.log(&mut |_| std::ops::ControlFlow::Continue(())).is_empty(), "{before}");
        assert!(rebuild(&root, &small(), &mut Tree(0)).is_err(), "{before}");
        fs::remove_file(&path).unwrap();
    }
}

/// Puts a group of five frames that follow event `before` at the start of a journal.
fn append_crafted(path: &Path, before: u64) {
    let bytes = fs::read(path).unwrap();
    let mut group = b"TLG1".to_vec();
    group.extend_from_slice(&5_u32.to_le_bytes());
    group.extend_from_slice(&bytes[28..36]);
    group.extend_from_slice(&(before + 1).to_le_bytes());
    group.extend_from_slice(&0_u64.to_le_bytes());
    group.extend_from_slice(&20_u32.to_le_bytes());
    group.extend_from_slice(&crc32c::crc32c(&bytes[..508]).to_le_bytes());
    group.extend_from_slice(&[7; 32]);
    group.extend_from_slice(&[0; 20]);
    group.extend_from_slice(&crc32c::crc32c(&group).to_le_bytes());
    open_file(path).write_all_at(&group, 4096).unwrap();
}
