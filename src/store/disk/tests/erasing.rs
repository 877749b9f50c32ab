//! After erasing, the old bytes are in no file, compressed or not.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// Reads every file of the ledger, and all that is compressed in it, for the start of `frame`.
#[track_caller]
pub(super) fn assert_gone(dir: &Path, frame: &[u8]) {
    let text = &frame[..20];
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for (path, bytes) in files(&ledger(dir)) {
        assert!(!holds(&bytes), "{} holds it", path.display());
        // Every zstd frame in the file, at any place.
        for place in 0..bytes.len() {
            if bytes[place..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                let unpacked = zstd::bulk::decompress(&bytes[place..], 4 << 20);
                let unpacked = unpacked.or_else(|_| first_frame(&bytes[place..]));
                assert!(!unpacked.is_ok_and(|bytes| holds(&bytes)), "{}", path.display());
            }
        }
    }
}

fn first_frame(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut unpacked = Vec::new();
    let mut reader = zstd::stream::read::Decoder::new(bytes)?.single_frame();
    // What comes before a cut is evidence too.
    let _ = reader.read_to_end(&mut unpacked);
    Ok(unpacked)
}

/// An erasing of frame 3 on a disk that has no space from the `nth` time that it is asked.
fn erase_when_full_from(nth: usize, free: u64) -> (TempDir, DiskStore, Error) {
    let dir = TempDir::new().unwrap();
    let mut options = DiskOptions { journal_bytes: 64 << 10, ..small() };
    let (space, asked) = (Arc::clone(&options.steps.free), AtomicUsize::new(0));
    let begun = AtomicBool::new(false);
    options.steps.hook = Some(Arc::new(move |step| match step {
        "all in the archive" => begun.store(true, Ordering::SeqCst),
        "free space asked for"
            if begun.load(Ordering::SeqCst) && asked.fetch_add(1, Ordering::SeqCst) == nth =>
        {
            *lock(&space) = Some(free);
        }
        _ => {}
    }));
    let store = created_with(dir.path(), &options);
    store.stop_thread();
    append_upto(&store, 600);
    store.sync().unwrap();
    let erased =
        store.erase(seq(600), &|at, frame| Ok((at == seq(3)).then(|| frame[..5].to_vec())));
    *lock(&options.steps.free) = None;
    (dir, store, erased.unwrap_err())
}

#[test]
fn an_erasing_that_has_no_room_changes_nothing_and_says_what_it_needs() {
    let (dir, store, error) = erase_when_full_from(0, 1000);
    let Error::Full { room: Some(room), .. } = error else { panic!("{error}") };
    assert!(room.needed > 512 << 10 && room.free == 1000, "{error}");
    assert_holds(&store, 600);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), 600);
}

#[test]
fn an_erasing_that_runs_out_of_space_takes_no_space_afterwards() {
    let (dir, store, error) = erase_when_full_from(2, 1000);
    assert!(matches!(error, Error::Full { room: Some(_), .. }), "{error}");
    let sleds = dir::entries(&ledger(dir.path()).join("sled")).unwrap();
    let left = ["sled/1", "sled/1.upto"].map(|name| ledger(dir.path()).join(name));
    assert_eq!(sleds, left);
    assert_eq!(store.erased_upto(), None);
    // It can be done again, on the same handle.
    store.erase(seq(600), &|at, frame| Ok((at == seq(3)).then(|| frame[..5].to_vec()))).unwrap();
    store.close().unwrap();
    assert_gone(dir.path(), &frame_of(3));
    assert_eq!(reopened(dir.path()).written(), head_at(600));
}

#[test]
fn erased_bytes_are_in_no_file_and_everything_else_is() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 650);
    store.snapshots().save(seq(600), &frame_of(3)).unwrap();
    fs::write(ledger(dir.path()).join("quarantine/snap.1.generating"), frame_of(3)).unwrap();

    let gone = [3, 300, 649].map(seq);
    store
        .erase(seq(650), &|at, frame| Ok(gone.contains(&at).then(|| frame[..5].to_vec())))
        .unwrap();
    assert_eq!(store.erased_upto(), Some(seq(650)));
    assert_eq!(store.written(), head_at(650));
    append_upto(&store, 700);
    store.close().unwrap();
    drop(store);

    for at in gone {
        assert_gone(dir.path(), &frame_of(at.get()));
    }
    let store = reopened(dir.path());
    assert_eq!(store.erased_upto(), Some(seq(650)));
    for number in 1..=700 {
        let whole = frame_of(number);
        let wanted = if gone.contains(&seq(number)) { &whole[..5] } else { &whole };
        assert_eq!(store.read(seq(number), 1).unwrap(), [wanted]);
    }
    for tree_hash in (1..=700).flat_map(tree_hashes_of) {
        assert_eq!(store.tree_hash(tree_hash.index).unwrap(), Some(tree_hash.hash));
    }
    assert!(store.snapshots().list().unwrap().is_empty());
}

// Erasing builds sled anew from the archives and removes the old one: with an archive missing, that
// was the only copy of its events, and the answer was Ok.
#[test]
fn with_an_archive_missing_nothing_is_erased_and_sled_stays() {
    for missing in [0, 1, 2] {
        let dir = TempDir::new().unwrap();
        let store = created(dir.path());
        append_upto(&store, 600);
        store.sync().unwrap();
        store.flush().unwrap();
        append_upto(&store, 620);
        let archives = archives(dir.path());
        // One from the front, one from the middle, the last one.
        let lost = [&archives[0], &archives[1], archives.last().unwrap()][missing];
        let first = archive::range_of(lost).unwrap().0;
        fs::remove_file(lost).unwrap();
        let left: Vec<_> = archives.iter().filter(|path| *path != lost).collect();
        let before: Vec<_> = left.iter().map(|path| fs::read(path).unwrap()).collect();

        let error = store.erase(seq(620), &|_, _| Ok(Some(b"gone".to_vec()))).unwrap_err();
        assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == first), "{error}");
        let after: Vec<_> = left.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(before == after, "an archive was rewritten");
        assert_eq!(store.erased_upto(), None);
        assert_holds(&store, 620);
        append_upto(&store, 630);
        store.close().unwrap();
        assert_holds(&reopened(dir.path()), 630);
    }
}

// An archive of the same name and another history has as many events as are missing.
#[test]
fn with_an_archive_of_another_history_nothing_is_erased() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.sync().unwrap();
    store.flush().unwrap();
    let path = archives(dir.path()).remove(1);
    let span = archive::Archive::open(&path).unwrap().span;
    let other = Head { root: Root([9; 32]), ..span.before };
    let mut writer = archive::ArchiveWriter::create(
        &ledger(dir.path()),
        archive::Span { before: other, ..span },
    )
    .unwrap();
    for number in span.before.size.get() + 1..=span.after.size.get() {
        writer.push(&frame_of(number)).unwrap();
    }
    writer.finish().unwrap();
    let error = store.erase(seq(600), &|_, _| Ok(Some(b"gone".to_vec()))).unwrap_err();
    let first = seq(span.before.size.get() + 1);
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == first), "{error}");
    assert_holds(&store, 600);
}

#[test]
fn frames_behind_the_limit_stay() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 40);
    store.erase(seq(20), &|_, _| Ok(Some(b"gone".to_vec()))).unwrap();
    assert_eq!(store.read(seq(20), 1).unwrap(), [b"gone"]);
    assert_eq!(store.read(seq(21), 1).unwrap(), [frame_of(21)]);
}

#[test]
fn readers_go_on_while_texts_are_erased() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(created(dir.path()));
    append_upto(&store, 500);
    store.sync().unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut reads = 0_u64;
            while !stop.load(Ordering::SeqCst) || reads < 500 {
                let number = reads % 500 + 1;
                let found = store.read(seq(number), 1).unwrap();
                assert!(found == [frame_of(number)] || found == [b"gone"], "frame {number}");
                reads += 1;
            }
        })
    };
    for upto in [100, 200, 300] {
        store.erase(seq(upto), &|_, _| Ok(Some(b"gone".to_vec()))).unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    reader.join().unwrap();
}

#[test]
fn an_erasing_rewrites_no_archive_where_sled_does_not_open() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(ledger(dir.path()).join("sled/1")).unwrap();
    let store = reopened_with(dir.path(), &lazy());
    let whole = |dir: &Path| archives(dir).iter().map(|path| fs::read(path).unwrap()).collect();
    let before: Vec<Vec<u8>> = whole(dir.path());
    assert!(!before.is_empty());
    let erased =
        store.erase(seq(600), &|at, frame| Ok((at == seq(3)).then(|| frame[..5].to_vec())));
    assert!(
        matches!(
            erased,
            Err(Error::Damaged { .. } | Error::LostTail { .. } | Error::Engine { .. })
        ),
        "{erased:?}"
    );
    // What was in the journal was archived.
    let after: Vec<Vec<u8>> = whole(dir.path());
    assert!(after.starts_with(&before));
}

#[test]
fn an_erasing_that_fails_leaves_no_half_an_archive() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.sync().unwrap();
    let asked = AtomicUsize::new(0);
    let error = store.erase(seq(600), &|at, frame| match at == seq(3) {
        // First every frame is asked for, to see whether any changes.
        true if asked.fetch_add(1, Ordering::SeqCst) > 0 => Err("it is not to be had".into()),
        true => Ok(Some(frame[..5].to_vec())),
        false => Ok(None),
    });
    assert!(
        matches!(error, Err(Error::Damaged { seq: Some(at), .. }) if at == seq(3)),
        "{error:?}"
    );
    let left = dir::entries(&ledger(dir.path()).join("archive")).unwrap();
    assert!(!left.iter().any(|path| dir::is_tmp(path)), "{left:?}");
}
