//! The events behind a snapshot, as far as it must be known whose they are.
//!
//! Holds 24 bytes for each: hashes of its thread and its task, and the kind of fact that it tells.
//! Two ids may share a hash, so the caller compares the ids of an event that it was given. Start
//! reading at [`Since::read`].

use super::replay;
use crate::{
    codec::{self, Told},
    ids::{Seq, Size},
    ledger::{Damage, ReadError, commit::shared::unreadable},
    store::FrameLog,
    time::Millis,
};
use ahash::RandomState;
use std::{fmt, ops::ControlFlow, sync::OnceLock};

/// Events from the one after a snapshot to the end of what is shown.
#[derive(Clone)]
pub(crate) struct Since {
    before: Size,
    recorded: Millis,
    events: Vec<Peeked>,
    /// A random state: ids are hostile text, and none of them shall share a hash on purpose.
    hasher: RandomState,
    tasks: OnceLock<Index>,
    threads: OnceLock<Index>,
}

/// Hashes and the places of their events, ascending.
type Index = Vec<(u64, u32)>;

#[derive(Clone, Copy)]
struct Peeked {
    task: u64,
    thread: u64,
    told: Told,
}

/// The hash that stands for no id.
const NONE: u64 = 0;

impl fmt::Debug for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events.len();
        f.debug_struct("Since")
            .field("before", &self.before)
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

impl Since {
    /// No event yet after the first `before`, the last of which was recorded at `recorded`.
    pub(crate) fn new(before: Size, recorded: Millis) -> Self {
        let (tasks, threads) = (OnceLock::new(), OnceLock::new());
        Self { before, recorded, events: Vec::new(), hasher: RandomState::new(), tasks, threads }
    }

    /// Goes on to the first `size` events of the log. O(bytes).
    ///
    /// # Errors
    /// [`ReadError`] at the first event that cannot be read. What was read before is kept.
    pub(crate) fn read(&mut self, log: &dyn FrameLog, size: Size) -> Result<(), ReadError> {
        (self.tasks, self.threads) = (OnceLock::new(), OnceLock::new());
        let span = (self.size().get(), size.get());
        replay::each_frame(log, span, ReadError::missing, |seq, frame| {
            let peek = codec::peek(&frame).map_err(|error| unreadable(seq, error))?;
            if peek.seq != seq {
                return Err(ReadError::damaged(seq, Damage::OtherEvent { found: peek.seq }));
            }
            let hash = |id: Option<&str>| id.map_or(NONE, |id| self.hash(id));
            let (task, thread) = (hash(peek.task), hash(peek.thread));
            self.events.push(Peeked { task, thread, told: peek.told });
            self.recorded = peek.recorded;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The number of events up to the last of these.
    pub(crate) fn size(&self) -> Size {
        let events = u64::try_from(self.events.len()).unwrap_or(u64::MAX);
        Size::new(self.before.get().saturating_add(events))
    }

    /// The time at which the last event was recorded.
    pub(crate) fn recorded(&self) -> Millis {
        self.recorded
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The events that may be about this task, ascending, and what each tells.
    pub(crate) fn of_task(&self, id: &str) -> impl Iterator<Item = (Seq, Told)> {
        self.indexed(&self.tasks, self.hash(id), |event| event.task)
    }

    /// The events that may be of this thread, ascending, and what each tells.
    pub(crate) fn of_thread(&self, id: &str) -> impl Iterator<Item = (Seq, Told)> {
        self.indexed(&self.threads, self.hash(id), |event| event.thread)
    }

    /// The events after the first `size` that change what is true beside tasks and threads, ascending.
    pub(crate) fn marks(&self, size: Size) -> impl Iterator<Item = Seq> {
        let known = size.get().saturating_sub(self.before.get());
        let events = (0..).zip(&self.events).skip(usize::try_from(known).unwrap_or(usize::MAX));
        events.filter(|(_, event)| event.told == Told::Mark).filter_map(|(at, _)| self.seq(at))
    }

    fn indexed(
        &self,
        index: &'_ OnceLock<Index>,
        hash: u64,
        of: impl Fn(&Peeked) -> u64,
    ) -> impl Iterator<Item = (Seq, Told)> {
        // An entry takes no more than an event does: a log of as many would fill any memory.
        let made = index.get_or_init(|| {
            let mut made: Index = self.events.iter().map(of).zip(0..).collect();
            made.sort_unstable();
            made
        });
        let from = made.partition_point(|(other, _)| *other < hash);
        let same = made.iter().skip(from).take_while(move |(other, _)| *other == hash);
        let found: Vec<_> = same
            .filter_map(|(_, at)| {
                let event = self.events.get(usize::try_from(*at).ok()?)?;
                Some((self.seq((*at).into())?, event.told))
            })
            .collect();
        found.into_iter()
    }

    fn seq(&self, at: u64) -> Option<Seq> {
        Seq::new(self.before.get().checked_add(at)?.checked_add(1)?)
    }

    /// The hash of an id, which is not that of none.
    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id).max(NONE + 1)
    }
}
