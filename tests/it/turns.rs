//! Whose thread decides, writes and syncs, and what goes on meanwhile.
//!
//! A store that stands still where the test says, and a clock that notes who asks it: it is asked
//! once for each append that is decided. Nothing here depends on time.

use crate::support::*;
use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Context, Poll, Waker},
    thread::scope,
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    command::{Command, Proposal, Spawn},
    ids::{Head, LedgerId, Seq},
    ledger::{AppendError, Durability, Receipt},
    store::{Error, FrameLog, Group, MemStore, Rewrite},
    time::{Clock, Millis},
};

/// Longer than any of these tests takes.
const INTERVAL: Durability = Durability::Interval(Duration::from_hours(1));

/// Notes the thread of each append that is decided.
#[derive(Debug)]
struct Witness {
    decided: SyncSender<String>,
    panics: bool,
}

impl Clock for Witness {
    fn now(&self) -> Millis {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        // Nobody may be left to hear it.
        let _ = self.decided.send(name);
        assert!(!self.panics, "a clock that panics");
        START
    }
}

/// A store in memory whose syncs wait until they are told how to end.
struct Gate {
    store: MemStore,
    /// Called before each read.
    reads: Box<dyn Fn() + Send + Sync>,
    commits: SyncSender<usize>,
    syncing: SyncSender<()>,
    answers: Mutex<Receiver<bool>>,
}

/// What the test holds of a [`Gate`].
struct Keeper {
    /// Events in each commit.
    commits: Receiver<usize>,
    syncing: Receiver<()>,
    answers: SyncSender<bool>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

fn gate(reads: impl Fn() + Send + Sync + 'static) -> (Arc<Gate>, Keeper) {
    let (commits, committed) = sync_channel(100);
    let (syncing, is_syncing) = sync_channel(100);
    let (answers, answered) = sync_channel(100);
    let (store, reads, answers_of) = (MemStore::new(), Box::new(reads), Mutex::new(answered));
    let gate = Gate { store, reads, commits, syncing, answers: answers_of };
    (Arc::new(gate), Keeper { commits: committed, syncing: is_syncing, answers })
}

impl FrameLog for Gate {
    fn written(&self) -> Head {
        self.store.written()
    }
    fn synced(&self) -> Head {
        self.store.synced()
    }
    fn append(&self, group: Group<'_>) -> Result<(), Error> {
        let _ = self.commits.send(group.frames.len());
        self.store.append(group)
    }
    fn append_may_wait(&self) -> bool {
        self.store.append_may_wait()
    }
    fn sync(&self) -> Result<Head, Error> {
        let _ = self.syncing.send(());
        // A test that has ended lets everything pass.
        if self.answers.lock().unwrap().recv().unwrap_or(true) {
            return self.store.sync();
        }
        Err(Error::Io { during: "sync", path: None, source: std::io::Error::other("no") })
    }
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        (self.reads)();
        self.store.read(from, bytes_max)
    }
    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        self.store.tree_hash(index)
    }
    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.store.erase(upto, rewrite)
    }
    fn erased_upto(&self) -> Option<Seq> {
        self.store.erased_upto()
    }
    fn reserved(&self) -> u64 {
        self.store.reserved()
    }
    fn reserve(&self, number: u64) -> Result<(), Error> {
        self.store.reserve(number)
    }
    fn close(&self) -> Result<(), Error> {
        self.store.close()
    }
}

fn witnessed(durability: Durability) -> (Options, Receiver<String>) {
    let (decided, threads) = sync_channel(100);
    let clock = Arc::new(Witness { decided, panics: false });
    (options().durability(durability).clock(clock), threads)
}

/// A ledger whose store calls `reads` before each read.
pub(crate) fn watched(options: Options, reads: impl Fn() + Send + Sync + 'static) -> Ledger {
    let (gate, keeper) = gate(reads);
    drop(keeper.answers); // each sync passes
    let snapshots = Arc::new(MemStore::new());
    Ledger::over_store(gate, snapshots, LedgerId([9; 16]), options).unwrap()
}

fn behind_a_gate(durability: Durability) -> (Ledger, Keeper, Receiver<String>) {
    let (gate, keeper) = gate(|| {});
    let (options, decided) = witnessed(durability);
    let snapshots = Arc::new(MemStore::new());
    let ledger = Ledger::over_store(gate, snapshots, LedgerId([9; 16]), options).unwrap();
    (ledger, keeper, decided)
}

fn is_halted(answer: &Result<Vec<Receipt>, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Halted))
}

fn this_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn who_would_only_wait_writes_on_its_own_thread() {
    for durability in [Durability::Synced, INTERVAL] {
        let (options, decided) = witnessed(durability);
        let ledger = Ledger::in_memory(options).unwrap();
        append(&ledger, [spawn("a")]);
        assert_eq!(decided.recv().unwrap(), this_thread(), "{durability:?}");
    }
}

/// What is written where it is asked for unless a thread happens to be awake is so at last.
const TRIES: u32 = 1_000;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_async_caller_writes_where_it_is_only_if_no_device_is_waited_for() {
    let (options, decided) = witnessed(INTERVAL);
    let ledger = Ledger::in_memory(options).unwrap();
    // The threads of a ledger look for work before they sleep, and may find this.
    let here = (0..TRIES).any(|n| {
        let mut append = pin!(ledger.append([spawn(&format!("t{n}"))]));
        let others_first = poll_once(append.as_mut()).is_pending();
        let done = others_first && matches!(poll_once(append), Poll::Ready(Ok(_)));
        decided.recv().unwrap() == this_thread() && done
    });
    assert!(here, "nothing was waited for");

    let (options, decided) = witnessed(Durability::Synced);
    let ledger = Ledger::in_memory(options).unwrap();
    // Ready or not: a thread may have been quick.
    let _ = poll_once(pin!(ledger.append([spawn("a")])));
    assert_eq!(decided.recv().unwrap(), "taskledger-writer");
}

#[test]
fn async_appends_that_are_under_way_together_are_one_commit() {
    let (ledger, keeper, decided) = behind_a_gate(INTERVAL);
    drop(decided);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let together = (0..TRIES).any(|round| {
        runtime.block_on(async {
            let appends = (0..20).map(|n| {
                let (ledger, id) = (ledger.clone(), format!("t{round}-{n}"));
                tokio::spawn(async move { ledger.append([spawn(&id)]).await.unwrap() })
            });
            for append in appends.collect::<Vec<_>>() {
                append.await.unwrap();
            }
        });
        keeper.commits.try_iter().filter(|events| *events >= 20).count() == 1
    });
    assert!(together, "no 20 of them were ever one commit");
    drop(keeper);
}

#[test]
fn an_append_that_is_dropped_where_others_go_first_is_written_by_a_thread() {
    let (options, decided) = witnessed(INTERVAL);
    let ledger = Ledger::in_memory(options).unwrap();
    {
        let mut append = pin!(ledger.append([spawn("a")]));
        assert!(poll_once(append.as_mut()).is_pending());
    }
    assert_eq!(decided.recv().unwrap(), "taskledger-writer");
}

#[test]
fn who_blocks_does_not_wait_for_an_append_that_is_never_polled_again() {
    let (options, _decided) = witnessed(INTERVAL);
    let ledger = Ledger::in_memory(options).unwrap();
    let mut append = pin!(ledger.append([spawn("a")]));
    assert!(poll_once(append.as_mut()).is_pending());
    assert_eq!(ledger.append_blocking([spawn("b")]).unwrap().len(), 1);
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), 2, "in order");
}

#[tokio::test]
async fn an_async_caller_leaves_it_to_a_thread_to_reserve_numbers() {
    let (options, decided) = witnessed(INTERVAL);
    let ledger = Ledger::in_memory(options).unwrap();
    let unnamed = || Proposal::from(Command::Spawn(Spawn::new(thread("main"), "shell")));
    ledger.append([unnamed()]).await.unwrap();
    assert_eq!(decided.recv().unwrap(), "taskledger-writer", "they are made durable first");
    for _ in 0..TRIES {
        ledger.append([unnamed()]).await.unwrap();
        if decided.recv().unwrap() == this_thread() {
            return;
        }
    }
    panic!("there are enough");
}

#[test]
fn while_one_group_is_synced_the_next_one_is_decided_and_waits_for_the_device() {
    let (ledger, keeper, decided) = behind_a_gate(Durability::Synced);
    scope(|scope| {
        let first = scope.spawn(|| append(&ledger, [spawn("a")]));
        keeper.syncing.recv().unwrap();
        decided.recv().unwrap();
        let others = ["b", "c"].map(|id| {
            let ledger = &ledger;
            scope.spawn(move || append(ledger, [spawn(id)]))
        });
        // If they waited for the sync to be decided, this would never end.
        assert_eq!(decided.recv().unwrap(), "taskledger-writer");
        assert_eq!(decided.recv().unwrap(), "taskledger-writer");
        assert_eq!(ledger.reader().head().size, 0, "nothing is shown before it is durable");
        assert!(keeper.syncing.try_recv().is_err(), "the device is one");
        keeper.answers.send(true).unwrap();
        first.join().unwrap();
        keeper.syncing.recv().unwrap();
        assert_eq!(ledger.reader().state().unwrap().tasks_len(), 1);
        keeper.answers.send(true).unwrap();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(ledger.reader().state().unwrap().tasks_len(), 3, "both were in one group");
    });
    drop(keeper);
}

#[test]
fn what_was_decided_on_top_of_a_group_that_could_not_be_synced_is_not_written() {
    let (ledger, keeper, decided) = behind_a_gate(Durability::Synced);
    scope(|scope| {
        let first = scope.spawn(|| ledger.append_blocking([spawn("a")]));
        keeper.syncing.recv().unwrap();
        decided.recv().unwrap();
        let second = scope.spawn(|| ledger.append_blocking([spawn("b")]));
        decided.recv().unwrap();
        keeper.answers.send(false).unwrap();
        let first = first.join().unwrap();
        assert!(matches!(first, Err(AppendError::OutcomeUnknown { .. })), "{first:?}");
        assert!(is_halted(&second.join().unwrap()));
    });
    assert!(is_halted(&ledger.append_blocking([spawn("c")])));
    assert_eq!(ledger.reader().head().size, 0);
    drop(keeper);
}

#[test]
fn a_known_key_is_answered_only_when_the_event_that_has_it_is_durable() {
    let (ledger, keeper, decided) = behind_a_gate(Durability::Synced);
    scope(|scope| {
        let first = scope.spawn(|| ledger.append_blocking([keyed(spawn("a"), 1)]));
        keeper.syncing.recv().unwrap();
        decided.recv().unwrap();
        let again = scope.spawn(|| ledger.append_blocking([keyed(spawn("a"), 1)]));
        decided.recv().unwrap();
        keeper.answers.send(false).unwrap();
        assert!(matches!(first.join().unwrap(), Err(AppendError::OutcomeUnknown { .. })));
        let again = again.join().unwrap();
        assert!(is_halted(&again), "it may be lost, and is not said to be there: {again:?}");
    });
    drop(keeper);
}

#[test]
fn with_an_interval_appends_go_on_while_the_device_syncs() {
    let (ledger, keeper, _decided) = behind_a_gate(INTERVAL);
    append(&ledger, [spawn("a")]);
    scope(|scope| {
        let sync = scope.spawn(|| ledger.sync_blocking());
        keeper.syncing.recv().unwrap();
        append(&ledger, [spawn("b")]);
        assert_eq!(ledger.reader().state().unwrap().tasks_len(), 2);
        keeper.answers.send(true).unwrap();
        sync.join().unwrap().unwrap();
    });
    drop(keeper);
}

#[test]
fn an_interval_ends_with_a_sync() {
    let (ledger, keeper, _decided) = behind_a_gate(Durability::Interval(Duration::from_millis(1)));
    append(&ledger, [spawn("a")]);
    keeper.syncing.recv().unwrap();
    append(&ledger, [spawn("b")]);
    keeper.answers.send(true).unwrap();
    // What was written meanwhile is for the next one.
    keeper.syncing.recv().unwrap();
    drop(keeper);
}

#[test]
fn a_panic_under_the_writer_halts_the_ledger_and_leaves_nobody_waiting() {
    let (decided, _threads) = sync_channel(100);
    let clock = Arc::new(Witness { decided, panics: true });
    let ledger = Ledger::in_memory(options().clock(clock)).unwrap();
    scope(|scope| {
        let panicked = scope.spawn(|| ledger.append_blocking([spawn("a")])).join();
        assert!(panicked.is_err(), "it was on its caller's thread");
    });
    assert!(is_halted(&ledger.append_blocking([spawn("b")])));
    assert_eq!(ledger.reader().head().size, 0);
    ledger.close_blocking().unwrap();
}
