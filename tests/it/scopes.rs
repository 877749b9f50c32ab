//! Questions about a part of a ledger that is only read: which bytes of a snapshot they read, and
//! what becomes of the answers when these are damaged.

use crate::support::*;
use std::{
    collections::BTreeMap,
    io::ErrorKind::NotFound,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use taskledger::{
    Ledger,
    command::{Cancel, Redact, Spawn},
    event::{Outcome, PartKind},
    ids::{Seq, Size},
    ledger::Reader,
    query::{self, EventFilter, History, Order, Point, Position, Scope, Source},
    snapshot,
    state::LedgerState,
    store::{
        Error, Home, Identity, Inspect, Looked, MemStore, Opened, Rebuilt, Replay, SnapshotBytes,
        SnapshotStore,
    },
    time::Millis,
};

/// A store whose saved states are these, and count what is read of them.
#[derive(Debug, Clone)]
struct Counted {
    store: MemStore,
    saved: Arc<Saved>,
}

#[derive(Debug, Default)]
struct Saved {
    states: Mutex<BTreeMap<Seq, Vec<u8>>>,
    /// Saved states that were loaded whole.
    loads: AtomicU64,
    /// Bytes that were read in parts.
    bytes: Arc<AtomicU64>,
}

impl Saved {
    /// Saves the current state, and gives its bytes.
    fn take(&self, reader: &Reader) -> (Seq, Vec<u8>) {
        let (head, state) = (reader.head(), reader.state().unwrap());
        let (at, bytes) = (head.seq().unwrap(), snapshot::encode(&state, head));
        self.save(at, &bytes).unwrap();
        (at, bytes)
    }

    fn state(&self, at: Seq) -> Result<Vec<u8>, Error> {
        let gone = || Error::Io { during: "reading", path: None, source: NotFound.into() };
        self.states.lock().unwrap().get(&at).cloned().ok_or_else(gone)
    }
}

impl Home for Counted {
    fn look(&self) -> Result<Looked, Error> {
        let saved = Arc::clone(&self.saved);
        Ok(Looked { snapshots: saved, ..self.store.look()? })
    }

    fn create(&self, identity: Identity) -> Result<Opened, Error> {
        self.store.create(identity)
    }

    fn open(&self) -> Result<Opened, Error> {
        Home::open(&self.store)
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>, Error> {
        self.store.inspect()
    }

    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, Error> {
        self.store.rebuild(replay)
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        self.store.remove_unfinished()
    }
}

impl SnapshotStore for Saved {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        Ok(self.states.lock().unwrap().keys().copied().collect())
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        Ok(u64::try_from(self.state(at)?.len()).unwrap())
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.state(at)
    }

    fn parts(&self, at: Seq) -> Result<Box<dyn SnapshotBytes>, Error> {
        Ok(Box::new(Parts { bytes: self.state(at)?, read: Arc::clone(&self.bytes) }))
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        self.states.lock().unwrap().insert(at, bytes.to_vec());
        Ok(())
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        self.states.lock().unwrap().remove(&at);
        Ok(())
    }
}

#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl SnapshotBytes for Parts {
    fn size(&self) -> u64 {
        SnapshotBytes::size(&self.bytes)
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        let read = SnapshotBytes::read(&self.bytes, offset, bytes)?;
        self.read.fetch_add(u64::try_from(read.len()).unwrap(), Ordering::Relaxed);
        Ok(read)
    }
}

/// Tasks in 40 threads that take turns, each below the one before it in its thread.
fn spawn_many(ledger: &Ledger, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let name = format!("of{}", number % 40);
        let mut spawn = Spawn::new(thread(&name), "agent").task(task(&format!("n{number}")));
        spawn = spawn.description(format!("the description of task {number}"));
        if number % 400 >= 40 {
            spawn = spawn.parent(task(&format!("n{}", number - 40)));
        }
        append(ledger, [spawn]);
        if number % 3 == 0 {
            append(ledger, [finish_with(&format!("n{number}"), Outcome::Failed, Some("it broke"))]);
        }
    }
}

fn new() -> (Counted, Ledger) {
    let home = Counted { store: MemStore::new(), saved: Arc::default() };
    let ledger = Ledger::create_in(&home, options()).unwrap();
    (home, ledger)
}

fn redact(seq: u64) -> Redact {
    let parts = [PartKind::Description].into_iter().collect();
    Redact::new(Seq::new(seq).unwrap(), parts, "a secret")
}

/// A ledger of 4,000 tasks with a snapshot of nearly all.
fn stored() -> (Counted, Ledger) {
    let (home, ledger) = new();
    spawn_many(&ledger, 0..3_900);
    append(&ledger, [redact(2)]);
    home.saved.take(&ledger.reader());
    spawn_many(&ledger, 3_900..4_000);
    append(&ledger, [Cancel::thread(thread("of7"))]);
    append(&ledger, [redact(4)]);
    (home, ledger)
}

type Ask = (&'static str, fn(&Reader) -> String);

/// Questions about one thread or task, or about single events.
const ASKED: [Ask; 14] = [
    ("the last events", |reader| {
        let wanted = History::default().limit(5).order(Order::NewestFirst);
        let mut seen = Vec::new();
        query::history(reader, &wanted, |entry| seen.push(entry)).unwrap();
        format!("{seen:?}")
    }),
    ("an event", |reader| format!("{:?}", reader.entry(Seq::new(2).unwrap()).unwrap())),
    ("a redaction", |reader| {
        format!("{:?}", [2, 3, 4].map(|n| reader.redacted(Seq::new(n).unwrap()).unwrap()))
    }),
    ("a tree", |reader| {
        let view = query::as_of(reader, Scope::Thread(&thread("of7")), head(reader)).unwrap();
        format!("{:?}", query::tree(&view.state, &thread("of7")))
    }),
    ("a thread of the past", |reader| {
        let then = Position::Log(Size::new(2_000));
        let view = query::as_of(reader, Scope::Thread(&thread("of7")), then).unwrap();
        format!("{:?}", query::tree(&view.state, &thread("of7")))
    }),
    ("a timeline", |reader| {
        let view = query::as_of(reader, Scope::Thread(&thread("of8")), head(reader)).unwrap();
        format!("{:?}", query::timeline(&view.state, &thread("of8"), Millis(0)))
    }),
    ("a task", |reader| {
        let view = query::as_of(reader, Scope::Task(&task("n3999")), head(reader)).unwrap();
        let held = view.state.task(&task("n3999")).unwrap();
        format!("{:?} {:?}", held.record, view.state.request_to_stop(&held.id))
    }),
    ("a task that is not there", |reader| {
        format!("{:?}", query::as_of(reader, Scope::Task(&task("n4000")), head(reader)))
    }),
    ("why", |reader| format!("{:?}", query::why(reader, &task("n367"), head(reader)).unwrap())),
    ("a log", |reader| {
        let filter = EventFilter::default().task(task("n3700"));
        let wanted = History::default().filter(filter);
        let mut seen = Vec::new();
        query::history(reader, &wanted, |entry| seen.push(entry)).unwrap();
        format!("{seen:?}")
    }),
    ("a difference", |reader| {
        let [before, after] = [Position::Log(Size::new(1_000)), head(reader)]
            .map(|at| query::as_of(reader, Scope::Thread(&thread("of1")), at).unwrap());
        format!("{:?}", query::diff(&before.state, &after.state, Some(&thread("of1"))))
    }),
    ("the end of a task", |reader| {
        let end: Point = "end:n39".parse().unwrap();
        format!("{:?}", end.resolve(reader, Millis(0)))
    }),
    ("a proof", |reader| {
        format!("{:?}", reader.prove_inclusion(Seq::new(9).unwrap(), reader.head().size).unwrap())
    }),
    ("the end", |reader| format!("{:?} {:?}", reader.now().unwrap(), reader.checkpoint())),
];

fn head(reader: &Reader) -> Position {
    Position::Log(reader.head().size)
}

/// The same without the places of threads, which differ from state to state, and without the word that
/// tells whether a text comes from a snapshot.
fn comparable(told: &str) -> String {
    let told = told.replace("Saved(", "Kept(");
    let mut parts = told.split(", home: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_question_about_a_part_reads_a_part_of_the_snapshot() {
    let (home, ledger) = stored();
    let Saved { loads, bytes, .. } = &*home.saved;
    let whole = home.saved.bytes(home.saved.list().unwrap()[0]).unwrap();
    for (name, ask) in ASKED {
        let seen = Ledger::open_read_only_in(&home, options()).unwrap();
        let answers = [ask(&seen.reader()), ask(&ledger.reader())].map(|told| comparable(&told));
        assert!(answers[0] == answers[1], "{name}");
        assert_eq!(loads.load(Ordering::Relaxed), 0, "{name}: nothing is loaded whole");
    }
    bytes.store(0, Ordering::Relaxed);
    let seen = Ledger::open_read_only_in(&home, options()).unwrap();
    let _ = seen.reader().task(&task("n1234")).unwrap().unwrap();
    let read = bytes.load(Ordering::Relaxed);
    assert!(read > 0);
    assert!(read < whole / 4, "{read} bytes of {whole} for one task");
    assert_eq!(seen.reader().state().unwrap(), ledger.reader().state().unwrap());
    assert_eq!(seen.reader().state().unwrap(), ledger.reader().state().unwrap());
    assert_eq!(loads.load(Ordering::Relaxed), 1, "it is loaded once");
}

/// A snapshot is disposable: a byte that was changed in any of its parts changes no answer.
#[test]
fn a_changed_byte_anywhere_in_a_snapshot_changes_no_answer() {
    let (home, ledger) = new();
    spawn_many(&ledger, 0..200);
    let (_, older) = home.saved.take(&ledger.reader());
    spawn_many(&ledger, 200..400);
    let (at, whole) = home.saved.take(&ledger.reader());
    spawn_many(&ledger, 400..410);
    let answers = |reader: &Reader| {
        let of =
            |id: &str| reader.task(&task(id)).unwrap().map(|task| format!("{:?}", task.record));
        let in_thread = reader.thread(&thread("of3")).unwrap().map(|thread| thread.events);
        (["n0", "n399", "n401", "n77", "no"].map(of), in_thread, Source::now(reader).unwrap())
    };
    let expected = answers(&ledger.reader());
    let check = |bytes: &[u8], what: &str| {
        home.saved.save(at, bytes).unwrap();
        let seen = Ledger::open_read_only_in(&home, options()).unwrap();
        assert_eq!(answers(&seen.reader()), expected, "{what}");
    };
    for place in (0..512).step_by(31).chain((512..whole.len()).step_by(173)) {
        let mut changed = whole.clone();
        changed[place] ^= 0x20;
        check(&changed, &format!("byte {place}"));
        check(&whole[..place], &format!("cut at {place}"));
    }
    // One of another history, and one that says it is of another event.
    let other = snapshot::encode(&LedgerState::default(), taskledger::ids::Head::EMPTY);
    check(&other, "another history");
    check(&older, "an older one under its name");
}

/// A follower that goes on for long asks for a newer snapshot instead of holding all events.
#[test]
fn a_look_goes_on_over_newer_snapshots() {
    let (home, ledger) = new();
    let seen = Ledger::open_read_only_in(&home, options()).unwrap();
    for round in 0..6 {
        spawn_many(&ledger, round * 100..round * 100 + 100);
        if round % 2 == 1 {
            home.saved.take(&ledger.reader());
        }
        seen.refresh_blocking().unwrap();
        let (ours, theirs) = (seen.reader(), ledger.reader());
        for id in ["n0", "n99", "n350", "n599"].map(task) {
            let record =
                |reader: &Reader| reader.task(&id).unwrap().map(|task| task.record.clone());
            assert_eq!(record(&ours), record(&theirs), "{id} in round {round}");
        }
        let mut events = 0;
        let last = ours.head().seq().unwrap();
        ours.scan(Seq::FIRST, last, |_| {
            events += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(ours.head().size, events);
    }
    assert_eq!(seen.reader().state().unwrap(), ledger.reader().state().unwrap());
}
