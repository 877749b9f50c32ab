//! The ledger: every state action is an event, acknowledged when it is durable.
//!
//! Knows nothing of running tasks, peers or users. Start reading at [`Ledger`]. An append goes
//! through `desk` (turns at the writer), `writer` (group commit), `core` (pure steps) and
//! `state::decide`.

pub(crate) mod care;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod directory;
mod error;
mod options;
pub(crate) mod read;
mod role;
mod spool;
mod take_over;

pub(crate) use self::read::{reader::Current, scoped::Wanted};
pub use self::{
    care::salvage::Readable,
    commit::seats::Seat,
    copy::{
        backup::{BackupDamage, BackupInfo, verify_backup},
        fork::CopyError,
        rejoin::{Divergent, History, RejoinError, Rejoined, Told, Unanswered},
        tail::{Tail, tail_key},
    },
    read::{
        cursor::Cursor,
        follow::{Follow, Followed},
        reader::Reader,
        texts::Withheld,
        visited::Visited,
    },
};
pub use self::{
    directory::divergent_beside,
    error::{
        AppendError, Damage, Discontinuity, Fork, OpenError, PromiseError, PurgeError, ReadError,
        TakeOverError, Unit,
    },
    options::{Durability, Options},
    role::Role,
    spool::{OUTPUT_BYTES_MAX, OutputWriter, Spool, SpoolError, TaskOutput},
    take_over::{NodeStatus, ORPHANED_AT_TAKE_OVER},
};
pub use crate::store::{Rebuilt, Shortfall};
pub(crate) use commit::witness::{Door, FenceWitness, Witness};

use crate::{
    command::{Batch, Redact},
    event::{Origin, PartSet},
    ids::{Head, LedgerId, NodeId, Seq, Size, TaskId},
    ledger::{
        commit::{
            core::Core,
            desk::Desk,
            request::{Alone, Append, Request},
            seats::Seats,
            shared::Shared,
            writer::Writer,
        },
        copy::origin::OriginNote,
        read::look::LookLog,
    },
    metrics,
    store::{self, Home, MemStore, Opened},
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
#[non_exhaustive]
pub struct Receipt {
    /// The event that records it.
    pub seq: Seq,
    /// The task that it is about; for a spawn without an id, the id that was assigned.
    pub task: Option<TaskId>,
    /// True if the event was there already, by the proposal's key.
    pub repeated: bool,
    /// True if the event survives loss of power. Always true, unless the ledger was opened with
    /// [`Durability::Interval`].
    pub durable: bool,
}

impl Receipt {
    /// The receipt of a batch of one proposal.
    pub(crate) fn only(receipts: Vec<Self>) -> Self {
        let [receipt] = <[Self; 1]>::try_from(receipts)
            .unwrap_or_else(|other| unreachable!("one proposal has {} receipts", other.len()));
        receipt
    }
}

/// An event-sourced task ledger in a directory. Cheap to clone; one process at a time.
///
/// ```
/// use taskledger::{Ledger, Options, ids::ThreadId};
/// use taskledger::command::{Finish, Spawn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// let spawned = ledger.append_blocking(Spawn::new(ThreadId::new("thread-1")?, "sub_agent"))?;
/// let task = spawned[0].task.clone().ok_or("a spawn has a task")?;
/// ledger.append_blocking(Finish::completed(&task).result(r#"{"pages":3}"#))?;
/// assert!(ledger.reader().task(&task)?.is_some_and(|task| task.status.is_terminal()));
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
    desk: Arc<Desk>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shortfall: Option<Shortfall>,
    /// The files, if they are only read.
    look: Option<Arc<LookLog>>,
    refreshing: Mutex<()>,
    /// The files beside the store, if it has a directory.
    spool: Option<Spool>,
    taking_in: Mutex<()>,
    /// The point at which the history parted from its ledger's, if it did.
    parted: Option<Head>,
    seats: Arc<std::sync::Mutex<Seats>>,
}

impl Ledger {
    /// Makes a ledger in memory: the same code, but nothing survives the process.
    ///
    /// # Errors
    /// None from a fresh memory store; the type is that of the other constructors.
    pub fn in_memory(options: Options) -> Result<Self, OpenError> {
        Self::create_in(&MemStore::new(), options)
    }

    /// Creates a ledger in any [`Home`], for another engine. Blocks.
    ///
    /// # Durability
    /// When it returns, the empty ledger survives as the home promises.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        // A ledger that cannot be started is not to be made.
        options.check()?;
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

    /// Checks that a copy is finished: an unfinished copy is no ledger, even if its events are
    /// sound.
    fn check_whole_copy(&self, origin: Origin) -> Result<(), OpenError> {
        let (reader, expected) = (self.reader(), origin.at.map_or(0, Seq::get));
        let found = reader.head().size;
        if found < expected {
            return Err(OpenError::LostTail { expected, found: found.get() });
        }
        let root = reader.root_at(Size::new(expected))?;
        if root != origin.root {
            return Err(OpenError::Tampered { at: expected, expected: origin.root, found: root });
        }
        Ok(())
    }

    /// Makes a ledger over an open log, for tests with a log that fails or waits.
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
        Self::over(Opened { log, snapshots, node }, options)
    }

    /// Makes a ledger over an open store, for tests with a store that fails or waits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(feature = "test-util")]
    pub fn over(opened: Opened, options: Options) -> Result<Self, OpenError> {
        Self::start(opened, options)
    }

    fn start(opened: Opened, options: Options) -> Result<Self, OpenError> {
        Self::start_as(Role::of(&opened.node.identity()), opened, options)
    }

    fn start_as(role: Role, opened: Opened, options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let ledger = opened.node.identity().ledger;
        let (core, shared) = care::open::load(opened, &options)?;
        Self::run(role, ledger, (core, shared), options, None)
    }

    /// Starts the threads of a loaded ledger.
    fn run(
        role: Role,
        ledger: LedgerId,
        (core, shared): (Core, Arc<Shared>),
        options: Options,
        look: Option<Arc<LookLog>>,
    ) -> Result<Self, OpenError> {
        metrics::describe();
        shared.set_incarnation(match role {
            Role::ReadOnly => core.state().incarnation(),
            Role::Primary | Role::Standby | Role::Copying | Role::Fenced { .. } => {
                core.incarnation()
            }
        });
        let mut writer = Writer::new(core, Arc::clone(&shared), options.clone());
        if role == Role::Primary {
            writer.resume()?;
        }
        let desk = Arc::new(Desk::new(writer, Arc::clone(&shared), role));
        let inner = Inner {
            reader: Reader::new(shared, ledger, options.reads_at_once_max),
            options,
            desk: Arc::clone(&desk),
            threads: Mutex::default(),
            shortfall: None,
            look,
            refreshing: Mutex::default(),
            spool: None,
            taking_in: Mutex::default(),
            parted: None,
            seats: Arc::default(),
        };
        let started = Self { inner: Arc::new(inner) };
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

    /// Records the proposals of a batch, all or none, and waits until they are acknowledged.
    ///
    /// Returns one receipt for each, in the same order.
    ///
    /// # Durability
    /// With [`Durability::Synced`], `Ok` means that the events survive loss of power. An error
    /// other than [`AppendError::OutcomeUnknown`] means that nothing was written.
    ///
    /// # Errors
    /// - [`AppendError::Rejected`] if a rule forbids one of them.
    /// - [`AppendError::Conflict`], [`AppendError::KeyReused`]: another caller was first.
    /// - [`AppendError::TooLarge`]: it can never be recorded.
    /// - [`AppendError::Unreadable`] if an event that it depends on is damaged.
    /// - [`AppendError::Busy`], [`AppendError::SealingBehind`], [`AppendError::DiskFull`],
    ///   [`AppendError::StorageUnavailable`]: try again later.
    /// - [`AppendError::SealingStopped`]: open the ledger again.
    /// - [`AppendError::OutcomeUnknown`], then [`AppendError::Halted`], after a storage failure.
    /// - [`AppendError::NotPrimary`], [`AppendError::Fenced`] if its [role](Self::role) takes none.
    ///
    /// # Cancel safety
    /// Not cancel safe: if it is dropped after its first poll, the events may still be written. If
    /// it is kept and not polled again, they may wait.
    ///
    /// # Cost
    /// O(bytes), and a share of one sync for all appends that wait. With [`Durability::Interval`]
    /// the calling thread may decide and write, its own events and those of other waiting callers,
    /// some ten microseconds each; it never waits for a device. It lets other tasks run first,
    /// once, so that appends that are in progress together become one commit.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::{Finish, Proposal, Spawn}, ids::{Key, ThreadId}};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// // With a key it may be asked again, when the answer did not arrive.
    /// let spawn = Proposal::new(Spawn::new(ThreadId::new("t")?, "agent")).key(Key::of("run 7, step 1"));
    /// let first = ledger.append(spawn.clone()).await?.remove(0);
    /// let again = ledger.append(spawn).await?.remove(0);
    /// assert_eq!((again.repeated, again.seq), (true, first.seq));
    /// let task = first.task.ok_or("a spawn has a task")?;
    /// ledger.append(Finish::completed(task).result("[]")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append(&self, batch: impl Into<Batch>) -> Result<Vec<Receipt>, AppendError> {
        self.append_before(batch, None).await
    }

    /// Like [`append`](Self::append), with a witness.
    pub(crate) async fn append_before(
        &self,
        batch: impl Into<Batch>,
        witness: Option<Arc<dyn Witness>>,
    ) -> Result<Vec<Receipt>, AppendError> {
        let (append, answer) = Append::new(batch.into(), witness);
        let sent = match self.desk() {
            Ok(desk) => desk.append_later(append).await,
            Err(error) => Err(error),
        };
        sent.inspect_err(count_refused)?;
        answer.wait().await
    }

    /// The door for appends of a [`Witness`].
    pub(crate) fn door(&self) -> Door {
        Door::new(Arc::clone(&self.inner.desk))
    }

    /// Like [`append`](Self::append), for callers outside of async code. Writes and syncs on the
    /// calling thread if no other thread is at work.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, ledger::AppendError, state::Rejection};
    /// use taskledger::{command::Finish, ids::TaskId};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let refused = ledger.append_blocking(Finish::completed(TaskId::new("nobody")?));
    /// assert!(matches!(refused, Err(AppendError::Rejected(Rejection::UnknownTask { .. }))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_blocking(&self, batch: impl Into<Batch>) -> Result<Vec<Receipt>, AppendError> {
        let (append, answer) = Append::new(batch.into(), None);
        let sent = self.desk().and_then(|desk| desk.append(append));
        sent.inspect_err(count_refused)?;
        answer.wait_blocking()
    }

    /// Erases texts of event `seq` from every view, for ever. Their bytes stay in the files until
    /// [`purge_blocking`](Self::purge_blocking). Proofs stay valid.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId};
    /// use taskledger::event::{PartKind, PartSet};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let spawn = Spawn::new(ThreadId::new("t")?, "agent").description("the password is swordfish");
    /// let seq = ledger.append_blocking(spawn)?[0].seq;
    /// let root = ledger.reader().root_at(seq.size())?;
    /// ledger.redact_blocking(seq, PartSet::ALL, "a credential")?;
    /// assert_eq!(ledger.reader().entry(seq)?.text(PartKind::Description), None);
    /// ledger.purge_blocking()?; // now its bytes are gone as well
    /// assert_eq!(ledger.reader().root_at(seq.size())?, root, "every proof still holds");
    /// # Ok(())
    /// # }
    /// ```
    pub fn redact_blocking(
        &self,
        seq: Seq,
        parts: PartSet,
        reason: &str,
    ) -> Result<Receipt, AppendError> {
        let receipts = self.append_blocking(Redact::new(seq, parts, reason))?;
        Ok(Receipt::only(receipts))
    }

    /// Rewrites every file of the ledger without the texts that are redacted. Backups keep them.
    ///
    /// Batches of the [spool](Spool) are taken in before, and outputs of tasks that do not run are removed
    /// from it. Appends wait meanwhile. If it is stopped half way, repeat it.
    ///
    /// # Errors
    /// [`store::Error`]; files that were not reached still hold the texts.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Cost
    /// O(bytes of the ledger).
    pub fn purge_blocking(&self) -> Result<(), PurgeError> {
        self.take_in_blocking()?;
        let (reply, answer) = oneshot::channel();
        self.inner.desk.ask(Role::check_purge, Request::Alone(Alone::Purge(reply)))?;
        wait_for(answer).unwrap_or(Err(PurgeError::Halted))?;
        Ok(self.purge_spool()?)
    }

    /// Makes every acknowledged event durable, with any [`Durability`].
    ///
    /// # Errors
    /// [`AppendError::Busy`] if [`Options::queue_jobs_max`] requests wait;
    /// [`AppendError::OutcomeUnknown`], then [`AppendError::Halted`], after a storage failure.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn sync_blocking(&self) -> Result<Head, AppendError> {
        let (sync, answer) = Request::sync();
        self.inner.desk.ask(|_| Ok::<_, AppendError>(()), sync)?;
        answer.wait_blocking()
    }

    /// Makes all events durable, saves a snapshot and moves all events into the sealed store.
    ///
    /// # Errors
    /// [`store::Error`]; appends go on, unless the sync failed, which halts the ledger.
    pub fn flush_blocking(&self) -> Result<(), store::Error> {
        let shared = self.inner.reader.shared();
        shared.take_snapshot(&shared.hold_snapshots())?;
        shared.log.flush()
    }

    /// A reader of this ledger. Cheap.
    pub fn reader(&self) -> Reader {
        self.inner.reader.clone()
    }

    /// Follows the events after `after`, then new ones; [`Head::EMPTY`] for all. From another head
    /// it reads O(log size) events first: async code calls [`Reader::follow`] within
    /// [`Reader::run`].
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::{Head, ThreadId}, ledger::Followed};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.append(Spawn::new(ThreadId::new("t")?, "agent")).await?;
    /// let mut follow = ledger.follow(Head::EMPTY)?;
    /// while let Some(Followed::Event(entry)) = follow.next().await? {
    ///     println!("{}: {}", entry.event.seq, entry.event.action.as_str());
    /// }
    /// let seen = follow.resume_token()?; // a later follower continues here
    /// assert!(ledger.follow(seen).is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, after: Head) -> Result<Follow, ReadError> {
        self.inner.reader.follow(after)
    }

    /// The number of this writer among all writers of this log.
    pub fn incarnation(&self) -> u64 {
        self.inner.reader.shared().incarnation()
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Returns true once it takes no appends any more, whatever its role: a storage failure has halted
    /// it, or it is closed. O(1).
    pub fn is_halted(&self) -> bool {
        self.inner.reader.shared().is_halted()
    }

    /// Syncs, seals and closes every file. Appends on clones are refused afterwards.
    ///
    /// Dropping the last clone does the same, but cannot return an error.
    ///
    /// # Errors
    /// [`store::Error`] if the last sync or flush failed; it is closed even then.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Batch, ledger::AppendError};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.close_blocking()?;
    /// assert!(matches!(ledger.append_blocking(Batch::new()), Err(AppendError::Halted)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn close_blocking(&self) -> Result<(), store::Error> {
        let closed = self.inner.desk.close().map(|answer| wait_for(answer).unwrap_or(DIED));
        self.inner.stop();
        closed.unwrap_or(Ok(())) // it was closed before
    }

    /// Like [`close_blocking`](Self::close_blocking), for async code on any runtime or none.
    pub(crate) async fn close(&self) -> Result<(), store::Error> {
        let closed = match self.inner.desk.close() {
            Some(answer) => answer.await.unwrap_or(DIED),
            None => Ok(()),
        };
        // After the last answer there is no work left: its threads end at once.
        self.inner.stop();
        closed
    }

    /// The desk, unless the ledger is halted.
    fn desk(&self) -> Result<&Desk, AppendError> {
        if self.is_halted() { Err(AppendError::Halted) } else { Ok(&self.inner.desk) }
    }
}

/// The identity of a new ledger.
pub(crate) fn new_identity(options: &Options) -> store::Identity {
    let ledger = LedgerId(options.entropy.bytes16());
    store::Identity::new(ledger, NodeId(options.entropy.bytes16()))
}

fn count_refused(refusal: &AppendError) {
    metrics::count_as(metrics::APPENDS_REFUSED, "reason", refusal.reason());
}

/// The writer died before it could close the ledger.
const DIED: Result<(), store::Error> = Err(store::Error::Halted);

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the threads have ended, also if another caller has begun to wait for them.
    fn stop(&self) {
        self.desk.drain();
        let mut threads = self.threads();
        // One of them may have held the last handle for a moment: both end without being waited
        // for.
        let here = thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == here) {
            threads.clear();
        }
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
