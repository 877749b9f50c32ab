//! Events in order: all of the log, or those of one thread or task through their links.
//!
//! Each event names the one before it in its thread and of its task. A walk from the newest back
//! therefore reads only the events that are asked for, and shows whether one is missing: every link
//! must lead to an earlier event of the same thread or task, and a walk to the start must meet as
//! many events as the state has counted. A walk ends for any bytes.

use super::{QueryError, Scope, Source};
use crate::{
    event::{Entry, Event},
    ids::Seq,
    ledger::ReadError,
    state::LedgerState,
};
use std::{collections::BTreeMap, ops::ControlFlow};

mod share;

/// The most bytes of events that are kept for a visit in the other direction. Beyond that only
/// their numbers are kept, and they are read a second time. Half as much again may be read on other
/// cores and wait for the walk.
const HELD_BYTES_MAX: usize = 32 << 20;

/// The memory of an event apart from its texts, roughly.
const HELD_BYTES_EACH: usize = 1 << 10;

/// The number of events that are read at once when the whole log is visited from its end. Few at
/// first, since most callers want the last ones only; then twice as many each time, up to the
/// number that a scan reads anyway.
const WINDOW_EVENTS_MIN: u64 = 64;
const WINDOW_EVENTS_MAX: u64 = 2_048;

/// The answer of a visitor: continue, stop, or an error.
pub(super) type Flow<E = QueryError> = Result<ControlFlow<()>, E>;

/// Visits the events up to and including number `size`, newest first.
///
/// Costs one read for each own event after `size` to get there, then one for each event visited.
pub(super) fn newest_first<E: From<QueryError>>(
    source: &impl Source,
    state: &LedgerState,
    scope: Scope<'_>,
    size: u64,
    visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    match ends(state, scope)? {
        Some(ends) => back_from(ends, source.cursor(), scope, size, visit),
        None => all_newest_first(source, size, visit),
    }
}

/// Visits the events of a thread or task from its newest back. `events` is their number.
fn back_from<E: From<QueryError>>(
    (newest, events): (Seq, u64),
    mut read: impl FnMut(Seq) -> Result<Entry, ReadError>,
    scope: Scope<'_>,
    size: u64,
    mut visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    let mut next = Some(newest);
    let mut met = 0_u64;
    while let Some(seq) = next {
        let entry = read(seq).map_err(QueryError::from)?;
        next = link(scope, &entry.event, seq)?;
        met += 1;
        if next.is_none() && met != events {
            let detail = "its links leave out events of its thread or task";
            return Err(QueryError::Damaged { seq, detail }.into());
        }
        if seq.get() <= size && visit(entry)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Visits the events up to and including number `size` that `keep` wants, oldest first.
///
/// Costs O(own events) reads before the first visit; those of a thread with several tasks run on a
/// few cores at once. Memory is bounded: events that do not fit are read a second time.
pub(super) fn oldest_first<E: From<QueryError>>(
    source: &impl Source,
    state: &LedgerState,
    scope: Scope<'_>,
    size: u64,
    keep: impl Fn(&Event) -> bool,
    visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    let cores = ends(state, scope)?.map_or(1, |(_, events)| share::cores(events));
    oldest_first_on(cores, source, state, (scope, size), keep, visit)
}

fn oldest_first_on<E: From<QueryError>>(
    cores: usize,
    source: &impl Source,
    state: &LedgerState,
    (scope, size): (Scope<'_>, u64),
    keep: impl Fn(&Event) -> bool,
    mut visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    let Some(ends) = ends(state, scope)? else {
        let Some(last) = Seq::new(size) else { return Ok(()) };
        return scan(source, Seq::FIRST, last, |entry| {
            if keep(&entry.event) { visit(entry) } else { Ok(ControlFlow::Continue(())) }
        });
    };
    let mut at_hand = match scope {
        Scope::Thread(id) => share::read(source, state, id, cores, HELD_BYTES_MAX / 2),
        Scope::All | Scope::Task(_) => BTreeMap::new(),
    };
    let mut read = source.cursor();
    let read = |seq| at_hand.remove(&seq).map_or_else(|| read(seq), Ok);
    let mut pile = Pile::default();
    back_from(ends, read, scope, size, |entry| {
        if keep(&entry.event) {
            pile.push(entry);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    pile.unpile(source, visit)
}

/// Visits a range of the log in order.
pub(super) fn scan<E: From<QueryError>>(
    source: &impl Source,
    from: Seq,
    to: Seq,
    mut visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    let scanned = source.scan(from, to, |entry| visit(entry).map_err(Fault::Visitor));
    scanned.map_err(|fault| match fault {
        Fault::Source(error) => QueryError::from(error).into(),
        Fault::Visitor(error) => error,
    })
}

/// The error of a scan, before it is one of the visitor's kind.
enum Fault<E> {
    Source(ReadError),
    Visitor(E),
}

impl<E> From<ReadError> for Fault<E> {
    fn from(error: ReadError) -> Self {
        Self::Source(error)
    }
}

fn all_newest_first<E: From<QueryError>>(
    source: &impl Source,
    size: u64,
    mut visit: impl FnMut(Entry) -> Flow<E>,
) -> Result<(), E> {
    let mut end = size;
    let mut window = WINDOW_EVENTS_MIN;
    while let Some(last) = Seq::new(end) {
        let before = end.saturating_sub(window);
        let mut pile = Pile::default();
        scan(source, Seq::new(before + 1).unwrap_or(last), last, |entry| -> Flow<E> {
            pile.push(entry);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut stopped = false;
        pile.unpile(source, |entry| -> Flow<E> {
            let flow = visit(entry)?;
            stopped = flow.is_break();
            Ok(flow)
        })?;
        if stopped {
            return Ok(());
        }
        end = before;
        window = (2 * window).min(WINDOW_EVENTS_MAX);
    }
    Ok(())
}

/// The newest event of a scope and the number of its events; `None` for the whole log.
fn ends(state: &LedgerState, scope: Scope<'_>) -> Result<Option<(Seq, u64)>, QueryError> {
    match scope {
        Scope::All => Ok(None),
        Scope::Thread(id) => match state.thread(id) {
            Some(thread) => Ok(Some((thread.last_seq, thread.events))),
            None => Err(QueryError::UnknownThread { thread: id.clone() }),
        },
        Scope::Task(id) => match state.task(id) {
            Some(task) => Ok(Some((task.last_seq, task.events))),
            None => Err(QueryError::UnknownTask { task: id.clone() }),
        },
    }
}

/// The event before this one, after a check that the link leads on and down.
fn link(scope: Scope<'_>, event: &Event, asked: Seq) -> Result<Option<Seq>, QueryError> {
    let damaged = |detail| Err(QueryError::Damaged { seq: asked, detail });
    let (belongs, before) = match scope {
        Scope::All => (true, event.seq.prev()),
        Scope::Thread(id) => (event.thread.as_ref() == Some(id), event.prev_in_thread),
        Scope::Task(id) => (event.task.as_ref() == Some(id), event.prev_in_task),
    };
    if event.seq != asked {
        return damaged("it says that it has another number");
    }
    if !belongs {
        return damaged("a link leads to it from another thread or task");
    }
    if before.is_some_and(|before| before >= asked) {
        return damaged("its link does not lead to an earlier event");
    }
    Ok(before)
}

/// The memory of an event, roughly.
fn bytes_of(entry: &Entry) -> usize {
    let texts = entry.parts.iter().filter_map(|part| part.body.as_ref());
    HELD_BYTES_EACH + texts.map(|body| body.text.len()).sum::<usize>()
}

/// Events to be visited last in, first out.
#[derive(Debug, Default)]
pub(super) struct Pile {
    held: Vec<Held>,
    bytes: usize,
}

#[derive(Debug)]
enum Held {
    Entry(Box<Entry>),
    Number(Seq),
}

impl Pile {
    /// Puts one event on top.
    pub(super) fn push(&mut self, entry: Entry) {
        let bytes = bytes_of(&entry);
        if self.bytes + bytes > HELD_BYTES_MAX {
            self.held.push(Held::Number(entry.event.seq));
        } else {
            self.bytes += bytes;
            self.held.push(Held::Entry(Box::new(entry)));
        }
    }

    /// The number of events.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Visits them from the top. Reads those again that were too many to keep.
    pub(super) fn unpile<E: From<QueryError>>(
        self,
        source: &impl Source,
        mut visit: impl FnMut(Entry) -> Flow<E>,
    ) -> Result<(), E> {
        let mut read = source.cursor();
        for held in self.held.into_iter().rev() {
            let entry: Result<Entry, ReadError> = match held {
                Held::Entry(entry) => Ok(*entry),
                Held::Number(seq) => read(seq),
            };
            if visit(entry.map_err(QueryError::from)?)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
