//! Redaction: the text is gone from every view, the proof stays.

use crate::support::*;
use std::sync::{Arc, Mutex};
use taskledger::{
    Code, Ledger,
    event::{Outcome, PartKind, PartSet},
    ids::{LedgerId, Seq, Size},
    ledger::{AppendError, PurgeError},
    proof,
    state::TextBody,
    store::{
        Error, FrameLog, MemStore, SnapshotStore,
        faulty::{Call, Effect, Fault, FaultyDisk},
    },
};

const SECRET: &str = "the password is swordfish";

fn errors() -> PartSet {
    PartSet::default().with(PartKind::Error)
}

#[test]
fn a_redacted_text_is_gone_from_the_state_and_from_every_past() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some(SECRET))]);
    let end = Seq::new(3).unwrap();
    let (root, reader) = (ledger.reader().head().root, ledger.reader());
    assert_eq!(&**reader.entry(end).unwrap().text(PartKind::Error).unwrap(), SECRET);

    ledger.redact_blocking(end, errors(), "a credential").unwrap();
    assert_eq!(reader.entry(end).unwrap().text(PartKind::Error), None);
    assert!(entries(&ledger).iter().all(|entry| entry.text(PartKind::Error).is_none()));
    for state in [reader.state().unwrap(), reader.state_at(Size::new(3)).unwrap()] {
        let task = state.task(&task("a")).unwrap();
        assert_eq!(task.error.as_ref().unwrap().body, TextBody::Erased);
    }
    assert_eq!(reader.root_at(Size::new(3)).unwrap(), root, "no hash has changed");
}

#[test]
fn a_redaction_belongs_to_the_task_whose_text_it_erases() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some(SECRET))]);
    let receipt = ledger.redact_blocking(Seq::new(3).unwrap(), errors(), "why").unwrap();
    let entry = ledger.reader().entry(receipt.seq).unwrap();
    assert_eq!(entry.event.task, Some(task("a")));
    assert_eq!(entry.event.prev_in_task, Seq::new(3));
    assert_eq!(&**entry.text(PartKind::Reason).unwrap(), "why");
}

#[test]
fn what_is_not_there_cannot_be_redacted() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let none = ledger.redact_blocking(Seq::new(2).unwrap(), errors(), "why");
    assert_eq!(none.unwrap_err().code(), Code::Invalid);
    let past = ledger.redact_blocking(Seq::new(9).unwrap(), errors(), "why");
    assert_eq!(past.unwrap_err().code(), Code::NoSuchEvent);
}

#[test]
fn every_event_stays_provable_after_a_redaction_and_a_purge() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some(SECRET))]);
    ledger.redact_blocking(Seq::new(3).unwrap(), errors(), "why").unwrap();
    ledger.purge_blocking().unwrap();
    let reader = ledger.reader();
    let head = reader.head();
    assert_eq!(reader.erased_upto(), head.seq());
    for size in 1..=head.size.get() {
        let proof = reader.prove_consistency(Size::new(size), head.size).unwrap();
        proof::check_consistency(&proof, reader.root_at(Size::new(size)).unwrap(), head.root)
            .unwrap();
    }
    assert_eq!(reader.entry(Seq::new(3).unwrap()).unwrap().text(PartKind::Error), None);
}

// The store had stopped, and yet the ledger took the next append and could not say what became of it.
#[test]
fn a_purge_that_cannot_sync_halts_the_ledger() {
    let disk = FaultyDisk::new(1);
    let store = Arc::new(disk.open().unwrap());
    let id = LedgerId([1; 16]);
    let ledger = Ledger::over_store(store.clone(), store, id, options()).unwrap();
    append(&ledger, [spawn("a")]);
    disk.fail(Fault { call: Call::Sync, after: 0, effect: Effect::FailsOnce });
    assert!(ledger.purge_blocking().is_err());
    let next = ledger.append_blocking([spawn("b")]);
    assert!(matches!(next, Err(AppendError::Halted)), "{next:?}");
    assert!(matches!(ledger.purge_blocking(), Err(PurgeError::Halted)));
}

/// The saved states beside a log: says of each change whether the log was erased by then.
#[derive(Debug)]
struct Changes {
    log: Arc<MemStore>,
    saved: MemStore,
    told: Mutex<Vec<(&'static str, u64, bool)>>,
}

impl Changes {
    fn tell(&self, what: &'static str, at: Seq) {
        let erased = self.log.erased_upto().is_some();
        self.told.lock().unwrap().push((what, at.get(), erased));
    }
}

impl SnapshotStore for Changes {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        self.saved.list()
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        self.saved.bytes(at)
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.saved.load(at)
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        self.tell("saved", at);
        self.saved.save(at, bytes)
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        self.tell("removed", at);
        self.saved.remove(at)
    }
}

/// All of them went first, and a reader beside the purge folded from the first event. The state of the
/// last event is saved again: who knows what is in a file of that name.
#[test]
fn a_purge_saves_its_state_before_the_older_ones_go() {
    let log = Arc::new(MemStore::new());
    let saved = MemStore::new();
    for at in [2, 4] {
        saved.save(Seq::new(at).unwrap(), b"of who knows when").unwrap();
    }
    let changes = Arc::new(Changes { log: log.clone(), saved, told: Mutex::default() });
    let ledger =
        Ledger::over_store(log.clone(), changes.clone(), LedgerId([9; 16]), options()).unwrap();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some(SECRET))]);
    ledger.redact_blocking(Seq::new(3).unwrap(), errors(), "a credential").unwrap();
    changes.told.lock().unwrap().clear();
    ledger.purge_blocking().unwrap();
    let told = [("saved", 4, false), ("removed", 2, true)];
    assert_eq!(*changes.told.lock().unwrap(), told);
    assert_eq!(changes.list().unwrap(), [Seq::new(4).unwrap()]);
    assert_ne!(changes.load(Seq::new(4).unwrap()).unwrap(), b"of who knows when");
}
