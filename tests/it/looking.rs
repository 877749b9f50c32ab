//! Ledgers that are read while another handle writes to them: no lock, no byte written, and never
//! more than is durable.

use crate::{audit::files, disk::*, support::*};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use taskledger::{
    Code, Durability, Ledger, Options, codec,
    event::{PartKind, PartSet},
    ids::{Head, Seq, Size},
    ledger::{AppendError, CopyError, Followed, OpenError, ReadError},
    proof,
    query::{self, Position, Scope},
};

fn look(path: &Path) -> Ledger {
    Ledger::open_read_only(path, small()).unwrap()
}

#[test]
fn a_look_beside_a_writer_shows_what_the_writer_has() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..400);
    let seen = look(&path);
    assert_eq!(seen.reader().head(), ledger.reader().head());
    assert_eq!((seen.shortfall(), seen.pending()), (None, 0));
    assert_eq!(entries(&seen), entries(&ledger));
    assert_eq!(seen.reader().state().unwrap(), ledger.reader().state().unwrap());
    assert_eq!(seen.reader().ledger_id(), ledger.reader().ledger_id());
    assert!(matches!(seen.append_blocking([spawn("x")]), Err(AppendError::NotPrimary)));
    append(&ledger, [spawn("later")]);
    assert!(seen.reader().task(&task("later")).unwrap().is_none(), "it was not asked to move on");
}

#[test]
fn a_look_moves_on_when_it_is_refreshed_and_its_followers_with_it() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    let seen = look(&path);
    let mut follow = seen.follow(Head::EMPTY).unwrap();
    let mut followed = Vec::new();
    for upto in [1, 5, 100, 600] {
        fill(&ledger, upto..upto + upto);
        if upto == 100 {
            ledger.flush_blocking().unwrap();
        }
        assert_eq!(seen.refresh_blocking().unwrap(), ledger.reader().head());
        assert_eq!(seen.reader().state().unwrap(), ledger.reader().state().unwrap());
        while let Some(next) = follow.next_ready().unwrap() {
            if let Followed::Event(entry) = next {
                followed.push(*entry);
            }
        }
        assert_eq!(followed, entries(&ledger));
    }
    assert_eq!(ledger.refresh_blocking().unwrap(), ledger.reader().head(), "it has nothing to do");
}

#[test]
fn roots_and_proofs_of_a_look_are_those_of_the_ledger() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.flush_blocking().unwrap();
    fill(&ledger, 300..320);
    let (seen, here) = (look(&path).reader(), ledger.reader());
    let head = here.head();
    for size in [0, 1, 15, 16, 17, 333, head.size.get() - 1, head.size.get()].map(Size::new) {
        assert_eq!(seen.root_at(size).unwrap(), here.root_at(size).unwrap(), "{size}");
    }
    for seq in [1, 16, 17, 200, head.size.get()].map(|number| Seq::new(number).unwrap()) {
        let [ours, theirs] =
            [&seen, &here].map(|reader| reader.prove_inclusion(seq, head.size).unwrap());
        assert_eq!(ours, theirs);
    }
    let consistency = seen.prove_consistency(Size::new(100), head.size).unwrap();
    let old = here.root_at(Size::new(100)).unwrap();
    proof::check_consistency(&consistency, old, head.root).unwrap();
}

/// A stream of a server that only reads gave other roots than the log has, once it had begun at the end:
/// the tree that it began with was the head alone, and took what came all the same.
#[test]
fn the_tree_at_the_end_of_a_look_goes_on_with_what_comes() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    let seen = look(&path);
    for n in 0..70 {
        let at = seen.refresh_blocking().unwrap().size;
        let mut tree = seen.reader().tree_at(at).unwrap();
        fill(&ledger, n..n + 1);
        seen.refresh_blocking().unwrap();
        for frame in seen.reader().frames(at.next_seq().unwrap(), 1 << 20).unwrap() {
            tree.push(codec::leaf(&frame).unwrap());
        }
        assert_eq!(tree.head(), ledger.reader().head(), "from {at} on");
    }
}

#[test]
fn past_views_of_a_look_are_those_of_the_ledger() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..200);
    ledger.flush_blocking().unwrap();
    fill(&ledger, 200..260);
    let (seen, here) = (look(&path).reader(), ledger.reader());
    for size in [1, 50, 250, 421] {
        let size = Size::new(size);
        assert_eq!(seen.state_at(size).unwrap(), here.state_at(size).unwrap(), "{size}");
        let at = Position::Log(size);
        let main = thread("main");
        let [ours, theirs] =
            [&seen, &here].map(|reader| query::as_of(reader, Scope::Thread(&main), at).unwrap());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}

/// Redactions of the moment count, whenever the event was read.
#[test]
fn what_is_redacted_is_not_shown_after_a_refresh_nor_after_a_purge() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..200);
    let secret = Seq::new(2).unwrap();
    let seen = look(&path);
    let text = || {
        let entry = seen.reader().entry(secret).unwrap();
        entry.text(PartKind::Description).cloned()
    };
    assert!(text().is_some());
    ledger.redact_blocking(secret, PartSet::ALL, "a credential").unwrap();
    seen.refresh_blocking().unwrap();
    assert_eq!(text(), None);
    ledger.flush_blocking().unwrap();
    ledger.purge_blocking().unwrap();
    seen.refresh_blocking().unwrap();
    assert_eq!(text(), None);
    assert_eq!(entries(&seen), entries(&ledger));
    assert_eq!(entries(&look(&path)), entries(&ledger));
}

/// A look that began before a redaction, and a purge that came after it: the copy had lost the text,
/// and had no redaction that said so.
#[test]
fn a_copy_is_not_made_without_a_text_and_without_its_redaction() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..200);
    ledger.flush_blocking().unwrap();
    let secret = Seq::new(2).unwrap();
    let seen = look(&path);
    ledger.redact_blocking(secret, PartSet::ALL, "a credential").unwrap();
    ledger.purge_blocking().unwrap();
    let [file, fork, restored] =
        ["file", "fork", "restored"].map(|name| temporary.path().join(name));
    let refused = seen.reader().backup(&file, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, CopyError::TextGone { seq } if seq == secret), "{refused}");
    let cut = Size::new(100);
    let refused = seen.fork_blocking(cut, &fork, small(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, CopyError::TextGone { seq } if seq == secret), "{refused}");
    seen.refresh_blocking().unwrap();
    seen.reader().backup(&file, &mut |_, _| {}).unwrap();
    let copy = Ledger::restore_blocking(&file, &restored, small(), &mut |_, _| {}).unwrap();
    copy.close_blocking().unwrap();
    assert_eq!(audit(&restored).findings, []);
    let copy = seen.fork_blocking(cut, &fork, small(), &mut |_, _| {}).unwrap();
    copy.close_blocking().unwrap();
    assert_eq!(audit(&fork).findings, []);
}

/// Under `Interval`, acknowledged events are shown when they are durable, as followers get them.
#[test]
fn what_waits_for_a_sync_is_counted_and_not_shown() {
    let (_temporary, path) = directory();
    let lazy = small().durability(Durability::Interval(Duration::from_hours(1)));
    let ledger = Ledger::create(&path, lazy).unwrap();
    append(&ledger, [spawn("a")]);
    let durable = ledger.sync_blocking().unwrap();
    append(&ledger, [spawn("b")]);
    append(&ledger, [spawn("c")]);
    let seen = look(&path);
    assert_eq!((seen.reader().head(), seen.pending()), (durable, 2));
    ledger.sync_blocking().unwrap();
    assert_eq!(seen.refresh_blocking().unwrap(), ledger.reader().head());
    assert_eq!(seen.pending(), 0);
}

#[test]
fn an_unusable_snapshot_changes_no_answer() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..200);
    ledger.flush_blocking().unwrap();
    let [snapshot] = &*files(&path.join("snapshots")) else { panic!("one was taken") };
    let whole = fs::read(snapshot).unwrap();
    for place in [0, 20, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(snapshot, bytes).unwrap();
        assert_eq!(look(&path).reader().state().unwrap(), ledger.reader().state().unwrap());
    }
}

/// With the archive gone nothing before its end can be read, and a state that was saved after it is
/// still known to be of this history: the journal names its root.
#[test]
fn a_state_behind_a_hole_is_shown_and_the_hole_is_told() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.flush_blocking().unwrap();
    fill(&ledger, 300..310);
    ledger.flush_blocking().unwrap();
    let (head, state) = (ledger.reader().head(), ledger.reader().state().unwrap());
    ledger.close_blocking().unwrap();
    fs::remove_dir_all(path.join("archive")).unwrap();
    let seen = look(&path);
    assert_eq!(seen.reader().head(), head);
    assert_eq!(seen.reader().state().unwrap(), state);
    assert!(seen.shortfall().is_some());
    let lost = seen.reader().entry(Seq::FIRST).unwrap_err();
    assert!(matches!(lost, ReadError::Store(_) | ReadError::Damaged { .. }), "{lost}");
    assert_eq!(lost.code(), Code::Damaged);
    assert!(seen.reader().entry(head.seq().unwrap()).is_ok());
    // Without a state behind the hole, the log ends before it.
    fs::remove_dir_all(path.join("snapshots")).unwrap();
    let seen = look(&path);
    assert_eq!(seen.reader().head(), Head::EMPTY);
    assert_eq!(seen.shortfall().unwrap().held, Some(head.size.get()));
}

#[test]
fn another_ledger_under_the_path_is_told() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..10);
    let seen = look(&path);
    ledger.close_blocking().unwrap();
    fs::rename(&path, temporary.path().join("old")).unwrap();
    Ledger::create(&path, small()).unwrap().close_blocking().unwrap();
    assert_eq!(seen.refresh_blocking().unwrap_err().code(), Code::OtherHistory);
    assert!(matches!(
        Ledger::open_read_only(path.join("no"), small()),
        Err(OpenError::NotFound { .. })
    ));
}

/// Eight readers beside a writer that rotates, archives, redacts and purges: each sees a prefix of
/// the one history that never shrinks, and the state is the fold of what it sees.
#[test]
fn readers_beside_a_busy_writer_agree_with_it() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    let over = AtomicBool::new(false);
    let (path, over) = (&path, &over);
    let seen = std::thread::scope(|scope| {
        let reading = |own: bool| {
            scope.spawn(move || {
                let (mut kept, mut heads) = (look(path), Vec::new());
                while !over.load(Ordering::Acquire) {
                    if own {
                        kept = look(path);
                    }
                    heads.push(kept.refresh_blocking().unwrap());
                    let state = kept.reader().state().unwrap();
                    assert_eq!(state.size(), kept.reader().head().size);
                    if let Some(last) = state.size().last_seq() {
                        kept.reader().entry(last).unwrap();
                    }
                }
                heads
            })
        };
        let readers: Vec<_> = (0..8).map(|number| reading(number % 2 == 0)).collect();
        for round in 0..12 {
            fill(&ledger, round * 40..(round + 1) * 40);
            match round % 4 {
                1 => ledger.flush_blocking().unwrap(),
                3 => {
                    let at = Seq::new(u64::from(round) * 20 + 2).unwrap();
                    let _ = ledger.redact_blocking(at, PartSet::ALL, "no more");
                    ledger.purge_blocking().unwrap();
                }
                _ => {}
            }
        }
        over.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    for heads in seen {
        assert!(heads.is_sorted_by_key(|head| head.size));
        for head in heads {
            assert_eq!(ledger.reader().root_at(head.size).unwrap(), head.root);
        }
    }
}

/// A reader that holds nothing: options of a writer mean nothing to it.
#[test]
fn a_look_in_memory_is_as_one_in_a_directory() {
    let home = taskledger::store::MemStore::new();
    let ledger = Ledger::create_in(&home, options()).unwrap();
    append(&ledger, [spawn("a")]);
    let seen = Ledger::open_read_only_in(&home, Options::default()).unwrap();
    assert_eq!(seen.reader().head(), ledger.reader().head());
    append(&ledger, [finish("a")]);
    assert_eq!(seen.refresh_blocking().unwrap(), ledger.reader().head());
    assert!(seen.reader().task(&task("a")).unwrap().unwrap().status.is_terminal());
}

/// The files of the archive with this extension.
pub(crate) fn archived(path: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(&path.join("archive"));
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!found.is_empty());
    found
}

/// Every root, and proofs that reach into archives and journals.
#[track_caller]
fn assert_roots(path: &Path, roots: &[Head], what: &str) {
    let seen = look(path).reader();
    let head = seen.head();
    for known in roots.iter().rev() {
        assert_eq!(seen.root_at(known.size).unwrap(), known.root, "{what}: {}", known.size);
    }
    for number in [1, 17, 100, 300, head.size.get()] {
        let seq = Seq::new(number).unwrap();
        let proof = seen.prove_inclusion(seq, head.size).unwrap();
        let frame = taskledger::codec::encode(&seen.entry(seq).unwrap()).unwrap();
        let leaf = proof::leaf_hash(taskledger::codec::leaf(&frame).unwrap());
        proof::check_inclusion(&proof, leaf, head.root).unwrap();
    }
}

fn roots_of(ledger: &Ledger) -> Vec<Head> {
    let reader = ledger.reader();
    let sizes = (0..=reader.head().size.get()).map(Size::new);
    sizes.map(|size| Head { size, root: reader.root_at(size).unwrap() }).collect()
}

/// A file of hashes saves time and decides nothing: the root of its archive judges it.
#[test]
fn hashes_beside_archives_that_are_lost_or_damaged_or_forged_change_no_root() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.flush_blocking().unwrap();
    fill(&ledger, 300..320);
    let roots = roots_of(&ledger);
    ledger.close_blocking().unwrap();
    assert_roots(&path, &roots, "whole");
    let paths = archived(&path, "tree");
    let whole: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path_of, bytes) in paths.iter().zip(&whole) {
        // One hash after the other is forged; nothing but the root can tell.
        for place in (512..bytes.len()).step_by(32 * 3) {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            fs::write(path_of, forged).unwrap();
            assert_roots(&path, &roots, &format!("{path_of:?} at {place}"));
        }
        fs::write(path_of, &bytes[..600]).unwrap();
        assert_roots(&path, &roots, "cut");
        fs::remove_file(path_of).unwrap();
        assert_roots(&path, &roots, "lost");
        fs::write(path_of, bytes).unwrap();
    }
    // All of them, with checksums that hold.
    for (path_of, bytes) in paths.iter().zip(&whole) {
        let mut forged = bytes.clone();
        forged[512..].fill(7);
        fs::write(path_of, forged).unwrap();
    }
    assert_roots(&path, &roots, "forged");
    for path in paths {
        fs::remove_file(path).unwrap();
    }
    assert_roots(&path, &roots, "an older ledger has none");
}

/// Old roots and the trust in a snapshot cost O(log n) reads: frames that are damaged are not among
/// them.
#[test]
fn an_old_root_and_a_snapshot_within_an_archive_need_none_of_its_older_frames() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..150);
    ledger.flush_blocking().unwrap();
    let saved = ledger.reader().head().size;
    fill(&ledger, 150..300);
    let state = ledger.reader().state().unwrap();
    let roots = roots_of(&ledger);
    drop(ledger);
    Ledger::open(&path, small()).unwrap().close_blocking().unwrap();
    let archives = archived(&path, "archive");
    let ends = format!("-{:020}.archive", saved.get());
    assert!(!archives.iter().any(|path| path.ends_with(&ends)), "it ends within an archive");
    let mut bytes = fs::read(&archives[0]).unwrap();
    bytes[600..620].fill(0);
    fs::write(&archives[0], bytes).unwrap();
    let seen = look(&path);
    assert_eq!(seen.shortfall(), None);
    assert_eq!(seen.reader().state().unwrap(), state);
    let damaged = seen.reader().entry(Seq::FIRST);
    assert_eq!(damaged.unwrap_err().code(), Code::Damaged);
    for head in roots.iter().filter(|head| head.size.get().is_multiple_of(16)) {
        assert_eq!(seen.reader().root_at(head.size).unwrap(), head.root, "{}", head.size);
    }
    for path in archived(&path, "tree") {
        fs::remove_file(path).unwrap();
    }
    let head = look(&path).reader().head();
    assert_eq!(
        head,
        Head::EMPTY,
        "the snapshot cannot be judged, so the log ends before the damage"
    );
}

/// A forged hash with checksums that hold: an audit tells it, and it is no finding.
#[test]
fn a_forged_hash_beside_an_archive_is_noted_by_an_audit() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.flush_blocking().unwrap();
    ledger.close_blocking().unwrap();
    let report = audit(&path);
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
    let file = archived(&path, "tree").remove(1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[512 + 40] ^= 1;
    let hashes = crc32c::crc32c(&bytes[512..]);
    bytes[116..120].copy_from_slice(&hashes.to_le_bytes());
    let header = crc32c::crc32c(&bytes[..508]);
    bytes[508..512].copy_from_slice(&header.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let report = audit(&path);
    assert_eq!(report.findings, []);
    let [note] = &*report.notes else { panic!("{:?}", report.notes) };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(note.detail.contains(name) && note.detail.contains("may be removed"), "{note}");
}
