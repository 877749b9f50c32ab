//! sled is opened when something needs it: then its faults are met, and until then all else goes on.

use super::*;
use crate::ids::Root;
use std::sync::atomic::AtomicBool;

/// Damages sled.
type Blow<'a> = &'a dyn Fn(&Path);

const BLOWS: [(&str, Blow<'static>); 3] = [
    ("removed", &|sled| fs::remove_dir_all(sled.join("1")).unwrap()),
    ("emptied", &|sled| open_file(&sled.join("1/db")).set_len(0).unwrap()),
    ("cut", &|sled| {
        let db = open_file(&sled.join("1/db"));
        db.set_len(db.metadata().unwrap().len() / 2).unwrap();
    }),
];

fn without_sled(dir: &Path) -> DiskStore {
    let store = reopened_with(dir, &lazy());
    assert!(store.shared.engine_waits());
    store
}

fn assert_reads(store: &DiskStore, size: u64) {
    for number in 1..=size {
        assert_eq!(store.read(seq(number), 1).unwrap(), [frame_of(number)], "{number}");
    }
}

#[test]
fn a_store_whose_sled_was_given_nothing_since_it_was_synced_is_opened_without_it() {
    for size in [0, 1, 15, 16, 17, 700] {
        let dir = TempDir::new().unwrap();
        let store = created(dir.path());
        append_upto(&store, size);
        store.close().unwrap();
        drop(store);
        let store = without_sled(dir.path());
        assert_reads(&store, size);
        assert!(store.shared.engine_waits(), "archive and journals have every frame");
        for index in TreeHash::edge_of(Size::new(size)) {
            assert_eq!(store.tree_hash(index).unwrap(), Some(hash_of(index)));
        }
        assert!(store.shared.engine_waits(), "the edge of the tree is beside it");
        // The others are in sled alone.
        assert_holds(&store, size);
        append_upto(&store, size + 40);
        store.close().unwrap();
        assert_holds(&reopened(dir.path()), size + 40);
    }
}

// Each write of HEAD is a sync, and so is each directory.
#[test]
fn an_opening_that_finds_nothing_new_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 300);
    store.close().unwrap();
    drop(store);
    let before = evidence(dir.path());
    dir::SYNCED.take();
    drop(reopened_with(dir.path(), &lazy()));
    assert!(evidence(dir.path()) == before);
    assert_eq!(dir::SYNCED.take(), Vec::<PathBuf>::new());
}

#[test]
fn what_is_left_unsealed_needs_no_sled_either_up_to_a_limit() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions { unsealed_at_close_max: 10_000, ..lazy() };
    let store = created_with(dir.path(), &options);
    append_upto(&store, 20);
    store.close().unwrap();
    assert_eq!(store.sealed(), Head::EMPTY, "it is little");
    drop(store);
    let store = reopened_with(dir.path(), &options);
    assert!(store.shared.engine_waits());
    append_upto(&store, 100);
    store.close().unwrap();
    assert_eq!(store.sealed(), head_at(100), "it is much");
    drop(store);
    let store = reopened_with(dir.path(), &options);
    append_upto(&store, 200);
    store.sync().unwrap();
    assert!(store.shared.engine_waits());
    drop(store);
    let store = reopened_with(dir.path(), &options);
    assert!(
        !store.shared.engine_waits(),
        "much waits to be sealed: it is opened, and its faults met"
    );
    assert_holds(&store, 200);
}

// A part of a block in sled would be damage to the next opening, so all of it is sealed.
#[test]
fn what_sled_was_given_is_synced_before_the_end_however_little_waits() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions { unsealed_at_close_max: 1 << 20, ..lazy() };
    let store = created_with(dir.path(), &options);
    append_upto(&store, 40);
    store.sync().unwrap();
    store.shared.wake_for_room();
    while !store.shared.engine_is_beyond() {
        std::thread::yield_now();
    }
    store.close().unwrap();
    assert_eq!(store.sealed(), head_at(40));
    drop(store);
    assert_eq!(open::unsealed_since(ledger(dir.path())).unwrap(), None);
    assert!(reopened_with(dir.path(), &options).shared.engine_waits());
}

#[test]
fn damage_to_sled_stops_neither_commits_nor_reads_and_is_met_by_the_first_that_needs_it() {
    for (blow, strike) in BLOWS {
        let (dir, sled) = sealed();
        strike(&sled);
        let store = without_sled(dir.path());
        append_upto(&store, 730);
        store.sync().unwrap();
        assert_reads(&store, 730);
        let met = store.flush().unwrap_err();
        assert!(
            matches!(
                met,
                Error::LostTail { expected: 700, .. }
                    | Error::Damaged { .. }
                    | Error::Engine { .. }
            ),
            "{blow}: {met}"
        );
        let again = store.flush().unwrap_err();
        assert!(matches!(again, Error::Engine { .. }), "{blow}: {again}: it is not tried again");
        append_upto(&store, 740);
        assert_reads(&store, 740);
        assert!(store.close().is_err(), "{blow}");
        drop(store);
        // Now it is known, and no opening goes on without a word.
        let refused = refused(dir.path());
        assert!(!matches!(refused, Error::Io { .. }), "{blow}: {refused}");
        assert_eq!(open::unsealed_since(ledger(dir.path())).unwrap(), Some(700), "{blow}");
        rebuild(ledger(dir.path()), &small(), &mut Tree(0)).unwrap();
        assert_holds(&reopened(dir.path()), 740);
    }
}

/// A ledger of 150 events, and a copy of it from when it had 100; both were closed.
fn of_150_and_its_copy_of_100() -> (TempDir, TempDir) {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let kept = TempDir::new().unwrap();
    copy(&ledger(dir.path()), &ledger(kept.path()));
    let store = reopened_with(dir.path(), &lazy());
    append_upto(&store, 150);
    store.close().unwrap();
    drop(store);
    (dir, kept)
}

// Journal, HEAD and sled of an older copy agree with each other.
#[test]
fn the_word_beside_an_older_sled_witnesses_what_the_log_has_lost() {
    let (dir, kept) = of_150_and_its_copy_of_100();
    put_back(kept.path(), dir.path(), &["HEAD", "journal", "sled/1"]);
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 150, found: 100 }), "{error}");
}

// A log that was put back has no event that is sealed; made anew from it, sled would be empty.
#[test]
fn sled_is_not_said_to_be_cut_short_where_the_log_is_not_the_one_that_it_was_given() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    let kept = TempDir::new().unwrap();
    copy(&ledger(dir.path()), &ledger(kept.path()));
    append_upto(&store, 50);
    store.sync().unwrap();
    store.shared.wake_for_room();
    wait_until(|| store.shared.engine_is_beyond());
    store.stop_thread();
    drop(store);
    assert_eq!(open::unsealed_since(ledger(dir.path())).unwrap(), Some(0), "it may have been cut");
    put_back(kept.path(), dir.path(), &["HEAD", "journal"]);
    let lost = |error: &Error| matches!(error, Error::LostTail { expected: 50, found: 0 });
    let error = refused_untouched(dir.path());
    assert!(lost(&error), "{error}");
    let error = open::unsealed_since(ledger(dir.path())).unwrap_err();
    assert!(lost(&error), "{error}");
}

// An older version seals and leaves the word as it is: sled alone knows of what was lost.
#[test]
fn nothing_more_is_acknowledged_once_sled_is_found_to_be_longer_than_the_log() {
    let (dir, kept) = of_150_and_its_copy_of_100();
    put_back(kept.path(), dir.path(), &["HEAD", "journal", "sled/1.upto"]);
    let store = without_sled(dir.path());
    append_upto(&store, 105);
    store.sync().unwrap();
    let met = store.flush().unwrap_err();
    assert!(matches!(met, Error::LostTail { expected: 150, found: 100 }), "{met}");
    assert!(matches!(append_group(&store, 106, 106), Err(Error::Halted)));
    assert!(matches!(store.sync(), Err(Error::Halted)));
    assert_reads(&store, 105);
}

// The timer alone does it: nothing is sealed, and nobody closes.
#[test]
fn the_end_of_a_log_that_stays_open_is_noted_beside_sled() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions {
        flush_every: Some(Duration::from_millis(10)),
        unsealed_at_close_max: 1 << 20,
        ..lazy()
    };
    created_with(dir.path(), &options).close().unwrap();
    let store = reopened_with(dir.path(), &options);
    assert!(store.shared.engine_waits(), "sled is given nothing");
    let kept = TempDir::new().unwrap();
    copy(&ledger(dir.path()), &ledger(kept.path()));
    append_upto(&store, 20);
    store.sync().unwrap();
    let noted = || {
        let record = upto::Record::read(&ledger(dir.path()).join("sled/1"), identity().ledger);
        record.unwrap().is_some_and(|record| record.log == head_at(20))
    };
    wait_until(noted);
    store.stop_thread();
    assert_eq!(store.sealed(), Head::EMPTY);
    drop(store);
    put_back(kept.path(), dir.path(), &["HEAD", "journal"]);
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::LostTail { expected: 20, found: 0 }), "{error}");
}

#[test]
fn a_read_of_archive_and_journals_does_not_wait_while_sled_is_opened() {
    let (dir, _) = sealed();
    let (opens, opening) = std::sync::mpsc::channel();
    let (done, read) = std::sync::mpsc::channel();
    let (opens, read) = (Mutex::new(opens), Mutex::new(read));
    let went_on = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&went_on);
    let mut options = lazy();
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "opening sled" {
            lock(&opens).send(()).unwrap();
            let waited = lock(&read).recv_timeout(Duration::from_secs(20));
            answer.store(waited.is_ok(), Ordering::SeqCst);
        }
    }));
    let store = reopened_with(dir.path(), &options);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| store.shared.engine().map(drop));
        opening.recv().unwrap();
        assert_eq!(store.read(seq(1), 1).unwrap(), [frame_of(1)]);
        // It has given up if the read had to wait.
        let _ = done.send(());
        flush.join().unwrap().unwrap();
    });
    assert!(went_on.load(Ordering::SeqCst));
}

/// Replaces parts of a ledger by those of an older copy.
fn put_back(kept: &Path, dir: &Path, parts: &[&str]) {
    for part in parts {
        let (from, to) = (ledger(kept).join(part), ledger(dir).join(part));
        if from.is_dir() {
            fs::remove_dir_all(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// Writes what stands beside sled.
fn say(dir: &Path, head: Head) {
    let ledger_id = identity().ledger;
    let edge = TreeHash::edge_of(head.size).map(|index| (index, hash_of(index))).collect();
    let record = upto::Record { ledger: ledger_id, head, log: head, edge };
    fs::write(ledger(dir).join("sled/1.upto"), record.encode()).unwrap();
}

#[test]
fn a_word_that_is_not_that_of_head_is_not_believed() {
    let (dir, sled) = sealed();
    // The file may be longer: what an earlier word had behind it stays there.
    let whole = upto::Record::read(&sled.join("1"), identity().ledger).unwrap().unwrap().encode();
    // That of an older version, which has sealed since; and one with a hash less.
    let before = scan::read_header(journals(dir.path()).last().unwrap()).unwrap().before;
    assert!(before.size > 0 && before.size < 700);
    say(dir.path(), before);
    assert!(!reopened_with(dir.path(), &lazy()).shared.engine_waits());
    assert!(reopened_with(dir.path(), &lazy()).shared.engine_waits(), "it is right again");
    fs::write(ledger(dir.path()).join("sled/1.upto"), &whole[..whole.len() - 32]).unwrap();
    assert!(!reopened_with(dir.path(), &lazy()).shared.engine_waits());
    fs::write(ledger(dir.path()).join("sled/1.upto"), b"").unwrap();
    assert!(!reopened_with(dir.path(), &lazy()).shared.engine_waits());
    assert_eq!(fs::read(ledger(dir.path()).join("sled/1.upto")).unwrap(), whole);
    // Of another history.
    say(dir.path(), Head { size: Size::new(700), root: Root([9; 32]) });
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(700)), "{error}");
}

// Without this a loss of power could leave a sled that is cut short, and a word that it is whole.
#[test]
fn it_is_said_before_sled_is_opened_that_it_may_be_given_more() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, root) = (Arc::clone(&seen), ledger(dir.path()));
    let mut options = lazy();
    options.steps.hook = Some(Arc::new(move |step| {
        let record = upto::Record::read(&root.join("sled/1"), identity().ledger).unwrap();
        lock(&noted).push((step, record.map(|record| record.head.size.get())));
    }));
    let store = reopened_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 120);
    store.sync().unwrap();
    store.flush().unwrap();
    let seen: Vec<_> =
        lock(&seen).iter().filter(|(step, _)| step.contains("sled")).copied().collect();
    let expected = [
        ("sled is to be opened", Some(120)),
        ("opening sled", Some(120)),
        ("blocks in sled", Some(120)),
        ("sled synced", Some(120)),
        ("sled is said to be synced", Some(120)),
    ];
    assert_eq!(seen, expected);
    // What is sealed when it is open is said before, too.
    append_upto(&store, 140);
    store.sync().unwrap();
    assert!(!store.shared.engine_is_beyond());
    store.flush().unwrap();
    assert!(!store.shared.engine_is_beyond());
    assert!(reads_back(dir.path(), 140));
}

// Here much waits, so that the opening itself needs sled.
#[test]
fn an_opening_that_needs_sled_says_before_that_a_loss_of_power_may_cut_it() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.close().unwrap();
    drop(store);
    let store = reopened_with(dir.path(), &lazy());
    store.stop_thread();
    append_upto(&store, 140);
    store.sync().unwrap();
    assert!(store.shared.engine_waits(), "it was given nothing");
    drop(store);
    assert!(reads_back(dir.path(), 100));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, root) = (Arc::clone(&seen), ledger(dir.path()));
    let mut options = lazy();
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "opening sled" {
            lock(&noted).push(open::unsealed_since(&root).unwrap());
        }
    }));
    drop(reopened_with(dir.path(), &options));
    assert_eq!(*lock(&seen), [Some(100)]);
}

/// Says whether sled is said to hold what it was synced with, so many events.
fn reads_back(dir: &Path, size: u64) -> bool {
    let record = upto::Record::read(&ledger(dir).join("sled/1"), identity().ledger).unwrap();
    record.is_some_and(|record| record.is_settled_at(head_at(size)))
}
