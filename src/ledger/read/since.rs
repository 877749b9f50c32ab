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
use std::{fmt, num::NonZero, ops::ControlFlow, panic::resume_unwind, sync::OnceLock, thread};

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

/// The most cores to use. Few, since other threads need some too.
const CORES_MAX: usize = 4;
/// The smallest number of events that is worth a core of its own.
const EVENTS_EACH_MIN: u64 = 8_192;

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

    /// Goes on to the first `size` events of the log, on a few cores if there are many. O(bytes).
    ///
    /// # Errors
    /// [`ReadError`] at the first event that cannot be read. Those before it are kept.
    pub(crate) fn read(&mut self, log: &dyn FrameLog, size: Size) -> Result<(), ReadError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(CORES_MAX);
        self.read_on(cores, log, size)
    }

    fn read_on(&mut self, cores: usize, log: &dyn FrameLog, size: Size) -> Result<(), ReadError> {
        (self.tasks, self.threads) = (OnceLock::new(), OnceLock::new());
        for part in self.peek_all(log, &spans(self.size().get(), size.get(), cores)) {
            self.recorded = if part.events.is_empty() { self.recorded } else { part.recorded };
            self.events.extend(part.events);
            part.ended?;
        }
        Ok(())
    }

    /// Looks at the events of each span: the first one here, the others beside it.
    fn peek_all(&self, log: &dyn FrameLog, spans: &[(u64, u64)]) -> Vec<Peeks> {
        let hasher = &self.hasher;
        let [first, others @ ..] = spans else { return Vec::new() };
        thread::scope(|scope| {
            let beside = |span: &(u64, u64)| {
                let helper = thread::Builder::new().name("taskledger-peek".to_owned());
                let span = *span;
                (span, helper.spawn_scoped(scope, move || Peeks::read(log, span, hasher)))
            };
            let beside: Vec<_> = others.iter().map(beside).collect();
            let mut parts = vec![Peeks::read(log, *first, hasher)];
            for (span, helper) in beside {
                parts.push(match helper {
                    Ok(helper) => helper.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => Peeks::read(log, span, hasher), // no thread could be started
                });
            }
            parts
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

    fn hash(&self, id: &str) -> u64 {
        hash(&self.hasher, id)
    }
}

/// The events of a span, up to the first that cannot be read.
struct Peeks {
    events: Vec<Peeked>,
    recorded: Millis,
    ended: Result<(), ReadError>,
}

impl Peeks {
    /// Looks at the first `span.1` events except the first `span.0`.
    fn read(log: &dyn FrameLog, span: (u64, u64), hasher: &RandomState) -> Self {
        let (mut events, mut recorded) = (Vec::new(), Millis(0));
        let ended = replay::each_frame(log, span, ReadError::missing, |seq, frame| {
            let peek = codec::peek(&frame).map_err(|error| unreadable(seq, error))?;
            if peek.seq != seq {
                return Err(ReadError::damaged(seq, Damage::OtherEvent { found: peek.seq }));
            }
            let hash = |id: Option<&str>| id.map_or(NONE, |id| hash(hasher, id));
            let (task, thread) = (hash(peek.task), hash(peek.thread));
            events.push(Peeked { task, thread, told: peek.told });
            recorded = peek.recorded;
            Ok(ControlFlow::Continue(()))
        });
        Self { events, recorded, ended }
    }
}

/// Cuts the events from the first `behind` to the first `to` into parts for at most `cores`.
fn spans(behind: u64, to: u64, cores: usize) -> Vec<(u64, u64)> {
    let events = to.saturating_sub(behind);
    let parts = (events / EVENTS_EACH_MIN).clamp(1, u64::try_from(cores).unwrap_or(1).max(1));
    let end = |part: u64| behind + events / parts * part + events % parts * part / parts;
    (0..parts).map(|part| (end(part), end(part + 1))).collect()
}

/// The hash of an id, which is not that of none.
fn hash(hasher: &RandomState, id: &str) -> u64 {
    hasher.hash_one(id).max(NONE + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Proposal, Spawn},
        ids::ThreadId,
        ledger::{Ledger, Options},
        store::MemStore,
    };

    #[test]
    fn many_events_are_looked_at_in_parts_as_if_by_one() {
        let store = MemStore::new();
        let ledger = Ledger::open_or_create_in(&store, Options::default()).unwrap();
        for hundred in 0..300 {
            let spawn = |number: u64| -> Proposal {
                let thread = ThreadId::new(format!("t-{}", (hundred + number) % 7)).unwrap();
                Spawn::new(thread, "sub_agent").into()
            };
            ledger.append_blocking((0..100).map(spawn).collect::<Vec<_>>()).unwrap();
        }
        let (size, store) = (ledger.reader().head().size, store.reopen());
        let mut one = Since::new(Size::new(5), Millis(0));
        let mut two = one.clone();
        one.read_on(1, &store, size).unwrap();
        two.read_on(3, &store, size).unwrap();
        assert_eq!((two.len(), two.recorded()), (29_996, one.recorded()));
        for number in 0..7 {
            let id = format!("t-{number}");
            assert!(two.of_thread(&id).eq(one.of_thread(&id)));
            assert!(two.of_thread(&id).count() > 4_000);
        }
        // The log ends within the first of two parts.
        let mut short = Since::new(Size::EMPTY, Millis(0));
        short.read_on(2, &store, Size::new(62_000)).unwrap_err();
        assert_eq!((short.size(), short.recorded()), (size, one.recorded()));
        // An event of the first part is damaged: those of the second one do not take its place.
        let bad = Seq::new(100).unwrap();
        store.erase(bad, &|seq, _| Ok((seq == bad).then(|| vec![0; 8]))).unwrap();
        let mut before = Since::new(Size::EMPTY, Millis(0));
        before.read_on(2, &store, size).unwrap_err();
        assert_eq!(before.size(), Size::new(99));
    }

    #[test]
    fn the_parts_hold_every_event_once_and_are_worth_a_core_each() {
        for (behind, to) in [(0, 0), (5, 5), (7, 3), (0, 1), (3, 30_000), (9, 199_009)] {
            for cores in [0, 1, 2, 3, 4, 7] {
                let parts = spans(behind, to, cores);
                let begins: Vec<u64> = parts.iter().map(|span| span.0).collect();
                let ends: Vec<u64> = parts.iter().map(|span| span.1).collect();
                assert_eq!((begins[0], *ends.last().unwrap()), (behind, to.max(behind)));
                assert_eq!(begins[1..], ends[..ends.len() - 1]);
                assert!(parts.len() <= cores.max(1), "{parts:?}");
                let each = parts.iter().map(|span| span.1 - span.0).min().unwrap();
                assert!(parts.len() == 1 || each >= EVENTS_EACH_MIN, "{parts:?}");
            }
        }
    }
}
