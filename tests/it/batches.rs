//! Batches in the log: each event but the last says that its batch goes on, and nothing that copies
//! frames leaves half a batch behind.

use crate::{disk::*, support::*};
use std::{fs, sync::Arc};
use taskledger::{
    Ledger,
    audit::{FindingKind, verify_reader},
    codec,
    event::Entry,
    ids::{Head, LedgerId, Seq, Size},
    ledger::{AppendError, BackupDamage, CopyError, OpenError, verify_backup},
    proof::Tree,
    store::{FrameLog, Group, MemStore},
};

/// For each event, whether its batch goes on.
fn going_on(ledger: &Ledger) -> Vec<bool> {
    entries(ledger).iter().map(|entry| entry.batch_goes_on).collect()
}

fn frames(entries: &[Entry]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| codec::encode(entry).unwrap()).collect()
}

/// A batch of three between two events: numbers 3 to 5 of 6, since a writer begins first.
fn story(ledger: &Ledger) {
    append(ledger, [spawn("a")]);
    append(ledger, [spawn("b"), spawn("c"), finish("c")]);
    append(ledger, [finish("b")]);
}

#[test]
fn every_event_of_a_batch_but_the_last_says_that_it_goes_on() {
    let ledger = ledger();
    story(&ledger);
    assert_eq!(going_on(&ledger), [false, false, true, true, false, false]);
}

/// That a writer began is true whatever becomes of the batch that follows.
#[test]
fn a_writer_begins_in_a_batch_of_its_own() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), spawn("b")]);
    assert_eq!(going_on(&ledger), [false, true, false]);
}

#[test]
fn a_batch_ends_with_the_last_event_that_it_writes() {
    let ledger = ledger();
    append(&ledger, [keyed(spawn("a"), 1)]);
    append(&ledger, [spawn("b"), spawn("c"), keyed(spawn("a"), 1)]);
    append(&ledger, [keyed(spawn("a"), 1), spawn("d")]);
    append(&ledger, [keyed(spawn("a"), 1), keyed(spawn("a"), 1)]);
    append(&ledger, [keyed(spawn("e"), 2), keyed(spawn("e"), 2)]);
    assert_eq!(going_on(&ledger), [false, false, true, false, false, false]);
    assert_eq!(verify_reader(&ledger.reader()).findings, []);
}

#[test]
fn a_refused_batch_leaves_the_one_before_it_as_it_was() {
    let ledger = ledger();
    story(&ledger);
    refused(&ledger, [spawn("d"), spawn("a")]);
    append(&ledger, [spawn("e")]);
    assert_eq!(going_on(&ledger), [false, false, true, true, false, false, false]);
}

#[test]
fn half_a_batch_is_not_taken_from_another_ledger() {
    let source = ledger();
    story(&source);
    let frames = frames(&entries(&source));
    let copy = standby_of(&source);
    for cut in 3..5 {
        let refused = copy.ingest_blocking(frames[..cut].to_vec(), None).unwrap_err();
        let next = Seq::new(u64::try_from(cut).unwrap() + 1).unwrap();
        assert!(
            matches!(refused, AppendError::NotContinuation { at, .. } if at == next),
            "{cut}: {refused}"
        );
        assert!(refused.to_string().contains("before their batch does"), "{refused}");
        assert_eq!(copy.reader().head(), Head::EMPTY);
    }
    copy.ingest_blocking(frames[..2].to_vec(), None).unwrap();
    copy.ingest_blocking(frames[2..].to_vec(), Some(source.reader().head())).unwrap();
    assert_eq!(entries(&copy), entries(&source));
}

/// Frames go over some hundred at a time. A batch that is longer goes in one piece.
#[test]
fn a_batch_that_is_longer_than_a_step_of_a_copy_arrives_whole() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a")]);
    fill(&ledger, 0..200);
    let batch: Vec<_> = (0..1_500).map(|n| spawn(&format!("b{n}"))).collect();
    append(&ledger, batch);
    fill(&ledger, 200..300);
    let mut steps = Vec::new();
    let size = ledger.reader().head().size;
    let fork = temporary.path().join("fork");
    let fork = ledger.fork_blocking(size, &fork, small(), &mut |done, _| steps.push(done)).unwrap();
    assert_eq!(entries(&fork), entries(&ledger));
    let all = entries(&ledger);
    let ends = |done: &u64| {
        Seq::new(*done)
            .is_none_or(|seq| !all[usize::try_from(seq.leaf_index()).unwrap()].batch_goes_on)
    };
    assert!(steps.iter().all(ends), "{steps:?}");
    assert_eq!(steps, [402, 1_902, 2_102], "what is before the batch goes alone");
}

/// A fork is cut where its caller says: what follows the cut has never been there.
#[test]
fn a_fork_that_is_cut_within_a_batch_ends_the_batch() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    story(&ledger);
    for cut in 1..=6 {
        let path = temporary.path().join(format!("fork-{cut}"));
        let fork = ledger.fork_blocking(Size::new(cut), &path, small(), &mut |_, _| {}).unwrap();
        let flags = going_on(&fork);
        assert_eq!(flags.last(), Some(&false), "{cut}: {flags:?}");
        assert_eq!(flags[..flags.len() - 1], going_on(&ledger)[..flags.len() - 1]);
        assert_eq!(
            fork.reader().root_at(Size::new(cut)).unwrap(),
            ledger.reader().root_at(Size::new(cut)).unwrap()
        );
        append(&fork, [spawn("what if"), spawn("what then")]);
        fork.close_blocking().unwrap();
        drop(fork);
        assert_eq!(audit(&path).findings, []);
    }
}

/// A ledger over the first `size` events of a story: what damage leaves, or a store that is not ours.
fn cut_short(size: usize) -> Ledger {
    let source = ledger();
    story(&source);
    over(&frames(&entries(&source)[..size])).unwrap()
}

fn over(frames: &[Vec<u8>]) -> Result<Ledger, OpenError> {
    let mut tree = Tree::new();
    let mut tree_hashes = Vec::new();
    for frame in frames {
        // Format byte and event, as `codec::leaf` has them of a frame that it can read.
        let event = usize::from(u16::from_le_bytes([frame[9], frame[10]]));
        tree_hashes.extend(tree.push(&frame[11..12 + event]));
    }
    let (store, root) = (MemStore::new(), tree.root());
    let group = Group { first: Seq::FIRST, frames, root, tree_hashes: &tree_hashes };
    store.append(group).unwrap();
    store.sync().unwrap();
    let store = Arc::new(store);
    Ledger::over_store(store.clone(), store, LedgerId([7; 16]), options())
}

/// Taken for damage, it would be repaired, though a newer version can read it.
#[test]
fn a_flag_of_a_newer_version_is_refused_by_an_opening_and_is_no_damage() {
    let source = ledger();
    story(&source);
    for (at, bit) in [(0, 4), (3, 5), (5, 6)] {
        let mut frames = frames(&entries(&source));
        let frame = &mut frames[at];
        frame[8] |= 1 << bit;
        let crc = crc32c::crc32c(&frame[8..]).to_le_bytes();
        frame[4..8].copy_from_slice(&crc);
        let refused = over(&frames).unwrap_err();
        let newer = OpenError::UnsupportedFormat { what: "frame flag", found: bit, max: 3 };
        assert_eq!(format!("{refused:?}"), format!("{newer:?}"));

        let refused = standby_of(&source).ingest_blocking(frames, None).unwrap_err();
        assert!(refused.to_string().contains(&format!("{}", at + 1)), "{refused}");
        assert_eq!(refused.code(), taskledger::Code::UnsupportedFormat, "{refused:?}");
    }
}

#[test]
fn a_log_that_ends_within_a_batch_is_found() {
    for (size, expected) in [(2, None), (3, Some(4)), (4, Some(5)), (5, None)] {
        let found = verify_reader(&cut_short(size).reader()).findings;
        let found: Vec<_> = found.iter().map(|finding| (finding.kind, finding.seq)).collect();
        let expected: Vec<_> =
            expected.map(|at| (FindingKind::LostTail, Seq::new(at))).into_iter().collect();
        assert_eq!(found, expected, "{size} events");
    }
}

#[test]
fn no_backup_ends_within_a_batch() {
    let temporary = tempfile::tempdir().unwrap();
    let (file, fork) = (temporary.path().join("backup"), temporary.path().join("fork"));
    let ledger = cut_short(4);
    let refused = ledger.reader().backup(&file, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, CopyError::WithinBatch { last } if last.get() == 4), "{refused}");
    assert!(!file.exists());

    let whole = ledger.fork_blocking(Size::new(4), &fork, small(), &mut |_, _| {}).unwrap();
    whole.reader().backup(&file, &mut |_, _| {}).unwrap();
    verify_backup(&file, &mut |_, _| {}).unwrap();
}

#[test]
fn a_backup_that_ends_within_a_batch_is_not_restored() {
    let temporary = tempfile::tempdir().unwrap();
    let (file, path) = (temporary.path().join("backup"), temporary.path().join("restored"));
    let ledger = cut_short(4);
    let (checkpoint, frames) = (ledger.reader().checkpoint().to_text(), frames(&entries(&ledger)));
    let mut bytes = b"TLBACKUP\x01\0\0\0".to_vec();
    bytes.extend(u32::try_from(checkpoint.len()).unwrap().to_le_bytes());
    bytes.extend(checkpoint.as_bytes());
    bytes.extend(zstd::encode_all(&*frames.concat(), 3).unwrap());
    fs::write(&file, bytes).unwrap();
    let refused = Ledger::restore_blocking(&file, &path, small(), &mut |_, _| {}).unwrap_err();
    let CopyError::BadBackup { detail } = &refused else { panic!("{refused}") };
    assert!(matches!(detail, BackupDamage::WithinBatch { last: 4 }), "{detail}");
    assert!(!path.exists());
}
