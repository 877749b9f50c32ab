//! The ledger: every state action an event, acknowledged when it is durable.
//!
//! Knows nothing of running tasks, peers or users. Start reading at [`Ledger`]; the life of an
//! append is `desk` (whose turn it is) around `writer` (group commit) around `core` (pure steps)
//! around `state::decide`.

pub(crate) mod care;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod directory;
mod error;
mod options;
pub(crate) mod read;

pub use self::{
    care::salvage::Shortfall,
    commit::seats::Seat,
    copy::{
        backup::{BackupInfo, verify_backup},
        fork::CopyError,
    },
    read::{
        follow::{Follow, Followed},
        reader::{Current, Cursor, Reader},
    },
};
pub use self::{
    error::{AppendError, OpenError, ReadError},
    options::{Durability, Options},
};
pub use crate::store::Rebuilt;

use crate::{
    command::{Command, Proposal},
    event::{Origin, PartSet},
    ids::{Head, Key, LedgerId, NodeId, Seq, TaskId},
    ledger::{
        commit::{
            desk::Desk,
            request::Request,
            seats::Seats,
            shared::Shared,
            witness::{Answer, Door, Witness},
            writer::Writer,
        },
        copy::origin::OriginNote,
    },
    metrics,
    store::{self, GROUP_BYTES_MAX, Home, MemStore, Opened, Role},
    sync::{
        Mutex, MutexGuard,
        thread::{self, JoinHandle},
        wait_for,
    },
};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// The answer to one proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event that records it.
    pub seq: Seq,
    /// The task that it is about; for a spawn without an id, the id that was assigned.
    pub task: Option<TaskId>,
    /// Whether the event was there already, by the proposal's key.
    pub repeated: bool,
    /// Whether the event survives loss of power by now. Always, unless the ledger was opened with
    /// [`Durability::Interval`].
    pub durable: bool,
}

/// An event-sourced task ledger in a directory. Cheap to clone; one process at a time.
///
/// ```
/// use taskledger::{Ledger, Options, event::Outcome, ids::ThreadId};
/// use taskledger::command::{Command, Finish, Spawn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// let spawn = Spawn::new(ThreadId::new("thread-1")?, "sub_agent");
/// let receipts = ledger.append_blocking([Command::Spawn(spawn).into()])?;
/// let task = receipts[0].task.clone().ok_or("a spawn has a task")?;
///
/// let done = Finish {
///     task: task.clone(),
///     outcome: Outcome::Completed,
///     error: None,
///     result: Some(r#"{"pages":3}"#.into()),
///     completed: None,
/// };
/// ledger.append_blocking([Command::Finish(done).into()])?;
/// assert!(ledger.reader().state().task(&task).is_some_and(|t| t.status.is_terminal()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: Reader,
    options: Options,
    /// `None` in a ledger that takes no appends.
    desk: Option<Arc<Desk>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shortfall: Option<Shortfall>,
    seats: Arc<std::sync::Mutex<Seats>>,
}

impl Ledger {
    /// A ledger in memory: the same code, gone with the process.
    ///
    /// # Errors
    /// None that a fresh memory store gives; the type is that of its siblings.
    pub fn in_memory(options: Options) -> Result<Self, OpenError> {
        Self::create_in(&MemStore::new(), options)
    }

    /// Creates a ledger in any [`Home`]: how another engine is used. Blocks.
    ///
    /// # Durability
    /// When it returns, the empty ledger survives what the home promises.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        let identity = new_identity(&options);
        Self::start(home.create(identity)?, options)
    }

    /// Opens the ledger in `home`; see [`open`](Self::open). Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[allow(clippy::needless_pass_by_value, reason = "as its siblings take them")]
    pub fn open_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        let (ledger, note) = care::mend::open(home, || {
            let opened = home.open()?;
            let note = OriginNote::of_note(&opened.node.identity().note);
            Ok((Self::start(opened, options.clone())?, note))
        })?;
        if let Some(OriginNote::Forked(origin) | OriginNote::RestoredFrom(origin)) = note {
            ledger.check_whole_copy(origin)?;
        }
        Ok(ledger)
    }

    /// Opens the ledger in `home`, or creates it if there is none. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        match Self::open_in(home, options.clone()) {
            Err(OpenError::NotFound { .. }) => Self::create_in(home, options),
            opened => opened,
        }
    }

    /// A copy that was not finished is not a ledger, however sound its events may be.
    fn check_whole_copy(&self, origin: Origin) -> Result<(), OpenError> {
        let (reader, expected) = (self.reader(), origin.at.map_or(0, Seq::get));
        let found = reader.head().size;
        if found < expected {
            return Err(OpenError::LostTail { expected, found });
        }
        let root = reader.root_at(expected)?;
        if root != origin.root {
            return Err(OpenError::Tampered { at: expected, expected: origin.root, found: root });
        }
        Ok(())
    }

    /// A ledger over any open log: how a test brings one that fails, or waits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(feature = "test-util")]
    pub fn over_store(
        log: Arc<dyn store::FrameLog>,
        snapshots: Arc<dyn store::SnapshotStore>,
        ledger: LedgerId,
        options: Options,
    ) -> Result<Self, OpenError> {
        let node = Arc::new(store::FixedNode(store::Identity::new(ledger, NodeId(ledger.0))));
        Self::start(Opened { log, snapshots, node }, options)
    }

    fn start(opened: Opened, mut options: Options) -> Result<Self, OpenError> {
        let identity = opened.node.identity();
        // A batch may join a group that is nearly full: together they must fit the store.
        let room = GROUP_BYTES_MAX - options.group_bytes_max.min(GROUP_BYTES_MAX / 2);
        options.group_bytes_max = options.group_bytes_max.min(GROUP_BYTES_MAX / 2);
        options.batch_bytes_max = options.batch_bytes_max.min(room);
        let (core, shared) = care::open::load(opened, &options)?;
        let incarnation = core.incarnation();
        // A copy in the making takes events from the one that makes it; nobody else ever has one.
        if !identity.may_append() && identity.role != Role::Copying {
            return Ok(Self::of(shared, identity.ledger, options, incarnation, None));
        }
        let writer = Writer::new(core, Arc::clone(&shared), options.clone());
        let desk = Arc::new(Desk::new(writer, Arc::clone(&shared)));
        let started = Self::of(shared, identity.ledger, options, incarnation, Some(&desk));
        for _ in 0..commit::desk::THREADS {
            let desk = Arc::clone(&desk);
            let thread = thread::Builder::new()
                .name("taskledger-writer".to_owned())
                .spawn(move || desk.work())
                .map_err(|source| {
                    let during = "start of a writer thread";
                    OpenError::Io(store::Error::Io { during, path: None, source })
                })?;
            started.inner.threads().push(thread);
        }
        Ok(started)
    }

    /// A handle; without a desk it takes no appends.
    fn of(
        shared: Arc<Shared>,
        ledger: LedgerId,
        options: Options,
        incarnation: u64,
        desk: Option<&Arc<Desk>>,
    ) -> Self {
        shared.set_incarnation(incarnation);
        let inner = Inner {
            reader: Reader::new(shared, ledger),
            options,
            desk: desk.cloned(),
            threads: Mutex::default(),
            shortfall: None,
            seats: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Records `proposals`, all or none, and waits until they are acknowledged.
    ///
    /// Returns one receipt for each, in the same order.
    ///
    /// # Durability
    /// With [`Durability::Synced`], `Ok` means the events survive loss of power. An error other
    /// than [`AppendError::OutcomeUnknown`] means that nothing was written.
    ///
    /// # Errors
    /// - [`AppendError::Rejected`] if a rule forbids one of them.
    /// - [`AppendError::Conflict`], [`AppendError::KeyReused`]: somebody else was first.
    /// - [`AppendError::TooLarge`], [`AppendError::Invalid`]: it can never be recorded.
    /// - [`AppendError::Busy`], [`AppendError::DiskFull`]: try again later.
    /// - [`AppendError::OutcomeUnknown`], then [`AppendError::Halted`], after a storage failure.
    /// - [`AppendError::NotPrimary`] if the ledger takes no appends.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped after its first poll, the events may still be written. Kept without
    /// being polled again, they may not be yet.
    ///
    /// # Cost O(bytes), and a share of one sync for all appends that wait. With
    /// [`Durability::Interval`] the calling thread may decide and write, its own events and those
    /// of others who wait, some ten microseconds each; it never waits for a device. It lets other
    /// tasks go first, once, so that appends that are under way together are one commit.
    pub async fn append(
        &self,
        proposals: impl Into<Vec<Proposal>>,
    ) -> Result<Vec<Receipt>, AppendError> {
        self.append_before(proposals, None).await
    }

    /// [`append`](Self::append), before the eyes of a witness.
    pub(crate) async fn append_before(
        &self,
        proposals: impl Into<Vec<Proposal>>,
        witness: Option<Arc<dyn Witness>>,
    ) -> Result<Vec<Receipt>, AppendError> {
        let batch = proposals.into();
        let key = batch.first().and_then(|proposal| proposal.key);
        let (reply, answer) = oneshot::channel();
        let reply = Answer::new(reply, witness);
        let sent = match self.desk() {
            Ok(desk) => desk.append_later(Request::Append { batch, reply }).await,
            Err(error) => Err(error),
        };
        sent.inspect_err(count_refused)?;
        answer.await.unwrap_or(UNKNOWN).map_err(|error| name_key(error, key))
    }

    /// Where a [`Witness`] hands in more; `None` if no appends are taken.
    pub(crate) fn door(&self) -> Option<Door> {
        self.inner.desk.clone().map(Door::new)
    }

    /// [`append`](Self::append) for callers outside of async code. Writes and syncs on the calling
    /// thread if nobody else is at work.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn append_blocking(
        &self,
        proposals: impl Into<Vec<Proposal>>,
    ) -> Result<Vec<Receipt>, AppendError> {
        let batch = proposals.into();
        let key = batch.first().and_then(|proposal| proposal.key);
        let (reply, answer) = oneshot::channel();
        let reply = Answer::new(reply, None);
        let sent = self.desk().and_then(|desk| desk.append(Request::Append { batch, reply }));
        sent.inspect_err(count_refused)?;
        wait_for(answer).unwrap_or(UNKNOWN).map_err(|error| name_key(error, key))
    }

    /// Writes frames of another ledger behind the last event, byte for byte.
    ///
    /// They must continue this log: numbers, links, epochs and times are checked before anything
    /// is written, and so is `expect`, the head that they must lead to.
    ///
    /// # Durability
    /// `Ok` means that they survive loss of power, whatever [`Durability`] is set.
    ///
    /// # Errors
    /// [`AppendError::NotContinuation`] if they do not fit; otherwise as [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn ingest_blocking(
        &self,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Ingest { frames, expect, reply })?;
        wait_for(answer).unwrap_or(Err(AppendError::OutcomeUnknown { key: None }))
    }

    /// Erases texts of event `seq` from every view, for ever. Their bytes stay in the files until
    /// [`purge_blocking`](Self::purge_blocking); proofs hold before and after.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn redact_blocking(
        &self,
        seq: Seq,
        parts: PartSet,
        reason: &str,
    ) -> Result<Receipt, AppendError> {
        let command = Command::Redact { seq, about: (None, None), parts, reason: reason.into() };
        let receipts = self.append_blocking([Proposal::new(command)])?;
        receipts.into_iter().next().ok_or(AppendError::Halted)
    }

    /// Rewrites every file of the ledger without the texts that are redacted. Backups keep them.
    ///
    /// Appends wait meanwhile. Stopped half way, it is to be repeated.
    ///
    /// # Errors
    /// [`store::Error`]; what was not reached still holds the texts.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Cost
    /// O(bytes of the ledger).
    pub fn purge_blocking(&self) -> Result<(), store::Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Erase { reply }).map_err(|_| store::Error::Halted)?;
        wait_for(answer).unwrap_or(Err(store::Error::Halted))
    }

    /// Makes every acknowledged event durable, whatever [`Durability`] is set.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn sync_blocking(&self) -> Result<Head, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Sync { reply })?;
        wait_for(answer).unwrap_or(Err(AppendError::Halted))
    }

    /// Makes everything durable, saves a snapshot and moves all of it into the sealed store.
    ///
    /// # Errors
    /// [`store::Error`]; appends go on, unless it is the sync that failed: that halts the ledger.
    pub fn flush_blocking(&self) -> Result<(), store::Error> {
        let shared = self.inner.reader.shared();
        shared.take_snapshot(&shared.hold_snapshots())?;
        shared.log.flush()
    }

    /// Reads of this ledger. Cheap.
    pub fn reader(&self) -> Reader {
        self.inner.reader.clone()
    }

    /// The events behind `after`, then what comes; [`Head::EMPTY`] for all.
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history.
    pub fn follow(&self, after: Head) -> Result<Follow, ReadError> {
        Follow::new(self.reader(), after)
    }

    /// The number of this writer among all that wrote this log.
    pub fn incarnation(&self) -> u64 {
        self.inner.reader.shared().incarnation()
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Syncs, seals and lets go of every file. Appends on clones are refused afterwards.
    ///
    /// Dropping the last clone does the same, but cannot say what went wrong.
    ///
    /// # Errors
    /// [`store::Error`] if the last sync or flush failed; it is closed all the same.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn close_blocking(&self) -> Result<(), store::Error> {
        let closed = self.ask_to_close().map(|answer| wait_for(answer).unwrap_or(DIED));
        self.inner.stop();
        closed.unwrap_or(Ok(())) // it was closed before
    }

    /// [`close_blocking`](Self::close_blocking) for async code, on whatever runtime or none.
    pub(crate) async fn close(&self) -> Result<(), store::Error> {
        let closed = match self.ask_to_close() {
            Some(answer) => answer.await.unwrap_or(DIED),
            None => Ok(()),
        };
        // Whoever was answered last has nothing left to do: its threads end at once.
        self.inner.stop();
        closed
    }

    /// Queues the end; `None` if that has come already.
    fn ask_to_close(&self) -> Option<oneshot::Receiver<Result<(), store::Error>>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Close { reply }).ok().map(|()| answer)
    }

    /// Where appends are handed in, if any are taken.
    fn desk(&self) -> Result<&Desk, AppendError> {
        let desk = self.inner.desk.as_ref().ok_or(AppendError::NotPrimary)?;
        if self.inner.reader.shared().is_halted() { Err(AppendError::Halted) } else { Ok(desk) }
    }

    /// Has something done that is no append, behind all that waits.
    fn ask(&self, request: Request) -> Result<(), AppendError> {
        self.inner.desk.as_ref().ok_or(AppendError::NotPrimary)?.ask(request)
    }
}

/// Who a new ledger is.
pub(crate) fn new_identity(options: &Options) -> store::Identity {
    let ledger = LedgerId(options.entropy.bytes16());
    store::Identity::new(ledger, NodeId(options.entropy.bytes16()))
}

fn count_refused(refusal: &AppendError) {
    metrics::count_as(metrics::APPENDS_REFUSED, "reason", refusal.reason());
}

/// The writer died with the request in its hands.
const UNKNOWN: Result<Vec<Receipt>, AppendError> = Err(AppendError::OutcomeUnknown { key: None });

/// The writer died before it could close the ledger.
const DIED: Result<(), store::Error> = Err(store::Error::Halted);

/// An unknown outcome names the key with which the append can be repeated.
fn name_key(error: AppendError, key: Option<Key>) -> AppendError {
    let unknown = matches!(error, AppendError::OutcomeUnknown { .. });
    if unknown { AppendError::OutcomeUnknown { key } } else { error }
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        if let Some(desk) = &self.desk {
            desk.drain();
        }
        let threads = std::mem::take(&mut *self.threads());
        // One of them may have held the last handle for a moment: both end without being waited for.
        let here = thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == here) {
            return;
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
