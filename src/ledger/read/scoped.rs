//! The state of a part of a ledger that is only read, without the state of all of it.
//!
//! The parts of a snapshot that are asked for, and of the events since those that are about them.
//! Which events these are is told by a look at the beginning of each; see [`Since`]. The whole state
//! is read when it is asked for, and then kept. Start reading at [`Scoped::state_of`].

use super::{
    hashes::LogHashes,
    look::LookLog,
    replay, saved,
    since::Since,
    texts::{Withheld, folded},
};
use crate::{
    codec::Told,
    event::{Action, CancelScope, Entry, Parent, Restored},
    ids::{Root, Seq, Size, TaskId, ThreadId},
    ledger::{ReadError, commit::shared::decode},
    proof::ProofError,
    snapshot::{Sectioned, SnapshotError},
    state::{LedgerState, Part, heads},
    store::{FrameLog, SnapshotBytes, SnapshotStore},
};
use std::{
    collections::BTreeSet,
    mem::take,
    sync::{Arc, Mutex, PoisonError},
};

/// The part of a ledger that a state is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// One thread, its tasks, and all above them.
    Thread(&'a ThreadId),
    /// One task and all above it.
    Task(&'a TaskId),
}

type Saved = Sectioned<Box<dyn SnapshotBytes>>;

/// The place of events and snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) log: Arc<LookLog>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
}

/// A snapshot and the events since, up to an end that does not move.
#[derive(Debug)]
pub(crate) struct Scoped {
    store: Stored,
    /// The texts that are not what was recorded, so far.
    withheld: Withheld,
    /// `None`: the events since are all events.
    saved: Option<Arc<Saved>>,
    since: Since,
    /// The state without tasks and threads: its end, the ledger, marks of runs, what is redacted.
    marks: LedgerState,
    /// The number of events since when a snapshot was last looked for.
    len_found: usize,
    whole: Mutex<Option<LedgerState>>,
}

/// A state of what is shown at first.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Parts of it can be read.
    Scoped(Box<Scoped>),
    /// The newest snapshot cannot be read in part, so this is all of it.
    Whole(Box<LedgerState>),
}

impl Scoped {
    /// Looks for the newest snapshot of the first `size` events, and at the events since. O(bytes
    /// since).
    ///
    /// # Errors
    /// [`ReadError`] if one of these events cannot be read.
    pub(crate) fn open(store: Stored, size: Size, withheld: &Withheld) -> Result<Shown, ReadError> {
        let (saved, heads) = match store.newest(size)? {
            Found::Sections(saved, heads) => (Some(saved), *heads),
            Found::Nothing => (None, LedgerState::default()),
            Found::Older => return Ok(Shown::Whole(store.whole(size, withheld)?.into())),
        };
        let mut since = Since::new(heads.size(), heads.recorded());
        since.read(&*store.log, size)?;
        let marks = store.marked(heads, &since)?;
        let (len_found, whole) = (since.len(), Mutex::new(None));
        let withheld = withheld.clone();
        let scoped = Self { store, withheld, saved, since, marks, len_found, whole };
        Ok(Shown::Scoped(scoped.into()))
    }

    /// The same up to a later end. O(events since), and O(bytes) of the new ones.
    ///
    /// # Errors
    /// [`ReadError`] if one of them cannot be read.
    pub(crate) fn reaching(&self, size: Size) -> Result<Shown, ReadError> {
        let (store, withheld) = (self.store.clone(), self.withheld.clone());
        let mut since = self.since.clone();
        since.read(&*store.log, size)?;
        // A reader that goes on for long begins anew with a newer snapshot, or it would hold
        // something of every event.
        if since.len() > LEN_MORE_MAX.saturating_add(self.len_found.saturating_mul(2)) {
            return Self::open(store, size, &withheld);
        }
        let mut whole = self.kept();
        if let Some(state) = &mut whole {
            replay::fold(&*store.log, state, size.get(), &withheld, ReadError::missing)?;
        }
        let marks = store.marked(self.marks.clone(), &since)?;
        let (saved, len_found, whole) = (self.saved.clone(), self.len_found, Mutex::new(whole));
        let scoped = Self { store, withheld, saved, since, marks, len_found, whole };
        Ok(Shown::Scoped(scoped.into()))
    }

    /// The state without tasks and threads: its end, the ledger, marks of runs, what is redacted. O(1).
    pub(crate) fn marks(&self) -> &LedgerState {
        &self.marks
    }

    /// The whole state. Read at the first call, and kept.
    ///
    /// # Errors
    /// [`ReadError`] if an event cannot be read.
    pub(crate) fn whole(&self) -> Result<LedgerState, ReadError> {
        let mut kept = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &*kept {
            return Ok(state.clone());
        }
        let state = self.store.whole(self.since.size(), &self.withheld)?;
        *kept = Some(state.clone());
        Ok(state)
    }

    /// The state of what is wanted: complete for it, for all above its tasks, for the requests to
    /// stop the threads of all these since they began, and for the marks of runs.
    ///
    /// # Errors
    /// [`ReadError`] if an event cannot be read.
    ///
    /// # Cost
    /// A search in the snapshot, a section of it for each task at worst, and a read for each of their
    /// events since.
    pub(crate) fn state_of(&self, wanted: Wanted<'_>) -> Result<LedgerState, ReadError> {
        if let Some(state) = self.kept() {
            return Ok(state);
        }
        match self.part(wanted) {
            Ok(state) => Ok(state),
            Err(Unreadable::Event(error)) => Err(error),
            Err(Unreadable::Snapshot(error)) => {
                tracing::warn!(%error, "snapshot is unusable: the whole state is read");
                self.whole()
            }
        }
    }

    fn kept(&self) -> Option<LedgerState> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn part(&self, wanted: Wanted<'_>) -> Result<LedgerState, Unreadable> {
        let mut part = Part::of(self.saved.as_deref(), self.marks.clone());
        let Gathered { held, mut threads } = self.gather(&mut part, wanted)?;
        let mut state = part.finish().map_err(SnapshotError::from)?;
        let mut events = BTreeSet::new();
        for id in &held {
            events.extend(self.since.of_task(id.as_str()).map(|(seq, _)| seq));
        }
        let thread = match wanted {
            Wanted::Thread(id) => Some(id),
            Wanted::Task(_) => None,
        };
        if let Some(id) = thread {
            events.extend(self.since.of_thread(id.as_str()).map(|(seq, _)| seq));
        }
        threads.extend(state.threads().map(|thread| thread.id.clone()));
        for id in &threads {
            let stops = self.since.of_thread(id.as_str()).filter(|(_, told)| *told == Told::Stop);
            events.extend(stops.map(|(seq, _)| seq));
        }
        for seq in events {
            let entry = folded(seq, &self.store.frame(seq)?)?;
            let event = &entry.event;
            let of_task = event.task.as_ref().is_some_and(|id| held.contains(id));
            let of_thread = thread.is_some() && event.thread.as_ref() == thread;
            let counts = match &event.action {
                // It stops the threads of tasks that are held, whatever else it is about.
                Action::CancelRequested { scope: CancelScope::Thread, .. } => true,
                // The marks tell of it, and a task nothing.
                Action::Began { .. } => false,
                Action::Upserted { .. }
                | Action::Terminated { .. }
                | Action::Restored { .. }
                | Action::CancelRequested { .. }
                | Action::Messaged { .. }
                | Action::Emitted { .. }
                | Action::Redacted { .. } => of_task || of_thread,
            };
            if counts {
                state.apply(&entry);
                self.withheld.note(seq, entry.withheld.minus(self.marks.redacted(seq)));
            }
        }
        state.reach(self.since.size(), self.since.recorded());
        Ok(state)
    }

    /// Adds what is wanted of the snapshot, and tells which tasks the state will hold all of.
    fn gather(
        &self,
        part: &mut Part<'_, Saved>,
        wanted: Wanted<'_>,
    ) -> Result<Gathered, Unreadable> {
        let (mut ids, mut rows) = (BTreeSet::new(), BTreeSet::new());
        let mut threads = BTreeSet::new();
        match wanted {
            Wanted::Task(id) => drop(ids.insert(id.clone())),
            Wanted::Thread(id) => {
                rows = part.tasks_of(id)?;
                for entry in self.beginnings(self.since.of_thread(id.as_str())) {
                    let event = entry?.event;
                    ids.extend(event.task.filter(|_| event.thread.as_ref() == Some(id)));
                }
            }
        }
        let mut held = BTreeSet::new();
        while !(ids.is_empty() && rows.is_empty()) {
            let mut found: Vec<TaskId> = Vec::new();
            for id in take(&mut ids) {
                match part.find(&id)? {
                    Some(row) => drop(rows.insert(row)),
                    None => found.push(id),
                }
            }
            let added = part.tasks(take(&mut rows))?;
            ids.extend(added.absent);
            found.extend(added.ids);
            for id in found {
                for entry in self.beginnings(self.since.of_task(id.as_str())) {
                    let event = entry?.event;
                    if event.task.as_ref() != Some(&id) {
                        continue;
                    }
                    threads.extend(event.thread);
                    ids.extend(parent(event.action));
                }
                held.insert(id);
            }
            ids.retain(|id| !held.contains(id));
        }
        Ok(Gathered { held, threads })
    }

    /// Reads those of these events that may begin a task or move it.
    fn beginnings(
        &self,
        events: impl Iterator<Item = (Seq, Told)>,
    ) -> impl Iterator<Item = Result<Entry, ReadError>> {
        events.filter(|(_, told)| *told == Told::Task).map(|(seq, _)| self.store.entry(seq))
    }
}

/// The tasks and threads of a part of the state.
struct Gathered {
    /// The tasks that are wanted, and every task that was ever named as a parent of one of these.
    held: BTreeSet<TaskId>,
    /// Threads in which one of them began since, or was said to begin.
    threads: BTreeSet<ThreadId>,
}

/// The events after those of a snapshot that a reader may still go on with, besides twice as many as
/// it began with.
const LEN_MORE_MAX: usize = 100_000;

/// The reason that a part cannot be made.
enum Unreadable {
    Event(ReadError),
    Snapshot(SnapshotError),
}

impl From<ReadError> for Unreadable {
    fn from(error: ReadError) -> Self {
        Self::Event(error)
    }
}

impl From<SnapshotError> for Unreadable {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

/// The parent in this ledger that an event gives its task.
fn parent(action: Action) -> Option<TaskId> {
    let record = match action {
        Action::Upserted { record }
        | Action::Restored { why: Restored::Snapshot { record, .. } } => record,
        Action::Restored { why: Restored::Orphaned { .. } }
        | Action::Terminated { .. }
        | Action::CancelRequested { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. }
        | Action::Redacted { .. }
        | Action::Began { .. } => return None,
    };
    match record.parent {
        Some(Parent::Local(id)) => Some(id),
        Some(Parent::External { .. }) | None => None,
    }
}

/// The newest usable snapshot.
enum Found {
    Sections(Arc<Saved>, Box<LedgerState>),
    /// One that is only read whole.
    Older,
    Nothing,
}

impl Stored {
    fn newest(&self, size: Size) -> Result<Found, ReadError> {
        let saved = self.snapshots.list()?;
        for at in saved.into_iter().rev().filter(|at| Some(*at) <= size.last_seq()) {
            let opened = self.snapshots.parts(at).map_err(SnapshotError::from);
            let read =
                opened.and_then(Sectioned::open).and_then(|saved| Ok((heads(&saved)?, saved)));
            let (heads, saved) = match read {
                Ok(read) => read,
                Err(SnapshotError::UnsupportedFormat { found: 1, .. }) => return Ok(Found::Older),
                Err(error) => {
                    tracing::warn!(%at, %error, "snapshot is unusable: skipped");
                    continue;
                }
            };
            let head = saved.head();
            if head.seq() == Some(at)
                && heads.size() == head.size
                && self.root_of(head.size)? == Some(head.root)
            {
                return Ok(Found::Sections(Arc::new(saved), heads.into()));
            }
            tracing::warn!(%at, "snapshot is of another history: skipped");
        }
        Ok(Found::Nothing)
    }

    /// The whole state after the first `size` events: the newest saved one of this history, and the
    /// events since.
    fn whole(&self, size: Size, withheld: &Withheld) -> Result<LedgerState, ReadError> {
        let saved = self.snapshots.list()?;
        let root_at = |size| self.root_of(Size::new(size));
        let saved::Newest { mut state, .. } =
            saved::newest(&*self.snapshots, &saved, size.last_seq(), root_at)?;
        replay::fold(&*self.log, &mut state, size.get(), withheld, ReadError::missing)?;
        Ok(state)
    }

    /// The root over the first `size` events, if it can be known.
    fn root_of(&self, size: Size) -> Result<Option<Root>, ReadError> {
        if let Some(root) = self.log.named_root(size)? {
            return Ok(Some(root));
        }
        match crate::proof::root_at(size, &LogHashes(&*self.log)) {
            Ok(root) => Ok(Some(root)),
            // Where events before it cannot be read, it cannot be known to be of this history.
            Err(ProofError::Source(ReadError::Damaged { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The marks of a state, and those of the events since.
    fn marked(&self, mut marks: LedgerState, since: &Since) -> Result<LedgerState, ReadError> {
        for seq in since.marks(marks.size()) {
            marks.apply(&self.entry(seq)?);
        }
        marks.reach(since.size(), since.recorded());
        Ok(marks)
    }

    /// An event; its texts are not held against it.
    fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        decode(seq, &self.frame(seq)?)
    }

    fn frame(&self, seq: Seq) -> Result<Vec<u8>, ReadError> {
        self.log.read(seq, 1)?.into_iter().next().ok_or_else(|| ReadError::missing(seq))
    }
}
