//! Audits of a ledger that others go on recording into.

use super::*;
use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use taskledger::{
    audit::verify_in,
    store::{
        Evidence, Identity, Inspect, Looked, Opened, Rebuilt, SealedItems, SnapshotStore,
        StoreFinding, Witness,
    },
};

/// Enough events for an audit to tell of its progress on the way.
const EVENTS: u32 = 5_000;

fn large() -> (tempfile::TempDir, PathBuf, Head) {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    for first in (0..EVENTS).step_by(100) {
        append(&ledger, (first..first + 100).map(|n| spawn(&format!("t{n}"))).collect::<Vec<_>>());
    }
    ledger.flush_blocking().unwrap();
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    (temporary, path, head)
}

/// Records, archives, erases, and closes: whoever opens does not wait.
fn go_on(path: &Path, round: u32) -> Head {
    let ledger = Ledger::open(path, small()).unwrap();
    (0..200).for_each(|n| drop(append(&ledger, [spawn(&format!("{round}-{n}"))])));
    let seq = Seq::new(u64::from(round) + 2).unwrap();
    ledger.redact_blocking(seq, PartSet::ALL, "a credential").unwrap();
    ledger.flush_blocking().unwrap();
    ledger.purge_blocking().unwrap();
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    head
}

/// It held the lock until its end: on a large ledger for minutes.
#[test]
fn a_long_audit_lets_others_record_once_its_copy_is_made() {
    let (_temporary, path, head) = large();
    let (mut told, mut end) = (0, head);
    let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {
        told += 1;
        if told == 1 {
            end = go_on(&path, 0);
        }
    });
    let report = report.unwrap();
    assert_eq!(report.findings, [], "what goes away under it is no finding");
    assert!(told > 1 && report.sealed_checked && report.notes.is_empty(), "{report:?}");
    assert!([head, end].contains(&report.head()), "{report:?}");
    let again = audit(&path);
    assert_eq!((again.head(), again.findings), (end, vec![]));
}

/// Where somebody records into every try, it is audited as beside a writer.
#[test]
fn an_audit_among_those_who_record_all_the_time_comes_to_an_end_and_still_finds_damage() {
    for damaged in [false, true] {
        let (_temporary, path, _) = large();
        if damaged {
            // In a text that nobody rewrites: a purge of it would be refused.
            let archive = files(&path.join("archive")).remove(0);
            let mut bytes = fs::read(&archive).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&archive, bytes).unwrap();
        }
        let mut rounds = 0;
        let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {
            rounds += 1;
            if damaged {
                let ledger = Ledger::open(&path, small()).unwrap();
                append(&ledger, [spawn(&format!("more-{rounds}"))]);
                ledger.close_blocking().unwrap();
            } else {
                go_on(&path, rounds);
            }
        });
        let report = report.unwrap();
        let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        let wanted = if damaged { vec![FindingKind::Archive] } else { vec![] };
        assert_eq!(kinds, wanted, "{report:?}");
    }
}

/// The lock is held until the copy is made, and not one step longer.
#[test]
fn the_lock_is_held_for_the_copy_alone() {
    let (_temporary, path, _) = sound();
    let home = DiskHome::new(&path, store::DiskOptions::default());
    let inspection = home.inspect().unwrap();
    let open = || Ledger::open(&path, small());
    assert!(matches!(open(), Err(OpenError::InUse { .. })));
    let items = inspection.sealed(VerifyOptions::default().sealed_deadline);
    assert!(matches!(open(), Err(OpenError::InUse { .. })), "salvage goes on reading");
    assert!(inspection.is_still());
    inspection.let_go();
    assert!(inspection.is_still(), "nobody has come");
    let ledger = open().unwrap();
    assert!(!inspection.is_still(), "it is open");
    ledger.close_blocking().unwrap();
    assert!(!inspection.is_still(), "it was open");
    // sled can go: the copy is whole.
    fs::remove_dir_all(path.join("sled")).unwrap();
    let (blocks, faults): (Vec<_>, Vec<_>) = items.partition(Result::is_ok);
    assert!(blocks.len() > 10 && faults.is_empty(), "{faults:?}");
    assert!(verify_in(&home, &VerifyOptions::default(), &mut |_, _| {}).is_ok());
}

/// Does something with a ledger.
type Deed = Arc<dyn Fn() + Send + Sync>;

/// A ledger into which somebody records as soon as an inspection lets go of it.
struct Awaited {
    home: DiskHome,
    come: Deed,
}

/// An inspection of it.
struct AwaitedInspection {
    inner: Box<dyn Inspect>,
    come: Deed,
}

impl std::fmt::Debug for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.home.fmt(f)
    }
}

impl Home for Awaited {
    fn create(&self, identity: Identity) -> Result<Opened, store::Error> {
        self.home.create(identity)
    }

    fn open(&self) -> Result<Opened, store::Error> {
        self.home.open()
    }

    fn look(&self) -> Result<Looked, store::Error> {
        self.home.look()
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>, store::Error> {
        let (inner, come) = (self.home.inspect()?, Arc::clone(&self.come));
        Ok(Box::new(AwaitedInspection { inner, come }))
    }

    fn inspect_beside(&self, why: &str) -> Result<Box<dyn Inspect>, store::Error> {
        self.home.inspect_beside(why)
    }

    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, store::Error> {
        self.home.rebuild(replay)
    }

    fn remove_unfinished(&self) -> Result<(), store::Error> {
        self.home.remove_unfinished()
    }
}

impl std::fmt::Debug for AwaitedInspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Inspect for AwaitedInspection {
    fn identity(&self) -> Option<Identity> {
        self.inner.identity()
    }

    fn witness(&self) -> Option<Witness> {
        self.inner.witness()
    }

    fn findings(&self) -> &[StoreFinding] {
        self.inner.findings()
    }

    fn commits_from(&self) -> Option<Seq> {
        self.inner.commits_from()
    }

    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding> {
        self.inner.log(visit)
    }

    fn sealed(&self, deadline: Duration) -> SealedItems {
        self.inner.sealed(deadline)
    }

    fn let_go(&self) {
        self.inner.let_go();
        (self.come)();
    }

    fn is_still(&self) -> bool {
        self.inner.is_still()
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        self.inner.snapshots()
    }
}

/// Journals and archives that were to be read are gone, under one try or under all: nothing of that is a
/// finding, and the second or the last try sees the ledger as it is then.
#[test]
fn what_a_writer_takes_away_from_an_audit_is_no_finding() {
    for times in [1, u32::MAX] {
        let (_temporary, path, _) = sound();
        let (left, at) = (AtomicU32::new(times), path.clone());
        let come: Deed = Arc::new(move || {
            let round = left.fetch_sub(1, Ordering::Relaxed);
            if round > 0 {
                go_on(&at, round % 100);
            }
        });
        let home = DiskHome::new(&path, store::DiskOptions::default());
        let home = Awaited { home, come };
        let report = verify_in(&home, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{times} times");
        assert_eq!(report.sealed_checked, times == 1, "{:?}", report.notes);
        assert_eq!(report.head(), look(&path), "{times} times");
    }
}

fn look(path: &Path) -> Head {
    Ledger::open_read_only(path, small()).unwrap().reader().head()
}
