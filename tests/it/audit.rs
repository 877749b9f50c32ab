//! Audits: a sound ledger has no findings; whatever is done to its files is harmless or found.

mod meanwhile;
mod removed;

use crate::{disk::*, support::*};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use taskledger::ids::TreeHash;
use taskledger::{
    Ledger,
    audit::{FindingKind, Report, VerifyOptions, verify, verify_reader},
    codec,
    event::{Outcome, PartSet},
    ids::{Head, Root, Seq, Size},
    ledger::{AppendError, OpenError},
    proof::Tree,
    store::{self, DiskHome, Home, Replay},
    time::SeededEntropy,
};

/// A closed ledger with something in every kind of file.
fn sound() -> (tempfile::TempDir, PathBuf, Head) {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..150);
    ledger.flush_blocking().unwrap();
    fill(&ledger, 150..160);
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    drop(ledger);
    (temporary, path, head)
}

pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

#[test]
fn a_sound_ledger_has_no_findings_and_the_audit_changes_nothing() {
    let (_temporary, path, head) = sound();
    let bytes =
        || files(&path).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect::<Vec<_>>();
    let before = bytes();
    let report = audit(&path);
    assert_eq!((report.findings.clone(), report.notes.clone()), (vec![], vec![]));
    assert_eq!(report.head(), head);
    assert!(before == bytes(), "an audit reads");
}

#[test]
fn a_history_is_held_against_a_checkpoint_that_somebody_kept() {
    let (_temporary, path, head) = sound();
    let expect = |expect| VerifyOptions::default().expect(expect);
    let verify = |options| verify(&path, &options, &mut |_, _| {}).unwrap();
    assert!(verify(expect(head)).is_ok());
    let other = verify(expect(Head { size: Size::new(7), root: Root([1; 32]) }));
    assert_eq!(other.findings[0].kind, FindingKind::Checkpoint);
    let longer = verify(expect(Head { size: head.size.more(1), root: head.root }));
    assert_eq!(longer.findings[0].kind, FindingKind::Checkpoint);
}

/// An old copy of `HEAD` and the journals is whole in itself; what was sealed since gives it away.
#[test]
fn a_log_that_is_shorter_than_what_was_sealed_has_lost_its_tail() {
    let (temporary, path) = directory();
    let mut options = small();
    options.store.journal_bytes = 4 << 20;
    options.store.unsealed_at_close_max = 0;
    let ledger = Ledger::create(&path, options.clone()).unwrap();
    fill(&ledger, 0..50);
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    drop(ledger);
    let old = temporary.path().join("old");
    copy_tree(&path, &old);
    let ledger = Ledger::open(&path, options).unwrap();
    fill(&ledger, 50..200);
    let lost = ledger.reader().head();
    ledger.close_blocking().unwrap();
    drop(ledger);

    fs::remove_dir_all(path.join("journal")).unwrap();
    copy_tree(&old.join("journal"), &path.join("journal"));
    fs::copy(old.join("HEAD"), path.join("HEAD")).unwrap();
    let report = audit(&path);
    assert_eq!(report.head(), head);
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.seq), (FindingKind::LostTail, head.size.next_seq()));
    let refused = Ledger::open(&path, small());
    assert!(matches!(refused, Err(OpenError::LostTail { .. })), "{refused:?}");

    // Nothing is lost that the sealed store still has, and a rebuild does not take it away.
    let [file, restored] = ["file", "restored"].map(|name| temporary.path().join(name));
    let ledger = Ledger::open_salvaged(&path, small()).unwrap();
    assert_eq!((ledger.reader().head(), ledger.shortfall()), (lost, None));
    ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    drop(ledger);
    let ledger = Ledger::restore_blocking(&file, &restored, small(), &mut |_, _| {}).unwrap();
    assert_eq!(ledger.reader().head(), lost);
    let rebuilt = Ledger::rebuild(&path, &small(), &mut |_, _| {}).unwrap();
    assert_eq!(rebuilt.head, head);
    assert!(rebuilt.set_aside.contains(&path.join("quarantine/sled-1")), "{rebuilt:?}");
    assert!(!files(&path.join("quarantine/sled-1")).is_empty());
    let report = audit(&path);
    assert_eq!((report.head(), report.findings), (head, vec![]));
    assert_eq!(Ledger::open(&path, small()).unwrap().reader().head(), head);
}

/// Closing leaves events to the journal alone. Put back from an older copy together with `HEAD`, it
/// would lose them without a word.
#[test]
fn a_log_that_is_shorter_than_when_it_was_closed_has_lost_its_tail() {
    let (temporary, path) = directory();
    let mut options = small();
    options.store.journal_bytes = 4 << 20;
    let ledger = Ledger::create(&path, options.clone()).unwrap();
    fill(&ledger, 0..50);
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    let old = temporary.path().join("old");
    copy_tree(&path, &old);
    let ledger = Ledger::open(&path, options).unwrap();
    fill(&ledger, 50..100);
    let lost = ledger.reader().head().size.get();
    ledger.close_blocking().unwrap();

    fs::remove_dir_all(path.join("journal")).unwrap();
    copy_tree(&old.join("journal"), &path.join("journal"));
    fs::copy(old.join("HEAD"), path.join("HEAD")).unwrap();
    let report = audit(&path);
    assert_eq!(report.head(), head);
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.seq), (FindingKind::LostTail, head.size.next_seq()));
    let refused = Ledger::open(&path, small());
    let Err(OpenError::LostTail { expected, found }) = refused else { panic!("{refused:?}") };
    assert_eq!((expected, found), (lost, head.size.get()));
    // A person who has no other copy goes on with what there is.
    Ledger::rebuild(&path, &small(), &mut |_, _| {}).unwrap();
    assert_eq!(Ledger::open(&path, small()).unwrap().reader().head(), head);
}

/// The hashes hold without a text, so whoever can write the files could take one away.
#[test]
fn a_text_that_is_gone_without_a_redaction_is_found() {
    let (_temporary, path) = directory();
    let source = ledger();
    append(&source, [spawn("a"), finish_with("a", Outcome::Failed, Some("the evidence"))]);
    let mut frames: Vec<_> =
        entries(&source).iter().map(|entry| codec::encode(entry).unwrap()).collect();
    frames[2] = codec::erase(&frames[2], PartSet::ALL).unwrap();
    let head = source.reader().head();
    let ledger = Ledger::create_standby(&path, source.reader().ledger_id(), small()).unwrap();
    ledger.ingest_blocking(frames, Some(head)).unwrap();
    let gone = |report: Report| {
        let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
        assert_eq!((finding.kind, finding.seq), (FindingKind::Part, Seq::new(3)));
    };
    gone(verify_reader(&ledger.reader()));
    ledger.close_blocking().unwrap();
    drop(ledger);
    gone(audit(&path));
}

/// A redaction after the cut of a fork erases in it as well, and the fork says so itself.
#[test]
fn a_copy_of_a_ledger_with_redactions_is_sound_and_so_is_a_purged_one() {
    let (temporary, path) = directory();
    let [fork, file, restored] =
        ["fork", "file", "restored"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..60);
    ledger.redact_blocking(Seq::new(3).unwrap(), PartSet::ALL, "before the cut").unwrap();
    fill(&ledger, 60..80);
    let cut = ledger.reader().head().size;
    ledger.redact_blocking(Seq::new(5).unwrap(), PartSet::ALL, "after the cut").unwrap();
    ledger.fork_blocking(cut, &fork, small(), &mut |_, _| {}).unwrap().close_blocking().unwrap();
    ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    Ledger::restore_blocking(&file, &restored, small(), &mut |_, _| {})
        .unwrap()
        .close_blocking()
        .unwrap();
    ledger.purge_blocking().unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);
    for path in [path, fork, restored] {
        let report = audit(&path);
        assert_eq!((report.findings, report.notes), (vec![], vec![]), "{}", path.display());
    }
}

/// Frames without the tree hashes that they complete: a sled that has lost some of its hashes.
struct WithoutMarks(Tree);

impl Replay for WithoutMarks {
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, store::Error> {
        let completed = self.0.push(codec::leaf(frame).unwrap()).into_iter();
        let kept = completed.filter(|_| seq.get() < 32);
        Ok(kept
            .map(|tree_hash| TreeHash { seq, index: tree_hash.index, hash: tree_hash.hash })
            .collect())
    }

    fn root(&self) -> Root {
        self.0.root()
    }
}

/// Without them an opening fails and nothing can be proven, though every event is there.
#[test]
fn hashes_of_the_tree_that_sled_has_lost_are_found_and_made_again() {
    let (_temporary, path, head) = sound();
    DiskHome::new(&path, small().store).rebuild(&mut WithoutMarks(Tree::new())).unwrap();
    let report = audit(&path);
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.seq), (FindingKind::Sealed, Seq::new(32)));
    assert_eq!(Ledger::rebuild(&path, &small(), &mut |_, _| {}).unwrap().head, head);
    assert_eq!(audit(&path).findings, []);
}

/// What a kill leaves of a fork is a sound history, and not the one that was to be copied.
#[test]
fn a_copy_that_was_cut_short_is_found() {
    let (temporary, path) = directory();
    let [fork, short] = ["fork", "short"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..50);
    // The same entropy, so the same name: all that tells them apart is what each was to hold.
    for (cut, path) in [(80, &fork), (40, &short)] {
        let entropy = Arc::new(SeededEntropy::new(9));
        let options = small().entropy(entropy);
        ledger
            .fork_blocking(Size::new(cut), path, options, &mut |_, _| {})
            .unwrap()
            .close_blocking()
            .unwrap();
        assert_eq!(audit(path).findings, []);
    }
    fs::copy(fork.join("NODE"), short.join("NODE")).unwrap();
    let report = audit(&short);
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.seq), (FindingKind::LostTail, Seq::new(41)));
    assert!(finding.detail.contains("origin"), "{finding}");
}

/// Stopped after the archive and before sled was written anew, a purge only wants to be repeated.
/// A text that is gone from one of them and not redacted is something else.
#[test]
fn a_purge_that_was_stopped_half_way_is_told_from_tampering() {
    let (temporary, path) = directory();
    let [begun, purged] = ["begun", "purged"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.close_blocking().unwrap();
    drop(ledger);
    copy_tree(&path, &purged);
    let redact = |path: &Path| {
        let ledger = Ledger::open(path, small()).unwrap();
        ledger.redact_blocking(Seq::new(3).unwrap(), PartSet::ALL, "a credential").unwrap();
        ledger
    };
    let archive = |from: &Path, to: &Path| {
        for file in files(&from.join("archive")) {
            let target = to.join("archive").join(file.file_name().unwrap());
            if target.exists() {
                fs::copy(&file, target).unwrap();
            }
        }
    };
    let ledger = redact(&purged);
    ledger.purge_blocking().unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);

    copy_tree(&path, &begun);
    redact(&begun).close_blocking().unwrap();
    archive(&purged, &begun);
    let report = audit(&begun);
    assert_eq!(report.findings, []);
    let [note] = &*report.notes else { panic!("{:?}", report.notes) };
    assert_eq!((note.kind, note.seq), (FindingKind::Harmless, Seq::new(3)));
    assert!(note.detail.contains("purge"), "{note}");
    let ledger = Ledger::open(&begun, small()).unwrap();
    ledger.purge_blocking().unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);
    assert_eq!((audit(&begun).findings, audit(&begun).notes), (vec![], vec![]));

    archive(&purged, &path);
    let kinds = audit(&path).findings.iter().map(|f| (f.kind, f.seq)).collect::<Vec<_>>();
    assert_eq!(kinds, [(FindingKind::Sealed, Seq::new(3)), (FindingKind::Part, Seq::new(3))]);
}

/// Every 97th byte of every file, one bit each: never a panic, never a shorter or different
/// history without a finding, neither in the audit nor in what an opened ledger answers.
#[test]
fn one_flipped_bit_is_harmless_or_found() {
    let (temporary, path, head) = sound();
    let truth = {
        let ledger = Ledger::open(&path, small()).unwrap();
        let truth = entries(&ledger);
        ledger.close_blocking().unwrap();
        truth
    };
    let work = temporary.path().join("work");
    let (mut found, mut harmless) = (0, 0);
    for file in files(&path) {
        let name = file.strip_prefix(&path).unwrap();
        let len = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
        if name.starts_with("RESERVE") || len == 0 {
            continue;
        }
        for at in (0..len).step_by((len / 12).max(1)) {
            copy_tree(&path, &work);
            let mut bytes = fs::read(work.join(name)).unwrap();
            bytes[at] ^= 1 << (at % 8);
            fs::write(work.join(name), bytes).unwrap();
            let place = format!("byte {at} of {}", name.display());
            match verify(&work, &VerifyOptions::default(), &mut |_, _| {}) {
                Ok(report) if report.is_ok() => {
                    assert_eq!(report.head(), head, "{place}");
                    harmless += 1;
                }
                Ok(report) => {
                    assert!(
                        report.findings[0].seq.is_none_or(|seq| seq.get() <= head.size.get() + 1)
                    );
                    found += 1;
                }
                Err(error) => {
                    assert!(
                        matches!(error, OpenError::UnsupportedFormat { .. }),
                        "{place}: {error}"
                    );
                    found += 1;
                }
            }
            if let Ok(ledger) = Ledger::open(&work, small()) {
                assert_eq!(ledger.reader().head(), head, "{place}");
                let mut seq = Seq::FIRST;
                for entry in &truth {
                    if let Ok(read) = ledger.reader().entry(seq) {
                        assert_eq!(&read, entry, "{place}");
                    }
                    seq = seq.next().unwrap();
                }
            }
            fs::remove_dir_all(&work).unwrap();
        }
    }
    assert!(found > 50, "{found} found, {harmless} harmless");
}

#[test]
fn whatever_happens_to_sled_a_rebuild_brings_every_event_back() {
    let (temporary, path, head) = sound();
    let work = temporary.path().join("work");
    let damages: [&dyn Fn(&Path); 3] = [
        &|sled| fs::remove_dir_all(sled).unwrap(),
        &|sled| files(sled).iter().for_each(|file| fs::write(file, b"").unwrap()),
        &|sled| {
            for file in files(sled) {
                let mut bytes = fs::read(&file).unwrap();
                bytes.iter_mut().step_by(1_000).for_each(|byte| *byte ^= 0x10);
                fs::write(&file, bytes).unwrap();
            }
        },
    ];
    for damage in damages {
        copy_tree(&path, &work);
        damage(&work.join("sled"));
        let report = audit(&work);
        assert!(report.findings.iter().any(|f| f.kind == FindingKind::Sealed), "{report:?}");
        assert_eq!(Ledger::rebuild(&work, &small(), &mut |_, _| {}).unwrap().head, head);
        assert_eq!(audit(&work).findings, []);
        let ledger = Ledger::open(&work, small()).unwrap();
        assert_eq!(ledger.reader().head(), head);
        append(&ledger, [spawn("later")]);
        ledger.close_blocking().unwrap();
        drop(ledger);
        fs::remove_dir_all(&work).unwrap();
    }
}

#[test]
fn what_is_before_the_damage_can_be_read_and_nothing_can_be_appended() {
    let (_temporary, path, head) = sound();
    let newest = files(&path.join("journal")).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let error = Ledger::open(&path, small()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. } | OpenError::LostTail { .. }), "{error}");
    fs::remove_dir_all(path.join("sled")).unwrap(); // which would still hold them
    let ledger = Ledger::open_read_only(&path, small()).unwrap();
    let size = ledger.reader().head().size;
    let shortfall = ledger.shortfall().expect("it says what it does not show");
    assert_eq!((shortfall.readable, shortfall.held), (size.get(), Some(head.size.get())));
    assert!(size < head.size && size > 0, "{size}");
    assert_eq!(entries(&ledger).len(), usize::try_from(size.get()).unwrap());
    assert!(matches!(ledger.append_blocking([spawn("x")]), Err(AppendError::NotPrimary)));
}

#[test]
fn an_audit_of_nothing_says_so() {
    let (_temporary, path) = directory();
    let nothing = verify(&path, &VerifyOptions::default(), &mut |_, _| {});
    assert!(matches!(nothing, Err(OpenError::NotFound { .. })));
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [finish_with_spawn()].concat());
    let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!((report.head(), report.findings), (ledger.reader().head(), vec![]));
    let [note] = &*report.notes else { panic!("{:?}", report.notes) };
    assert!(note.detail.contains("not checked"), "{note}");
}

/// Beside its writer a ledger is sound, with archives, snapshots, redactions and a purge, and a text
/// that was changed is found.
#[test]
fn a_ledger_is_audited_while_it_is_open() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..300);
    ledger.flush_blocking().unwrap();
    ledger.redact_blocking(Seq::new(2).unwrap(), PartSet::ALL, "a credential").unwrap();
    ledger.purge_blocking().unwrap();
    fill(&ledger, 300..330);
    let report = audit(&path);
    assert_eq!((report.head(), report.findings), (ledger.reader().head(), vec![]));
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    let archive = files(&path.join("archive")).remove(0);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let report = audit(&path);
    assert!(report.findings.iter().any(|finding| finding.kind == FindingKind::Archive));
}

fn finish_with_spawn() -> Vec<taskledger::command::Proposal> {
    vec![spawn("a"), finish_with("a", Outcome::Completed, None)]
}

/// A damaged archive once made a ledger that was opened for reading silently shorter, though the
/// sealed store held every event.
#[test]
fn what_an_archive_has_lost_is_read_from_the_sealed_store() {
    let (_temporary, path, head) = sound();
    let first = files(&path.join("archive")).remove(0);
    for damage in ["flipped", "deleted"] {
        if damage == "flipped" {
            let mut bytes = fs::read(&first).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(&first, bytes).unwrap();
        } else {
            fs::remove_file(&first).unwrap();
        }
        let ledger = Ledger::open_salvaged(&path, small()).unwrap();
        assert_eq!(ledger.reader().head(), head, "{damage}");
        assert_eq!(ledger.shortfall(), None);
    }
    fs::remove_dir_all(path.join("sled")).unwrap();
    let ledger = Ledger::open_salvaged(&path, small()).unwrap();
    let shortfall = ledger.shortfall().expect("now nobody holds them");
    assert_eq!((shortfall.readable, shortfall.held), (0, Some(head.size.get())));
}
