//! The view that an audit gets of a ledger, whole or damaged.

use super::*;
use crate::store::{Evidence, SealedItem, StoreFinding, StoreFindingKind};
use inspect::Inspection;
use std::{collections::BTreeMap, ops::ControlFlow};

const DEADLINE: Duration = Duration::from_mins(1);

/// A closed ledger of 700 events with archives and a journal that is not empty.
fn whole() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 600);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 700);
    store.close().unwrap();
    assert!(archives(dir.path()).len() > 2);
    dir
}

/// The frames and the findings that archive and journals give.
fn log_of(dir: &Path) -> (BTreeMap<u64, Vec<u8>>, Vec<StoreFinding>) {
    let inspection = Inspection::open(ledger(dir), Duration::ZERO).unwrap();
    let mut frames = BTreeMap::new();
    let mut findings = inspection.findings().to_vec();
    findings.extend(inspection.log(&mut |evidence| {
        match evidence {
            Evidence::Frame { seq, bytes } => {
                assert!(frames.insert(seq.get(), bytes.to_vec()).is_none(), "{seq} twice");
            }
            Evidence::Root { head, .. } => assert_eq!(head, head_at(head.size.get())),
            Evidence::TreeHash { index, hash, .. } => assert_eq!(hash, hash_of(index)),
        }
        ControlFlow::Continue(())
    }));
    (frames, findings)
}

fn sealed_of(dir: &Path) -> (BTreeMap<u64, Vec<u8>>, u64, Vec<StoreFinding>) {
    let (mut frames, mut tree_hashes, mut findings) = (BTreeMap::new(), 0, Vec::new());
    for item in Inspection::open(ledger(dir), Duration::ZERO).unwrap().sealed(DEADLINE) {
        match item {
            Ok(SealedItem::Block(block)) => {
                frames.extend(block.iter().map(|(seq, frame)| (seq.get(), frame.to_vec())));
            }
            Ok(SealedItem::TreeHash { index, hash }) => {
                tree_hashes += 1;
                assert_eq!(hash, hash_of(index));
            }
            Err(finding) => findings.push(finding),
        }
    }
    (frames, tree_hashes, findings)
}

fn all(size: u64) -> BTreeMap<u64, Vec<u8>> {
    (1..=size).map(|number| (number, frame_of(number))).collect()
}

pub(super) fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 4;
    fs::write(path, bytes).unwrap();
}

// An opening refuses both, so an audit must not call the ledger whole.
#[test]
fn what_stands_beside_sled_is_a_witness_of_roots_and_is_not_passed_over_if_it_is_of_a_later_format()
{
    let dir = whole();
    let file = ledger(dir.path()).join("sled/1.upto");
    let good = upto::Record::read(&ledger(dir.path()).join("sled/1"), identity().ledger);
    let good = good.unwrap().unwrap();
    let other = Head { root: Root([9; 32]), ..head_at(700) };
    for said in
        [upto::Record { head: other, ..good.clone() }, upto::Record { log: other, ..good.clone() }]
    {
        fs::write(&file, said.encode()).unwrap();
        let Error::Damaged { seq: Some(at), file: Some(named), .. } = refused(dir.path()) else {
            panic!("it is opened");
        };
        assert_eq!((at, &named), (seq(700), &file));
        let mut given = Vec::new();
        let inspection = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap();
        inspection.log(&mut |evidence| {
            if let Evidence::Root { head, file: from } = evidence
                && from == file
            {
                given.push(head);
            }
            ControlFlow::Continue(())
        });
        assert!(given.contains(&other), "{given:?}");
    }
    let mut newer = good.encode();
    newer[8] = 9;
    let crc = crc32c::crc32c(&newer[..508]).to_le_bytes();
    newer[508..512].copy_from_slice(&crc);
    fs::write(&file, newer).unwrap();
    let audited = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap_err();
    for error in [refused(dir.path()), audited] {
        assert!(matches!(error, Error::UnsupportedFormat { .. }), "{error}");
    }
}

#[test]
fn a_whole_ledger_shows_every_frame_twice_and_is_not_changed() {
    let dir = whole();
    let before = files(&ledger(dir.path()));
    assert_eq!(log_of(dir.path()), (all(700), vec![]));
    assert_eq!(sealed_of(dir.path()), (all(700), TreeHash::kept_by(head_at(700).size), vec![]));
    let inspection = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap();
    assert_eq!(inspection.identity(), Some(identity()));
    assert_eq!(inspection.head().unwrap().sealed, head_at(700));
    assert!(files(&ledger(dir.path())) == before);
}

#[test]
fn an_open_ledger_is_not_inspected() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    assert!(matches!(
        Inspection::open(ledger(dir.path()), Duration::ZERO),
        Err(Error::InUse { .. })
    ));
    drop(store);
    let inspection = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap();
    assert!(matches!(refused(dir.path()), Error::InUse { .. }));
    drop(inspection);
    drop(reopened(dir.path()));
}

#[test]
fn a_damaged_archive_is_found_and_what_follows_is_still_shown() {
    let dir = whole();
    let archive = archives(dir.path()).remove(1);
    let (first, last) = archive::range_of(&archive).unwrap();
    let chunk = archive::Archive::open(&archive).unwrap().frames_from(first).next().unwrap();
    let chunk_end = chunk.unwrap().end();
    assert!(chunk_end < last.get());
    flip(&archive, 600);
    let (frames, findings) = log_of(dir.path());
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].kind, findings[0].seq), (StoreFindingKind::Archive, Some(first)));
    let rest = |end| {
        let mut rest = all(700);
        rest.retain(|number, _| *number < first.get() || *number > end);
        rest
    };
    assert_eq!(frames, rest(chunk_end));
    fs::remove_file(&archive).unwrap();
    let (frames, findings) = log_of(dir.path());
    assert_eq!((findings[0].kind, findings[0].seq), (StoreFindingKind::Gap, Some(first)));
    assert_eq!(frames, rest(last.get()));
}

#[test]
fn a_damaged_journal_is_found_at_its_event() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 60);
    store.sync().unwrap();
    drop(store);
    let journal = journals(dir.path()).remove(0);
    let bytes = fs::read(&journal).unwrap();
    let place = bytes.windows(9).position(|window| window == b"frame 40 ").unwrap();
    flip(&journal, place);
    let (frames, findings) = log_of(dir.path());
    assert_eq!(findings.len(), 1);
    let next = *frames.keys().last().unwrap() + 1;
    assert_eq!((findings[0].kind, findings[0].seq), (StoreFindingKind::Journal, Some(seq(next))));
    fs::remove_file(&journal).unwrap();
    assert_eq!(log_of(dir.path()).1[0].kind, StoreFindingKind::LostTail);
}

#[test]
fn harmless_oddities_are_named() {
    let dir = whole();
    let root = ledger(dir.path());
    fs::write(root.join("archive/letter"), b"?").unwrap();
    flip(&root.join("HEAD"), 30);
    flip(&root.join("HEAD"), 3000);
    let journal = journals(dir.path()).remove(0);
    flip(&journal, 2000);
    let end = fs::read(&journal).unwrap().len() - 3;
    flip(&journal, end);
    let (frames, findings) = log_of(dir.path());
    assert_eq!(frames, all(700));
    assert!(findings.iter().all(StoreFinding::is_harmless), "{findings:?}");
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        kinds,
        [
            StoreFindingKind::StrayBytes,
            StoreFindingKind::HeadSlot,
            StoreFindingKind::UnknownFile,
            StoreFindingKind::TornEnd,
            StoreFindingKind::StrayBytes
        ]
    );
    assert_holds(&reopened(dir.path()), 700);
}

#[test]
fn no_damage_to_sled_gets_out_as_a_panic_or_as_a_wrong_frame() {
    let dir = whole();
    let db = ledger(dir.path()).join("sled/1/db");
    let whole = fs::read(&db).unwrap();
    for number in 0..12 {
        flip(&db, whole.len() / 12 * number + 100);
        // It may be silent about what it lost: an audit holds this against the log.
        let (frames, _, _) = sealed_of(dir.path());
        assert!(frames.iter().all(|(number, frame)| *frame == frame_of(*number)));
        fs::write(&db, &whole).unwrap();
    }
    fs::remove_file(&db).unwrap();
    let (frames, _, findings) = sealed_of(dir.path());
    assert!(frames.is_empty());
    assert_eq!(findings[0].kind, StoreFindingKind::Sealed);
}

#[test]
fn a_deadline_that_has_passed_is_a_finding_and_the_end() {
    let dir = whole();
    let inspection = Inspection::open(ledger(dir.path()), Duration::ZERO).unwrap();
    let items: Vec<_> = inspection.sealed(Duration::ZERO).collect();
    assert!(matches!(items.last(), Some(Err(finding)) if finding.kind == StoreFindingKind::Sealed));
}

#[test]
fn any_bytes_in_any_small_file_are_an_answer() {
    let dir = whole();
    let root = ledger(dir.path());
    for name in ["NODE", "HEAD"] {
        let path = root.join(name);
        let whole = fs::read(&path).unwrap();
        for bytes in [&b""[..], b"x", &whole[..100], &vec![0xff; 9000]] {
            fs::write(&path, bytes).unwrap();
            let (frames, findings) = log_of(dir.path());
            assert_eq!(frames, all(700));
            assert!(!findings.is_empty(), "{name}");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_log_that_goes_on_behind_what_sled_was_synced_with_is_told_from_one_that_does_not() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 20);
    store.sync().unwrap();
    drop(store);
    let unsealed = || open::unsealed_since(ledger(dir.path())).unwrap();
    assert_eq!(unsealed(), None, "sled was given nothing");
    let word = fs::read(ledger(dir.path()).join("sled/1.upto")).unwrap();
    forget_upto(dir.path());
    assert_eq!(unsealed(), Some(0), "it is not known");
    reopened(dir.path()).close().unwrap();
    assert_eq!(unsealed(), None);
    let store = reopened_with(dir.path(), &lazy());
    append_upto(&store, 40);
    store.sync().unwrap();
    store.shared.engine().unwrap();
    drop(store);
    assert_eq!(unsealed(), Some(20), "sled was opened to be given more");
    fs::write(ledger(dir.path()).join("sled/1.upto"), word).unwrap();
    assert_eq!(unsealed(), Some(20), "an older version has sealed meanwhile: it is not known");
}
