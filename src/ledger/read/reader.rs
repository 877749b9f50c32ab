//! Reads of a ledger, at its head and in its past.
//!
//! Every read of the past goes through [`Reader::entry`], [`Reader::scan`] or a [`Cursor`], which
//! leave out the texts that have been redacted. Reads block on the disk: async code
//! calls them within [`Reader::run`]. Reads of the current state do not block.

use super::{
    cursor::Cursor,
    follow::Follow,
    hashes::LogHashes,
    pool::Pool,
    replay, saved,
    scoped::Wanted,
    texts::{Withheld, checked, withholding},
};
use crate::{
    event::{Entry, Part, PartSet},
    ids::{Head, LedgerId, NodeId, Root, Seq, Size, TaskId, ThreadId},
    ledger::{
        ReadError, Visited,
        commit::{shared::Shared, staging::Published},
    },
    proof::{self, Checkpoint, Tree},
    state::{LedgerState, Task, Thread},
    store,
};
use std::{
    ops::{ControlFlow, Deref},
    sync::Arc,
};

/// A read-only view of a ledger. Cheap to clone; outlives the ledger's handle.
///
/// The current state is in memory, except in a ledger that is
/// [only read](crate::Ledger::open_read_only): there it is read on demand. Every method that reads
/// events, roots or an earlier state may block on the disk, and so may every one of such a ledger: in
/// async code, call it by [`run`](Self::run).
///
/// # Example
/// ```
/// use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// let receipts = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
/// let reader = ledger.reader();
/// assert_eq!(reader.head().size, receipts[0].seq.get());
/// let entry = reader.entry(receipts[0].seq)?; // the event and the texts beside it
/// assert_eq!(entry.event.task, receipts[0].task);
/// assert_eq!(reader.state()?.tasks_len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    ledger: LedgerId,
    reads: Arc<Pool>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, ledger: LedgerId, reads_at_once_max: usize) -> Self {
        Self { shared, ledger, reads: Arc::new(Pool::new(reads_at_once_max)) }
    }

    /// The id of the ledger that is read.
    pub fn ledger_id(&self) -> LedgerId {
        self.ledger
    }

    /// The id of the copy that is read: each directory has its own. `None` if the file that says it cannot
    /// be read.
    pub fn node_id(&self) -> Option<NodeId> {
        // All zeros where the file could not be read.
        Some(self.shared.node.identity().node).filter(|node| node.0 != [0; 16])
    }

    /// The current state of everything. The value never changes.
    ///
    /// # Errors
    /// None from a ledger that is open to append. One that is only read loads the map first and
    /// answers [`ReadError`] if it cannot; to ask for [one task](Self::task) or
    /// [one thread](Self::thread) never needs all of it.
    ///
    /// # Cost
    /// O(1); in a ledger that is only read, the first call loads a snapshot and folds the events since.
    pub fn state(&self) -> Result<LedgerState, ReadError> {
        let now = self.shared.published();
        now.scoped.as_ref().map_or_else(|| Ok(now.state.clone()), |scoped| scoped.whole())
    }

    /// A state that is complete for what is wanted, at least.
    pub(crate) fn state_of(&self, wanted: Wanted<'_>) -> Result<LedgerState, ReadError> {
        let now = self.shared.published();
        let scoped = now.scoped.as_ref();
        scoped.map_or_else(|| Ok(now.state.clone()), |scoped| scoped.state_of(wanted))
    }

    /// The current state of one task; `None` if there is none. O(1); in a ledger that is only read, a
    /// search in its snapshot.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, ReadError> {
        Ok(self.state_of(Wanted::Task(id))?.task(id).map(Arc::clone))
    }

    /// The current state of one thread; `None` if there is none. O(1); in a ledger that is only read,
    /// O(its tasks).
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn thread(&self, id: &ThreadId) -> Result<Option<Arc<Thread>>, ReadError> {
        Ok(self.state_of(Wanted::Thread(id))?.thread(id).map(Arc::clone))
    }

    /// Says which texts of event `seq` are redacted by now. O(log redactions).
    ///
    /// # Errors
    /// As [`state`](Self::state).
    #[allow(clippy::unnecessary_wraps, reason = "a reader of files can fail")]
    pub fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError> {
        Ok(self.shared.redacted(seq))
    }

    /// The state that is at hand in this process, for one look: without a copy of its own. In a ledger
    /// that is only read it has neither threads nor tasks; what is redacted is in every one.
    pub(crate) fn current(&self) -> Current {
        Current(self.shared.published())
    }

    /// The last acknowledged event and the root there. O(log size).
    pub fn head(&self) -> Head {
        self.shared.head()
    }

    /// The log up to the last event that survives loss of power. Behind [`head`](Self::head) only
    /// under [`Durability::Interval`](crate::Durability::Interval).
    pub fn synced(&self) -> Head {
        self.shared.log.synced()
    }

    /// The event up to which erased texts are gone from every file; see
    /// [`Ledger::purge_blocking`](crate::Ledger::purge_blocking).
    pub fn erased_upto(&self) -> Option<Seq> {
        self.shared.log.erased_upto()
    }

    /// Reads one event, without its redacted texts. About 50 us if it is not cached.
    ///
    /// # Errors
    /// - [`ReadError::NoSuchEvent`] past the head.
    /// - [`ReadError::Damaged`] if the stored bytes were changed. A text whose bytes were changed
    ///   is named, and can be redacted: then the event is read without it.
    /// - [`ReadError::Store`] if they could not be read.
    pub fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        self.cursor().entry(seq)
    }

    /// Makes a cursor, which reads single events near each other without reading a block twice.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self)
    }

    /// The texts that were withheld so far by folds and by questions about the past, since they
    /// are not what was recorded. `audit::verify` finds all that there are.
    pub fn withheld(&self) -> Withheld {
        self.shared.withheld.clone()
    }

    /// Visits the events `from` to `to`, both included, in order, until `visit` says to stop.
    /// O(bytes).
    ///
    /// # Errors
    /// As [`entry`](Self::entry), and those of `visit`; see [`Visited`]. An end past the head is no
    /// error: the scan ends there.
    ///
    /// # Example
    /// ```
    /// use std::ops::ControlFlow;
    /// use taskledger::{Ledger, Options, command::Spawn, ids::{Seq, ThreadId}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.append_blocking(vec![Spawn::new(ThreadId::new("t")?, "agent"); 3])?;
    /// let mut seen = 0;
    /// let reader = ledger.reader();
    /// let last = reader.head().seq().ok_or("there are events")?;
    /// reader.scan(Seq::FIRST, last, |entry| {
    ///     seen += u64::from(entry.event.task.is_some());
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(seen, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan<V: Visited<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        mut visit: impl FnMut(Entry) -> V,
    ) -> Result<(), V::Error> {
        let state = self.current();
        self.scan_frames(from, to, |seq, frame| {
            visit(checked(seq, &frame, state.redacted(seq))?).flow()
        })
    }

    /// Like [`scan`](Self::scan), but leaves out a text that is not what was recorded. Looks only at
    /// those that are `asked` for.
    pub(crate) fn scan_withholding<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        asked: fn(&Part) -> bool,
        mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let (state, withheld) = (self.current(), &self.shared.withheld);
        self.scan_frames(from, to, |seq, frame| {
            visit(withholding(seq, &frame, (state.redacted(seq), asked), withheld)?)
        })
    }

    /// Reads stored frames, byte for byte: those from `from` on that fit `bytes_max`, but at least
    /// one if there is one. Empty past the end.
    ///
    /// Only durable events that are acknowledged: nothing that loss of power could still take back,
    /// also under [`Durability::Interval`](super::super::Durability::Interval). The last frame may
    /// be within a batch, which [`codec::batch_goes_on`](crate::codec::batch_goes_on) tells.
    ///
    /// Frames are as they are stored: a redacted text is in them until a purge. A caller that shows
    /// them or sends them on takes it out, with [`redacted`](Self::redacted) and [`codec::erase`](crate::codec::erase).
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    ///
    /// # Cost
    /// O(bytes), some microseconds each, plus about 50 us for the first block.
    pub fn frames(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, ReadError> {
        let durable = self.shared.durable();
        let Some(left) = durable.checked_sub(from.leaf_index()).filter(|left| *left > 0) else {
            return Ok(Vec::new());
        };
        let mut frames = self.shared.log.read(from, bytes_max)?;
        if frames.is_empty() {
            return Err(ReadError::missing(from));
        }
        frames.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let mut next = Some(from);
        for frame in &frames {
            let Some(seq) = next else { break };
            checked(seq, frame, self.shared.redacted(seq))?;
            next = seq.next();
        }
        Ok(frames)
    }

    /// Runs `read` with this reader on a thread that may block: how async code reads.
    ///
    /// ```
    /// # async fn ask(reader: taskledger::ledger::Reader) -> Result<(), taskledger::ledger::ReadError> {
    /// let head = reader.head();
    /// let root = reader.run(move |reader| reader.root_at(head.size.less(1))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// At most [`Options::reads_at_once_max`] run at once, for all readers and followers of a
    /// ledger together; the next one waits until one of them has ended. The threads are the
    /// ledger's own, so this needs no runtime. A `read` that calls `run` and blocks on it can wait
    /// for ever.
    ///
    /// # Errors
    /// The error of `read`; [`ReadError::Store`] if the system gives no thread.
    ///
    /// # Panics
    /// If `read` panics, with the same payload.
    ///
    /// # Cancel safety
    /// Cancel safe: a read changes nothing. Dropped while it waits, it never runs; dropped later,
    /// it goes on to its end on its thread, and its result is dropped.
    ///
    /// [`Options::reads_at_once_max`]: super::super::Options::reads_at_once_max
    pub async fn run<T, E>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        let reader = self.clone();
        let answer = self.reads.run(move || read(&reader)).await;
        answer.unwrap_or_else(|source| {
            let during = "start of a thread for reads";
            Err(ReadError::Store(store::Error::Io { during, path: None, source }).into())
        })
    }

    /// Follows the log from after `after`, then each event as it becomes durable;
    /// [`Head::EMPTY`] for all. Reads O(log size) events: async code calls it within
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history;
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub fn follow(&self, after: Head) -> Result<Follow, ReadError> {
        Follow::new(self.clone(), after)
    }

    /// Like [`scan`](Self::scan), with the bytes of each frame. Keeps redacted texts.
    pub(crate) fn scan_frames<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Seq, Vec<u8>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let last = to.get().min(self.shared.size().get());
        let missing = |seq| ReadError::missing(seq).into();
        replay::each_frame(&*self.shared.log, (from.leaf_index(), last), missing, visit)
    }

    /// The state after the first `size` events: the nearest snapshot before them, and at most
    /// [`snapshot_distance`](crate::Options::snapshot_distance) events since, if that snapshot was
    /// taken. Texts that are redacted now are erased in it.
    ///
    /// # Errors
    /// As [`entry`](Self::entry); [`ReadError::NoSuchEvent`] if the log is shorter.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::{Finish, Spawn}, event::TaskStatus, ids::ThreadId};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let spawned = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?.remove(0);
    /// let task = spawned.task.ok_or("a spawn has a task")?;
    /// ledger.append_blocking(Finish::completed(&task))?;
    /// let then = ledger.reader().state_at(spawned.seq.size())?;
    /// assert_eq!(then.task(&task).map(|task| task.status), Some(TaskStatus::Running));
    /// # Ok(())
    /// # }
    /// ```
    pub fn state_at(&self, size: Size) -> Result<LedgerState, ReadError> {
        let now = self.current();
        if size == now.size() {
            // Not the state of now, which may have grown since.
            let Published { state, scoped, .. } = &*now.0;
            return scoped.as_ref().map_or_else(|| Ok(state.clone()), |scoped| scoped.whole());
        }
        self.check_size(size)?;
        let snapshots = &*self.shared.snapshots;
        let (saved, last) = (snapshots.list()?, size.last_seq());
        let saved::Newest { mut state, .. } =
            saved::newest(snapshots, &saved, last, |size| self.root_at(Size::new(size)).map(Some))?;
        replay::fold(
            &*self.shared.log,
            &mut state,
            size.get(),
            &self.shared.withheld,
            ReadError::missing,
        )?;
        state.mask(&now);
        Ok(state)
    }

    /// The root over the first `size` events. O(log size) reads.
    ///
    /// # Errors
    /// As [`entry`](Self::entry); [`ReadError::NoSuchEvent`] if the log is shorter.
    pub fn root_at(&self, size: Size) -> Result<Root, ReadError> {
        let head = self.head();
        if size == head.size {
            return Ok(head.root);
        }
        self.check_size(size)?;
        if let Some(root) = self.shared.log.named_root(size)? {
            return Ok(root);
        }
        Ok(proof::root_at(size, &LogHashes(&*self.shared.log))?)
    }

    /// The hash tree over the first `size` events, for a caller that goes on with the leaves of later
    /// [`frames`](Self::frames): so it knows the root after each of them. O(log size) reads.
    ///
    /// # Errors
    /// As [`root_at`](Self::root_at).
    pub fn tree_at(&self, size: Size) -> Result<Tree, ReadError> {
        let published = self.shared.published();
        // Of a ledger that is only read it is the head alone.
        if size == published.tree.size() && published.tree.takes_leaves() {
            return Ok(published.tree.clone());
        }
        self.check_size(size)?;
        Ok(Tree::restore(size, &LogHashes(&*self.shared.log))?)
    }

    /// Waits until more than the first `seen` events are durable, and returns how many there are;
    /// `None` once the ledger is closed or halted, so that no more will come.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Cost
    /// None for the writer. The caller is woken once for each commit while it waits.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::{Size, ThreadId}};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.append(Spawn::new(ThreadId::new("t")?, "agent")).await?;
    /// let size = ledger.reader().grown(Size::new(0)).await.ok_or("the ledger is open")?;
    /// assert!(size > Size::new(0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn grown(&self, seen: Size) -> Option<Size> {
        let mut progress = self.shared.watch_progress();
        loop {
            let (size, ended) = {
                let now = progress.borrow_and_update();
                (now.synced.size, now.ended)
            };
            if size > seen {
                return Some(size);
            }
            if ended || progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Proves that event `seq` is among the first `size` events. O(log size) reads.
    ///
    /// # Errors
    /// As [`root_at`](Self::root_at).
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, codec, command::Spawn, ids::ThreadId, proof};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let seq = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?[0].seq;
    /// let reader = ledger.reader();
    /// let head = reader.head(); // kept where the ledger cannot be changed
    /// let proof = reader.prove_inclusion(seq, head.size)?;
    /// // Checked with the event, the proof and the root alone, also by another program.
    /// let frame = codec::encode(&reader.entry(seq)?)?;
    /// proof::check_inclusion(&proof, proof::leaf_hash(codec::leaf(&frame)?), head.root)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prove_inclusion(
        &self,
        seq: Seq,
        size: Size,
    ) -> Result<proof::InclusionProof, ReadError> {
        self.check_size(size)?;
        self.check_size(seq.size())?;
        Ok(proof::prove_inclusion(seq, size, &LogHashes(&*self.shared.log))?)
    }

    /// Proves that the first `old` events are the beginning of the first `new`. O(log size) reads.
    ///
    /// # Errors
    /// As [`root_at`](Self::root_at).
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId, proof};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let spawn = Spawn::new(ThreadId::new("t")?, "agent");
    /// ledger.append_blocking(spawn.clone())?;
    /// let reader = ledger.reader();
    /// let old = reader.head();
    /// ledger.append_blocking(spawn)?;
    /// let new = reader.head();
    /// let proof = reader.prove_consistency(old.size, new.size)?;
    /// proof::check_consistency(&proof, old.root, new.root)?; // nothing before `old` was changed
    /// # Ok(())
    /// # }
    /// ```
    pub fn prove_consistency(
        &self,
        old: Size,
        new: Size,
    ) -> Result<proof::ConsistencyProof, ReadError> {
        self.check_size(old.max(new))?;
        Ok(proof::prove_consistency(old, new, &LogHashes(&*self.shared.log))?)
    }

    /// The head as a checkpoint in C2SP form.
    pub fn checkpoint(&self) -> Checkpoint {
        let Head { size, root } = self.head();
        Checkpoint { ledger: self.ledger, size, root }
    }

    pub(super) fn check_size(&self, size: Size) -> Result<(), ReadError> {
        // The root, which only an error names, is not hashed for every read.
        if size <= self.shared.size() {
            return Ok(());
        }
        let head = self.head();
        match size.last_seq() {
            Some(seq) if size > head.size => Err(ReadError::NoSuchEvent { seq, head }),
            _ => Ok(()),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// The state at the time of the call. Drop it soon: while it exists, so does its version of every
/// map.
#[derive(Debug)]
pub(crate) struct Current(Arc<Published>);

impl Deref for Current {
    type Target = LedgerState;

    fn deref(&self) -> &LedgerState {
        &self.0.state
    }
}
