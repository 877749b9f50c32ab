//! A disk that is full, and a device that fails.

use super::*;
use crate::store::disk::live::shared::Sealing;
use std::sync::{Mutex, atomic::AtomicUsize};

/// A store, and the bytes that are free on its disk.
fn with_switch(dir: &Path) -> (DiskStore, Arc<Mutex<Option<u64>>>) {
    let options = DiskOptions { flush_every: Some(Duration::from_millis(1)), ..small() };
    let free = Arc::clone(&options.steps.free);
    (created_with(dir, &options), free)
}

#[test]
fn on_a_full_disk_appends_are_refused_whole_and_accepted_again() {
    let dir = TempDir::new().unwrap();
    let (store, free) = with_switch(dir.path());
    append_upto(&store, 20);
    store.sync().unwrap();
    store.flush().unwrap();
    *lock(&free) = Some(0);
    // What is left of the journal, and of a spare, may still be used.
    let refused = (21..2000).find_map(|n| append_group(&store, n, n).err()).unwrap();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    assert!(refused.is_retryable());
    let written = store.written().size;
    assert!(matches!(
        append_group(&store, written.get() + 1, written.get() + 1),
        Err(Error::Full { .. })
    ));
    assert_holds(&store, written.get());
    store.sync().unwrap();
    assert!(matches!(store.flush(), Err(Error::Full { .. })));

    *lock(&free) = None;
    append_upto(&store, written.get() + 500);
    store.flush().unwrap();
    assert_holds(&store, written.get() + 500);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), written.get() + 500);
}

#[test]
fn a_full_disk_can_be_opened_by_giving_up_the_reserve() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 20);
    store.close().unwrap();
    drop(store);
    let root = ledger(dir.path());
    forget_upto(dir.path());
    let options = small();
    *lock(&options.steps.free) = Some(0);
    fs::remove_file(root.join("RESERVE")).unwrap();
    let refused = DiskStore::open(&root, &options).unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");

    fs::write(root.join("RESERVE"), vec![0; 4096]).unwrap();
    // With it, the space that was missing is there.
    let free = Arc::clone(&options.steps.free);
    let mut options = options;
    let reserve = root.join("RESERVE");
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "opening sled" {
            *lock(&free) = reserve.exists().then_some(0);
        }
    }));
    let store = DiskStore::open(&root, &options).unwrap();
    assert_holds(&store, 20);
    assert!(root.join("RESERVE").exists(), "there is space again, so it is there again");
}

/// Finding 17: a full disk was told of at every commit, eighty times during an import.
#[test]
fn trouble_behind_the_commits_is_told_once_until_it_is_over() {
    let dir = TempDir::new().unwrap();
    let [told, tried] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut options = DiskOptions { flush_every: Some(Duration::from_millis(1)), ..small() };
    let free = Arc::clone(&options.steps.free);
    let counts =
        [("trouble told", Arc::clone(&told)), ("free space asked for", Arc::clone(&tried))];
    options.steps.hook = Some(Arc::new(move |step| {
        for (_, count) in counts.iter().filter(|(name, _)| *name == step) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }));
    let store = created_with(dir.path(), &options);
    for times in 1..=2 {
        *lock(&free) = Some(0);
        let next = store.written().size.get() + 1;
        append_group(&store, next, next + 40).unwrap();
        store.sync().unwrap();
        let before = tried.load(Ordering::SeqCst);
        wait_until(|| tried.load(Ordering::SeqCst) > before + 20);
        assert_eq!(told.load(Ordering::SeqCst), times);
        *lock(&free) = None;
        wait_until(|| store.sealed() == store.synced());
        // What the thread does after the flush, it has done before the next one.
        append_upto(&store, next + 50);
        store.sync().unwrap();
        wait_until(|| store.sealed() == store.synced());
    }
    store.close().unwrap();
}

/// Finding 18: sealing and closing failed for want of space, and the reserve stood by.
#[test]
fn sealing_gives_the_reserve_up_when_it_needs_it_and_it_is_taken_back_later() {
    let dir = TempDir::new().unwrap();
    let reserve = ledger(dir.path()).join("RESERVE");
    let len = |reserve: &Path| fs::metadata(reserve).unwrap().len();
    let [rest, whole] = [576 << 10, 1 << 20];
    let ample = DiskOptions { journal_bytes: 4 << 20, reserve_bytes: whole, ..small() };
    let mut options = ample.clone();
    let (free, file) = (Arc::clone(&options.steps.free), reserve.clone());
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "free space asked for" {
            *lock(&free) = (len(&file) == whole).then_some(0);
        }
    }));
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 40);
    dir::ensure_reserve(&ledger(dir.path()), whole).unwrap();
    store.close().unwrap();
    assert_eq!(store.sealed(), head_at(40));
    // The next opening may need the rest.
    assert_eq!(len(&reserve), rest);
    drop(store);

    // By the next opening, and by the sealing thread.
    fs::remove_file(&reserve).unwrap();
    let store = reopened_with(dir.path(), &ample);
    assert_eq!(len(&reserve), rest);
    fs::remove_file(&reserve).unwrap();
    append_upto(&store, 60);
    store.sync().unwrap();
    wait_until(|| {
        store.shared.wake();
        reserve.exists()
    });
    assert_holds(&store, 60);
}

#[test]
fn a_failed_write_ends_appending_and_not_reading() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 40);
    store.sync().unwrap();
    let journal = journals(dir.path()).remove(0);
    lock(&store.shared.journal).redirect(fs::File::open(&journal).unwrap());
    assert!(matches!(append_group(&store, 41, 41), Err(Error::Io { .. })));
    assert!(matches!(append_group(&store, 41, 41), Err(Error::Halted)));
    assert!(matches!(store.sync(), Err(Error::Halted)));
    assert!(matches!(store.reserve(9), Err(Error::Halted)));
    assert_holds(&store, 40);
    drop(store);
    assert_holds(&reopened(dir.path()), 40);
}

// A second sync may succeed although the data of the first is gone.
#[test]
fn a_failed_sync_is_never_tried_again() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 40);
    store.sync().unwrap();
    append_upto(&store, 45);
    // A device that cannot be synced.
    lock(&store.shared.journal).redirect(fs::File::open("/dev/null").unwrap());
    assert!(matches!(store.sync(), Err(Error::Io { .. })));
    assert!(matches!(store.sync(), Err(Error::Halted)));
    assert!(matches!(append_group(&store, 46, 46), Err(Error::Halted)));
    assert_eq!(store.synced(), head_at(40));
    assert!(store.close().is_err());
}

/// A sync holds on to this until it is done: it writes `HEAD` last.
fn while_a_sync_stands_still(store: &DiskStore, meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        let held = lock(&store.shared.head_file);
        let sync = scope.spawn(|| store.sync().unwrap());
        while store.synced() != store.written() {
            std::thread::yield_now();
        }
        meanwhile();
        drop(held);
        sync.join().unwrap();
    });
}

#[test]
fn an_append_does_not_wait_for_a_sync() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { journal_bytes: 2 << 20, ..lazy() });
    append_upto(&store, 40);
    while_a_sync_stands_still(&store, || {
        assert!(!store.append_may_wait(), "the sync keeps the journal to itself");
        append_upto(&store, 45);
    });
    assert_eq!((store.synced(), store.written()), (head_at(40), head_at(45)));
    assert_eq!(store.sync().unwrap(), head_at(45));
}

// Of two that sync one file at once, only one is told that it failed.
#[test]
fn nobody_else_syncs_during_a_sync() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 40);
    while_a_sync_stands_still(&store, || {
        assert!(store.shared.syncing.try_lock().is_err(), "a second sync would begin");
    });
}

#[test]
fn when_sled_fails_commits_and_reads_go_on_and_sealing_does_not() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 300);
    store.sync().unwrap();
    store.flush().unwrap();
    let mut sealing = lock(&store.shared.sealing);
    let failure = Error::Engine { during: "seal", detail: "it panicked".to_owned() };
    store.shared.stopping::<()>(&mut sealing, Err(failure)).unwrap_err();
    drop(sealing);
    append_upto(&store, 400);
    store.sync().unwrap();
    assert!(matches!(store.flush(), Err(Error::Engine { .. })));
    assert_eq!(store.sealed(), head_at(300));
    assert_holds(&store, 400);
    drop(store);
    let store = reopened(dir.path());
    store.flush().unwrap();
    assert_eq!(store.sealed(), head_at(400));
}

// It said "busy" for ever, though nothing would ever make room.
#[test]
fn once_sealing_has_stopped_an_append_without_room_is_not_told_to_try_again() {
    let dir = TempDir::new().unwrap();
    let busy_wait = Duration::from_mins(10);
    let store =
        created_with(dir.path(), &DiskOptions { tail_bytes_max: 20_000, busy_wait, ..lazy() });
    let mut sealing = lock(&store.shared.sealing);
    store.shared.stopping::<()>(&mut sealing, Err(Error::Halted)).unwrap_err();
    drop(sealing);
    let refused = (1..1000).find_map(|n| append_group(&store, n, n).err()).unwrap();
    assert!(matches!(refused, Error::SealingStopped { waiting, max: 20_000 } if waiting <= 20_000));
    assert!(!refused.is_retryable());
    // Nothing was written, and the log is whole.
    assert_holds(&store, store.written().size.get());
}

// What waits on disk has a limit of its own; the text named the one of what waits in memory.
#[test]
fn the_limit_that_is_reached_is_the_one_that_is_named() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions { unsealed_bytes_max: 9_000, busy_wait: Duration::ZERO, ..lazy() };
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    let refused = (1..1000).find_map(|n| append_group(&store, n, n).err()).unwrap();
    assert!(matches!(refused, Error::SealingBehind { max: 9_000, .. }), "{refused}");
}

#[test]
fn modes_that_sled_chose_are_no_reason_to_refuse() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 40);
    store.close().unwrap();
    drop(store);
    let sled = ledger(dir.path()).join("sled/1");
    for (path, mode) in [(sled.join("blobs"), 0o777), (sled.join("db"), 0o666)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    assert_holds(&reopened(dir.path()), 40);
    let mode = fs::metadata(sled.join("db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

// Sealing counts as done in memory a moment before HEAD says so durably. A journal that was removed
// then would be missed after loss of power.
#[test]
fn no_journal_is_archived_once_sealing_has_stopped() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
    store.stop_thread();
    append_upto(&store, 400);
    store.sync().unwrap();
    let before = journals(dir.path());
    assert!(before.len() > 1);
    let mut sealing = lock(&store.shared.sealing);
    lock(&store.shared.progress).record.sealed = head_at(400);
    *sealing = Sealing::Stopped("HEAD could not be synced".to_owned());
    drop(sealing);
    assert!(store.flush().is_err());
    assert_eq!(journals(dir.path()), before);
}

/// Another process may take the space between our check and what sled writes. What it then loses it gets
/// again: here its directory becomes that of its last sync.
#[test]
fn sealing_goes_on_after_sled_met_a_full_disk_and_lost_what_it_was_not_synced_with() {
    let dir = TempDir::new().unwrap();
    let (store, free) = with_switch(dir.path());
    store.stop_thread();
    append_upto(&store, 100);
    store.sync().unwrap();
    store.flush().unwrap();
    let (engine, kept) = (ledger(dir.path()).join("sled/1"), dir.path().join("kept"));
    // sled writes when it is let go of.
    store.shared.wait_with_engine(100);
    copy(&engine, &kept);
    append_upto(&store, 700);
    store.sync().unwrap();
    let shared = &store.shared;
    let sled = shared.engine().unwrap();
    shared.seal_blocks(&sled, store.synced(), true).unwrap();
    drop(sled);
    assert_eq!(lock(&shared.tail).start(), 688);
    let source = Some(std::io::ErrorKind::StorageFull.into());
    let full = Error::Full { what: "sealed blocks", room: None, source };
    let mut sealing = lock(&shared.sealing);
    *lock(&free) = Some(0);
    let paused = shared.stopping::<()>(&mut sealing, Err(full)).unwrap_err();
    assert!(matches!(paused, Error::Full { source: None, .. }), "{paused}");
    assert_eq!(*sealing, Sealing::Running);
    drop(sealing);
    fs::remove_dir_all(&engine).unwrap();
    fs::rename(&kept, &engine).unwrap();
    assert!(matches!(store.flush(), Err(Error::Full { .. })));
    append_upto(&store, 720);
    assert_reads(&store, 720);
    *lock(&free) = None;
    store.sync().unwrap();
    store.flush().unwrap();
    assert_eq!(store.sealed(), head_at(720));
    let given = tree_hashes_of(688).next().unwrap();
    assert_eq!(lock(&shared.tail).tree_hash(given.index), None, "it takes memory for nothing");
    let sled = store.shared.engine().unwrap();
    for before in (0..720).step_by(16) {
        let block = sled.block(seq(before + 1)).unwrap().unwrap();
        let expected: Vec<_> = (before + 1..=before + 16).map(frame_of).collect();
        assert!(block.iter().map(|(_, frame)| frame).eq(&expected), "after {before}");
    }
    drop(sled);
    store.close().unwrap();
    drop(store);
    assert_holds(&reopened(dir.path()), 720);
}

/// As `assert_holds`, without the tree hashes.
#[track_caller]
fn assert_reads(store: &DiskStore, size: u64) {
    for number in 1..=size {
        assert_eq!(store.read(seq(number), 1).unwrap(), [frame_of(number)], "frame {number}");
    }
}

#[test]
fn a_sled_that_fails_on_a_full_disk_pauses_sealing_and_one_that_fails_on_another_stops_it() {
    let dir = TempDir::new().unwrap();
    let (store, free) = with_switch(dir.path());
    store.stop_thread();
    let failure = || Error::Engine { during: "seal", detail: "it panicked".to_owned() };
    let mut sealing = lock(&store.shared.sealing);
    *lock(&free) = Some(0);
    let paused = store.shared.stopping::<()>(&mut sealing, Err(failure())).unwrap_err();
    assert!(matches!(paused, Error::Full { .. }), "{paused}");
    assert_eq!(*sealing, Sealing::Running);
    *lock(&free) = None;
    let stopped = store.shared.stopping::<()>(&mut sealing, Err(failure())).unwrap_err();
    assert!(matches!(stopped, Error::Engine { .. }), "{stopped}");
    assert!(matches!(*sealing, Sealing::Stopped(_)));
}

/// sled is not opened where it could fail half way; reads do without it. For this the whole reserve is there.
#[test]
fn a_read_opens_sled_on_a_full_disk_with_the_reserve_alone() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 1000);
    store.close().unwrap();
    drop(store);
    let mut options = small();
    let reserve = ledger(dir.path()).join("RESERVE");
    let (free, file) = (Arc::clone(&options.steps.free), reserve.clone());
    let store = reopened_with(dir.path(), &options);
    assert!(store.shared.engine_waits());
    *lock(&options.steps.free) = Some(64 << 10);
    assert_reads(&store, 1000);
    assert!(matches!(store.tree_hash(0), Err(Error::Full { .. })));
    assert!(store.shared.engine_waits());
    drop(store);
    *lock(&options.steps.free) = None;
    // Full, and the reserve gives what it had.
    options.reserve_bytes = 576 << 10;
    options.steps.hook = Some(Arc::new(move |step| {
        if step == "free space asked for" {
            *lock(&free) = Some((576 << 10) - fs::metadata(&file).map_or(0, |meta| meta.len()));
        }
    }));
    dir::ensure_reserve(&ledger(dir.path()), 576 << 10).unwrap();
    let store = reopened_with(dir.path(), &options);
    assert_reads(&store, 1000);
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 576 << 10);
    store.tree_hash(0).unwrap();
    assert!(!store.shared.engine_waits() && !reserve.exists());
}

// On a full disk there was no space for an archive, and 14 MiB were in journals that were removed.
#[test]
fn a_journal_that_was_read_gives_its_space_back_when_it_is_removed() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 1000);
    store.sync().unwrap();
    store.shared.wait_with_engine(1000);
    assert!(store.shared.read_cold(seq(1), 1).is_ok());
    assert!(journals(dir.path()).len() > 1);
    store.flush().unwrap();
    assert_eq!(journals(dir.path()).len(), 1);
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let removed = |path: &PathBuf| path.to_string_lossy().ends_with(" (deleted)");
    let place = fs::canonicalize(dir.path()).unwrap();
    let held: Vec<_> = open.filter(|path| path.starts_with(&place)).filter(removed).collect();
    assert_eq!(held, Vec::<PathBuf>::new());
}
