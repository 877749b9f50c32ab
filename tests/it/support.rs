//! Ledgers that leave nothing behind, a clock that is moved by hand, and short words for commands.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, Once,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use taskledger::{
    Ledger, Options,
    command::{Batch, Finish, Proposal, Spawn},
    event::{Entry, Outcome},
    ids::{Key, Seq, TaskId, ThreadId},
    ledger::AppendError,
    store::MemStore,
    time::{Clock, ManualClock, Millis, SeededEntropy},
};

/// 2023-11-14T22:13:20Z.
pub(crate) const START: Millis = Millis(1_700_000_000_000);

/// A promise that is broken is often one that somebody waits for: after this long, that is a
/// failure.
const TOO_LONG: Duration = Duration::from_mins(10);

/// Ends the process if some test still waits after [`TOO_LONG`].
fn watch_for_tests_that_hang() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        drop(std::thread::spawn(|| {
            let since = Instant::now();
            while since.elapsed() < TOO_LONG {
                std::thread::park_timeout(TOO_LONG);
            }
            eprintln!("a test has waited for {TOO_LONG:?}; it is one that has not ended so far");
            std::process::exit(101);
        }));
    });
}

pub(crate) fn options() -> Options {
    watch_for_tests_that_hang();
    Options {
        clock: Arc::new(ManualClock::at(START)),
        entropy: Arc::new(SeededEntropy::new(7)),
        ..Options::default()
    }
}

pub(crate) fn ledger() -> Ledger {
    Ledger::in_memory(options()).unwrap()
}

/// An empty standby of `primary`, in memory.
pub(crate) fn standby_of(primary: &Ledger) -> Ledger {
    let id = primary.reader().ledger_id();
    Ledger::create_standby_in(&MemStore::new(), id, options()).unwrap()
}

pub(crate) fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

pub(crate) fn thread(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

/// A task on thread `main`.
pub(crate) fn spawn(id: &str) -> Proposal {
    let spawn =
        Spawn::new(thread("main"), "shell").task(task(id)).description(format!("what {id} is for"));
    spawn.into()
}

pub(crate) fn finish(id: &str) -> Proposal {
    finish_with(id, Outcome::Completed, None)
}

pub(crate) fn finish_with(id: &str, outcome: Outcome, error: Option<&str>) -> Proposal {
    let mut finish = Finish::new(task(id), outcome);
    finish.error = error.map(Into::into);
    finish.into()
}

pub(crate) fn keyed(proposal: Proposal, key: u8) -> Proposal {
    proposal.key(Key([key; 16]))
}

pub(crate) fn append(ledger: &Ledger, batch: impl Into<Batch>) -> Vec<Seq> {
    ledger.append_blocking(batch).unwrap().iter().map(|receipt| receipt.seq).collect()
}

#[track_caller]
pub(crate) fn refused(ledger: &Ledger, batch: impl Into<Batch>) -> AppendError {
    let before = ledger.reader().head();
    let error = ledger.append_blocking(batch).expect_err("this append is refused");
    assert_eq!(ledger.reader().head(), before, "a refused append leaves no trace");
    error
}

pub(crate) fn entries(ledger: &Ledger) -> Vec<Entry> {
    let mut all = Vec::new();
    let (reader, last) = (ledger.reader(), ledger.reader().head().seq());
    if let Some(last) = last {
        reader
            .scan(Seq::FIRST, last, |entry| {
                all.push(entry);
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    all
}

/// A clock that lets the writer through once for each turn that it is given. As the writer reads
/// it first of all, it can be held there while its queue fills.
#[derive(Debug)]
pub(crate) struct Gate {
    waits: SyncSender<()>,
    turns: Mutex<Receiver<()>>,
}

impl Gate {
    /// The clock, what tells that the writer waits, and what lets it go on when it is dropped.
    pub(crate) fn new() -> (Arc<Self>, Receiver<()>, SyncSender<()>) {
        let (waits, waiting) = sync_channel(1_000);
        let (open, turns) = sync_channel(0);
        (Arc::new(Self { waits, turns: Mutex::new(turns) }), waiting, open)
    }
}

impl Clock for Gate {
    fn now(&self) -> Millis {
        self.waits.send(()).unwrap();
        // An error says that it stays open from now on.
        let _ = self.turns.lock().unwrap().recv();
        START
    }
}

/// Polls once.
pub(crate) fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
