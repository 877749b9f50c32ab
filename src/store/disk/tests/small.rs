//! Small ledgers: what they take, how it grows, and what happens where there is no room for it.

use super::*;
use crate::store::disk::{
    files::{
        journal::{Header, Spare},
        lock::Lock,
    },
    live::{shared::nonce, sizes},
};
use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::{Mutex, atomic::AtomicUsize},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The usual sizes; a test decides on every flush.
fn usual() -> DiskOptions {
    DiskOptions { flush_every: None, cache_bytes: 1 << 20, ..DiskOptions::default() }
}

/// The bytes of all files of a ledger: by their lengths, and as they take room on the disk.
fn taken(root: &Path) -> [u64; 2] {
    let mut sums = [0, fs::metadata(root).unwrap().blocks() * 512];
    for entry in dir::entries(root).unwrap() {
        let meta = fs::metadata(&entry).unwrap();
        let [len, blocks] =
            if meta.is_dir() { taken(&entry) } else { [meta.len(), meta.blocks() * 512] };
        sums = [sums[0] + len, sums[1] + blocks];
    }
    sums
}

fn len_of(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// The size of the current journal, as its header and its length say.
#[track_caller]
fn journal_of(store: &DiskStore) -> u64 {
    let journal = lock(&store.shared.journal);
    assert_eq!(len_of(&journal.path), journal.header.bytes);
    journal.header.bytes
}

/// Appends frames of 8 KiB that compress to little more than half, until the journal is changed.
fn fill_journal(store: &DiskStore) {
    let before = lock(&store.shared.journal).path.clone();
    while lock(&store.shared.journal).path == before {
        let number = store.written().size.get() + 1;
        append_frame(store, number, long_frame(number)).unwrap();
    }
}

fn append_frame(store: &DiskStore, number: u64, frame: Vec<u8>) -> Result<(), Error> {
    let tree_hashes: Vec<_> = tree_hashes_of(number).collect();
    let (first, root) = (seq(number), root_at(number));
    store.append(Group { first, frames: &[frame], root, tree_hashes: &tree_hashes })
}

fn long_frame(number: u64) -> Vec<u8> {
    let word = |at: u64| nonce(number, &identity(), at, 0).to_le_bytes();
    let mut frame: Vec<_> = (0..576).flat_map(word).collect();
    frame.resize(8 << 10, 0);
    frame
}

#[track_caller]
fn assert_holds_long(store: &DiskStore) {
    for number in 1..=store.written().size.get() {
        assert_eq!(store.read(seq(number), 1).unwrap(), [long_frame(number)], "frame {number}");
    }
}

/// An opening counts every file but the current journal.
#[track_caller]
fn assert_counts_all(dir: &Path) {
    let full: u64 = journals(dir).iter().rev().skip(1).map(|path| len_of(path)).sum();
    let archived: u64 = archives(dir).iter().map(|path| len_of(path)).sum();
    let store = DiskStore::open(ledger(dir), &usual()).unwrap();
    assert_eq!(lock(&store.shared.journals).log_bytes(), full + 2 * archived);
}

/// Puts a journal and a reserve of 32 MiB in place of those of an empty ledger: what older versions
/// made.
fn made_by_an_older_version(dir: &Path) {
    created_with(dir, &usual()).close().unwrap();
    let (root, ledger) = (ledger(dir), identity().ledger);
    fs::remove_file(journals(dir).remove(0)).unwrap();
    let header = Header { ledger, nonce: 3, before: Head::EMPTY, bytes: 0 };
    let spare = Spare::prepare(&root.join("journal"), 0, 32 * MIB).unwrap();
    spare.write_header(header).unwrap().publish().unwrap();
    dir::ensure_reserve(&root, 32 * MIB).unwrap();
}

#[test]
fn an_empty_ledger_takes_less_than_a_mebibyte() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &usual());
    let root = ledger(dir.path());
    for closed in [false, true] {
        let [lengths, blocks] = taken(&root);
        assert!(lengths <= MIB && blocks <= MIB, "{lengths}, {blocks}, closed: {closed}");
        assert!(
            blocks <= sizes::new_ledger_bytes(&usual()),
            "it says that it needs less: {blocks}"
        );
        if !closed {
            store.close().unwrap();
        }
    }
    assert_eq!([len_of(&root.join("RESERVE")), journal_of(&store)], [576 * KIB, 256 * KIB]);
    assert_holds(&reopened_with(dir.path(), &usual()), 0);
}

#[test]
fn journals_and_the_reserve_grow_with_the_log_and_every_size_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let reserve = ledger(dir.path()).join("RESERVE");
    let mut store = created_with(dir.path(), &usual());
    let mut sizes = vec![journal_of(&store)];
    while sizes.len() < 10 {
        fill_journal(&store);
        sizes.push(journal_of(&store));
        if sizes.len().is_multiple_of(2) {
            store.sync().unwrap();
            store.flush().unwrap();
        }
        drop(store);
        assert_counts_all(dir.path());
        store = reopened_with(dir.path(), &usual());
        assert_eq!(Some(&journal_of(&store)), sizes.last());
        assert!(len_of(&reserve) * 2 >= journal_of(&store), "{} {sizes:?}", len_of(&reserve));
    }
    let kib = [256, 256, 256, 256, 512, 512, 1024, 1024, 2048, 2048];
    assert_eq!(sizes, kib.map(|kib| kib * KIB));
    assert_holds_long(&store);
    store.close().unwrap();
    assert_holds_long(&reopened_with(dir.path(), &usual()));
}

#[test]
fn the_reserve_grows_while_the_ledger_is_open() {
    let dir = TempDir::new().unwrap();
    let reserve = ledger(dir.path()).join("RESERVE");
    let store = created_with(dir.path(), &usual());
    while journal_of(&store) < MIB {
        fill_journal(&store);
    }
    store.sync().unwrap();
    wait_until(|| {
        store.shared.wake();
        len_of(&reserve) > 576 * KIB
    });
    assert!(len_of(&reserve) <= journal_of(&store));
}

#[test]
fn a_larger_journal_and_reserve_of_an_older_version_are_used_and_not_made_again() {
    let dir = TempDir::new().unwrap();
    made_by_an_older_version(dir.path());
    let reserve = ledger(dir.path()).join("RESERVE");
    let store = reopened_with(dir.path(), &usual());
    assert_eq!([journal_of(&store), len_of(&reserve)], [32 * MIB; 2]);
    for number in 1..=100 {
        append_frame(&store, number, long_frame(number)).unwrap();
    }
    store.close().unwrap();
    let store = reopened_with(dir.path(), &usual());
    assert_holds_long(&store);
    assert_eq!([journal_of(&store), len_of(&reserve)], [32 * MIB; 2]);
    // The next one is as large as the log wants it.
    store.erase(seq(100), &|_, _| Ok(None)).unwrap();
    assert_eq!(journal_of(&store), 256 * KIB);
    assert_holds_long(&store);
}

#[test]
fn a_small_journal_leaves_an_append_at_ease() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &usual());
    store.stop_thread();
    let eased = |number: u64| {
        append_frame(&store, number, long_frame(number)).unwrap();
        !store.append_may_wait()
    };
    // A quarter of 256 KiB is 64: said while there is room for eight more.
    assert_eq!((1..=30).map(eased).take_while(|at_ease| *at_ease).count(), 23);
}

// A flush takes ten syncs: one for each journal of 256 KiB would cost more than it gives.
#[test]
fn full_journals_wait_until_they_are_worth_a_flush() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &usual().unsealed_at_close_max(0));
    store.stop_thread();
    for full in 1..=4 {
        assert!(!store.shared.much_is_unsealed(), "{full}");
        fill_journal(&store);
    }
    assert!(store.shared.much_is_unsealed());
    store.sync().unwrap();
    store.flush().unwrap();
    assert!(!store.shared.much_is_unsealed());
    assert_eq!(archives(dir.path()).len(), 4);
}

#[test]
fn the_margin_of_sealing_follows_the_snapshot_of_sled() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &usual());
    assert!(store.shared.margin_bytes() < 3 * MIB + 64 * KIB);
    let snapshot = fs::File::create(ledger(dir.path()).join("sled/1/snap.0000000000000001"));
    snapshot.unwrap().set_len(2 * MIB).unwrap();
    assert_eq!(store.shared.margin_bytes(), 7 * MIB);
}

/// A ledger whose current journal is the second one of `bytes`: the next is to have twice as many.
fn before_larger_journals(dir: &Path, options: &DiskOptions, bytes: u64) -> DiskStore {
    let store = created_with(dir, options);
    store.stop_thread();
    while journal_of(&store) < bytes {
        fill_journal(&store);
    }
    fill_journal(&store);
    assert_eq!(journal_of(&store), bytes);
    store
}

#[test]
fn a_journal_is_smaller_where_a_whole_one_would_take_what_sealing_needs() {
    for (free, expected) in [
        (None, Some(1024)),
        // 3 MiB, and 1,984 KiB wait to be sealed.
        (Some(6 * MIB), Some(1024)),
        (Some(6 * MIB - 128 * KIB), Some(512)),
        (Some(5 * MIB + 256 * KIB), Some(256)),
        (Some(256 * KIB), Some(256)),
        (Some(255 * KIB), None),
    ] {
        let dir = TempDir::new().unwrap();
        let options = usual();
        let store = before_larger_journals(dir.path(), &options, 512 * KIB);
        let size = store.written().size.get();
        *lock(&options.steps.free) = free;
        let refused = (size + 1..size + 80)
            .find_map(|number| append_frame(&store, number, long_frame(number)).err());
        match (expected, refused) {
            (Some(kib), None) => assert_eq!(journal_of(&store), kib * KIB, "{free:?}"),
            (None, Some(Error::Full { room: Some(room), .. })) => {
                assert_eq!((room.needed, Some(room.free)), (256 * KIB, free));
            }
            (_, refused) => panic!("{free:?}: {refused:?}"),
        }
        // What was refused is accepted once there is room.
        *lock(&options.steps.free) = None;
        let next = store.written().size.get() + 1;
        append_frame(&store, next, long_frame(next)).unwrap();
        drop(store);
        assert_holds_long(&reopened_with(dir.path(), &usual()));
    }
}

#[test]
fn a_group_that_needs_a_large_journal_gets_no_smaller_one() {
    let dir = TempDir::new().unwrap();
    let options = usual();
    let store = created_with(dir.path(), &options);
    *lock(&options.steps.free) = Some(2 * MIB);
    let refused = append_frame(&store, 1, vec![7; 3 << 20]).unwrap_err();
    assert!(matches!(refused, Error::Full { room: Some(_), .. }), "{refused}");
    *lock(&options.steps.free) = Some(4 * MIB);
    append_frame(&store, 1, vec![7; 3 << 20]).unwrap();
    assert_eq!(journal_of(&store), 3 * MIB + 8 * KIB);
}

#[test]
fn the_reserve_is_given_up_for_a_journal_and_taken_back() {
    let dir = TempDir::new().unwrap();
    let reserve = ledger(dir.path()).join("RESERVE");
    let mut options = usual();
    let (free, file) = (Arc::clone(&options.steps.free), reserve.clone());
    let armed = Arc::new(AtomicUsize::new(0));
    let arm = Arc::clone(&armed);
    // Full, and the reserve gives what it had.
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "free space asked for" && arm.load(Ordering::SeqCst) == 1 {
            *lock(&free) = Some(4 * MIB - len_of(&file));
        }
    }));
    let store = before_larger_journals(dir.path(), &options, 4 * MIB);
    store.shared.take_reserve_back().unwrap();
    assert_eq!(len_of(&reserve), 4 * MIB);
    armed.store(1, Ordering::SeqCst);
    fill_journal(&store);
    assert_eq!(journal_of(&store), 256 * KIB);
    assert_eq!(len_of(&reserve), MIB, "a quarter stays for the next opening");
    // Sealing needs more than is left: it pauses, and nothing is lost.
    *lock(&options.steps.free) = Some(2 * MIB);
    armed.store(0, Ordering::SeqCst);
    store.sync().unwrap();
    assert!(matches!(store.flush(), Err(Error::Full { room: Some(_), .. })));
    assert!(matches!(store.shared.take_reserve_back(), Err(Error::Full { .. })));
    *lock(&options.steps.free) = None;
    store.flush().unwrap();
    store.shared.take_reserve_back().unwrap();
    assert!(len_of(&reserve) >= 2 * MIB);
    drop(store);
    assert_holds_long(&reopened_with(dir.path(), &usual()));
}

/// The next journals that lie ready, or are in the making.
fn spares(journals: &Path) -> Vec<PathBuf> {
    let mut found = dir::entries(journals).unwrap();
    found.retain(|path| dir::name(path).starts_with("spare-"));
    found
}

// A ledger with 16 MiB of free space could not be closed, since they were in the next journal.
#[test]
fn the_next_journal_is_given_up_for_sealing_and_never_in_vain() {
    let dir = TempDir::new().unwrap();
    let journals = ledger(dir.path()).join("journal");
    let mut options = usual();
    let besides = Arc::new(Mutex::new(None));
    let (free, place, asked) =
        (Arc::clone(&options.steps.free), journals.clone(), Arc::clone(&besides));
    options.steps.hook = Some(Arc::new(move |step| {
        if let Some(bytes) = *lock(&asked)
            && step == "free space asked for"
        {
            let spares: u64 = spares(&place).iter().map(|path| len_of(path)).sum();
            *lock(&free) = Some(bytes - spares);
        }
    }));
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 100);
    store.sync().unwrap();
    let spare = store.shared.prepare_journal(0, 0).unwrap();
    let (margin, spare_bytes) = (store.shared.margin_bytes(), spare.bytes);
    lock(&store.shared.journals).spare = Some(spare);
    *lock(&besides) = Some(margin - 1);
    assert!(matches!(store.flush(), Err(Error::Full { room: Some(_), .. })));
    assert_eq!(spares(&journals).len(), 1, "it is not enough");
    *lock(&besides) = Some(margin + spare_bytes - 1);
    store.flush().unwrap();
    assert_eq!((store.sealed(), spares(&journals)), (head_at(100), Vec::new()));
    assert_eq!(len_of(&ledger(dir.path()).join("RESERVE")), 576 * KIB, "it was not needed");
}

#[test]
fn the_next_journal_leaves_the_space_that_sealing_needs_and_closing_makes_none() {
    let dir = TempDir::new().unwrap();
    let journals = ledger(dir.path()).join("journal");
    let options = usual();
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    lock(&store.shared.call).stop = false;
    append_upto(&store, 900);
    let margin = store.shared.margin_bytes();
    *lock(&options.steps.free) = Some(margin + 256 * KIB - 1);
    assert!(matches!(store.shared.prepare_spare(), Err(Error::Full { .. })));
    // An append that needs one takes it all the same.
    store.shared.prepare_journal(0, 0).unwrap().discard();
    lock(&store.shared.call).stop = true;
    *lock(&options.steps.free) = None;
    store.shared.prepare_spare().unwrap();
    assert_eq!(spares(&journals), Vec::<PathBuf>::new());
    lock(&store.shared.call).stop = false;
    store.shared.prepare_spare().unwrap();
    assert_eq!(spares(&journals).len(), 1);
}

/// Options under which the disk is full from call `nth` of a creation on, and the calls so far.
fn full_from(nth: usize) -> (DiskOptions, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut options = usual();
    let (free, count) = (Arc::clone(&options.steps.free), Arc::clone(&calls));
    options.steps.hook = Some(Arc::new(move |step| {
        let is_one = step.starts_with("creation") || step == "ledger named";
        if is_one && count.fetch_add(1, Ordering::SeqCst) == nth {
            *lock(&free) = Some(0);
        }
    }));
    (options, calls)
}

// LOCK, NODE.tmp and RESERVE stayed, and the next `init` said that the directory is in use.
#[test]
fn a_creation_that_fails_at_any_step_leaves_what_was_there_and_nothing_else() {
    for place in ["nothing", "a directory", "a lock"] {
        let mut nth = 0;
        loop {
            let dir = TempDir::new().unwrap();
            let root = ledger(dir.path());
            if place != "nothing" {
                fs::create_dir(&root).unwrap();
                let mode = if place == "a lock" { 0o700 } else { 0o755 };
                fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
            }
            if place == "a lock" {
                fs::write(root.join("LOCK"), b"").unwrap();
            }
            let (options, calls) = full_from(nth);
            let made = DiskStore::create(&root, &options, identity());
            if calls.load(Ordering::SeqCst) <= nth {
                made.unwrap().close().unwrap();
                break;
            }
            // The first step, the directory itself, does not ask.
            if place != "nothing" || nth > 0 {
                assert!(matches!(made, Err(Error::Full { .. })), "{place}, {nth}: {made:?}");
            }
            drop(made);
            match place {
                "nothing" => assert!(!root.exists(), "{nth}: {:?}", files(&root)),
                "a directory" => {
                    assert!(dir::entries(&root).unwrap().is_empty(), "{nth}");
                    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o755);
                }
                _ => assert_eq!(dir::entries(&root).unwrap(), [root.join("LOCK")], "{nth}"),
            }
            // Nothing is in the way of the next one.
            created_with(dir.path(), &usual()).close().unwrap();
            nth += 1;
        }
        assert!(nth >= 8, "{place}: {nth} steps");
    }
}

// The one that was late gave the directory back the rights that it had before, so that others could write
// to the ledger of the other one, which was then refused.
#[test]
fn of_two_that_create_at_once_the_late_one_leaves_the_rights_to_the_directory_alone() {
    for (mode, group_read) in [(0o775, true), (0o775, false), (0o755, true), (0o777, true)] {
        let dir = TempDir::new().unwrap();
        let root = ledger(dir.path());
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
        let first = Arc::new(Mutex::new(None));
        let (made, place) = (Arc::clone(&first), root.clone());
        let mut options = usual();
        options.steps.hook = Some(Arc::new(move |step| {
            if step == "creation claimed its directory" {
                let options = DiskOptions { group_read, ..usual() };
                *lock(&made) = Some(DiskStore::create(&place, &options, identity()).unwrap());
            }
        }));
        let late = DiskStore::create(&root, &options, identity());
        assert!(matches!(late, Err(Error::InUse { .. })), "{late:?}");
        lock(&first).take().unwrap().close().unwrap();
        let wanted = if group_read { 0o750 } else { 0o700 };
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, wanted, "{mode:o}");
        reopened_with(dir.path(), &usual()).close().unwrap();
    }
}

#[test]
fn a_creation_that_fails_removes_nothing_that_it_did_not_make() {
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    let (mut options, _) = full_from(4);
    let (fails, letter) = (options.steps.hook.take().unwrap(), root.join("letter"));
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "creation made its directories" {
            fs::write(&letter, b"mine").unwrap();
        }
        fails(step);
    }));
    let made = DiskStore::create(&root, &options, identity());
    assert!(matches!(made, Err(Error::Full { .. })), "{made:?}");
    let left: Vec<_> = files(&root).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [root.join("letter")]);
}

#[test]
fn a_creation_that_another_one_is_faster_than_leaves_its_files_alone() {
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    dir::create_dir(&root).unwrap();
    let held = Lock::take(&root, Duration::ZERO).unwrap();
    fs::write(root.join("NODE.tmp"), b"half").unwrap();
    let made = DiskStore::create(&root, &usual(), identity());
    assert!(matches!(made, Err(Error::InUse { .. })), "{made:?}");
    assert_eq!(dir::entries(&root).unwrap(), [root.join("LOCK"), root.join("NODE.tmp")]);
    drop(held);
    created_with(dir.path(), &usual()).close().unwrap();
}

#[test]
fn a_creation_that_has_no_room_says_what_it_needs() {
    let error = dir::check_space("a new ledger", Path::new("/proc"), 655_360).unwrap_err();
    let text = "no space left for a new ledger: it needs 655360 bytes, and 0 are free";
    assert_eq!(error.to_string(), text);
}
