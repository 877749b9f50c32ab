//! The events of a thread, read on several cores at once.
//!
//! The event before another one is known only after that one was read, so one reader must go back
//! event by event. But the first and the last event of every task are known, and are events of the
//! thread: places to begin at. So the thread is cut at some of them, and each core reads back from
//! one cut to the next. The walk then finds most of its events among those.
//!
//! Checks no links: the walk itself reads each event that is missing here or could not be read.
//! Start reading at [`read`].

use super::bytes_of;
use crate::{
    event::Entry,
    ids::{Seq, ThreadId},
    query::Source,
    state::LedgerState,
};
use std::{collections::BTreeMap, panic::resume_unwind, thread};

/// The smallest number of events that is worth a second core: fewer are read before it begins.
const EVENTS_MIN: u64 = 64;
/// The most cores to use. Few, since other threads need some too.
const CORES_MAX: usize = 4;

/// The number of cores for a thread of so many events.
pub(super) fn cores(events: u64) -> usize {
    if events < EVENTS_MIN {
        return 1;
    }
    thread::available_parallelism().map_or(1, |cores| cores.get().min(CORES_MAX))
}

/// Reads the events of a thread, up to `bytes_max` of memory, and returns them by number. Returns
/// none if one core would read them all.
pub(super) fn read(
    source: &impl Source,
    state: &LedgerState,
    id: &ThreadId,
    cores: usize,
    bytes_max: usize,
) -> BTreeMap<Seq, Entry> {
    let spans = spans(state, id, cores);
    let [newest, others @ ..] = spans.as_slice() else { return BTreeMap::new() };
    if others.is_empty() {
        return BTreeMap::new();
    }
    let bytes_max = bytes_max / spans.len();
    thread::scope(|scope| {
        let mut helpers = Vec::new();
        for span in others {
            let helper = thread::Builder::new().name("taskledger-read".to_owned());
            helpers.extend(helper.spawn_scoped(scope, || read_span(source, *span, bytes_max)));
        }
        let mut found = read_span(source, *newest, bytes_max);
        for helper in helpers {
            found.append(&mut helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        found
    })
}

/// A part of a thread: its newest event, and the newest of the part before it, if there is one.
type Span = (Seq, Option<Seq>);

/// Cuts a thread into at most `cores` parts that take up about the same length of the log, newest
/// first. Gives fewer parts where no task begins or ends near a cut.
fn spans(state: &LedgerState, id: &ThreadId, cores: usize) -> Vec<Span> {
    let Some(thread) = state.thread(id).filter(|_| cores > 1) else { return Vec::new() };
    let (first, last) = (thread.first_seq.get(), thread.last_seq.get());
    let cores = u64::try_from(cores).unwrap_or(1);
    let each = (last.saturating_sub(first) / cores).max(1);
    let mut cuts = vec![thread.last_seq];
    for wanted in (1..cores).map(|back| last.saturating_sub(each * back)) {
        let known = state.tasks_in(id).flat_map(|task| [task.first_seq, task.last_seq]);
        let cut = known.min_by_key(|seq| seq.get().abs_diff(wanted));
        let far = |from: u64, to: u64| from.saturating_sub(to) > each / 2;
        let fits = |cut: &Seq| {
            let before = cuts.last().is_some_and(|before| far(before.get(), cut.get()));
            before && far(cut.get(), first)
        };
        cuts.extend(cut.filter(fits));
    }
    let ends = cuts.iter().skip(1).copied().map(Some).chain([None]);
    cuts.iter().copied().zip(ends).collect()
}

fn read_span(source: &impl Source, (newest, end): Span, bytes_max: usize) -> BTreeMap<Seq, Entry> {
    let (mut read, mut found, mut bytes) = (source.cursor(), BTreeMap::new(), 0);
    let mut next = Some(newest);
    while let Some(seq) = next.filter(|seq| end.is_none_or(|end| *seq > end)) {
        let Ok(entry) = read(seq) else { break };
        bytes += bytes_of(&entry);
        if bytes > bytes_max {
            break;
        }
        // This ends for any bytes.
        next = entry.event.prev_in_thread.filter(|before| *before < seq);
        found.insert(seq, entry);
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::query::testing::{Log, thread};

    /// A thread of so many tasks of so many events, one after the other.
    fn log(tasks: usize, events: usize) -> Log {
        let mut log = Log::new();
        for id in (0..tasks).map(|number| format!("task-{number}")) {
            log.spawn("t", &id, None);
            for _ in 1..events {
                log.message(&id, "hello");
            }
        }
        log
    }

    fn read_all(log: &Log, cores: usize, bytes_max: usize) -> BTreeMap<Seq, Entry> {
        read(log, &log.state_now(), &thread("t"), cores, bytes_max)
    }

    #[test]
    fn each_event_is_read_once_and_by_as_many_as_there_are_cores() {
        for (tasks, events, cores, readers) in [(12, 30, 3, 3), (2, 40, 4, 2), (9, 32, 2, 2)] {
            let log = log(tasks, events);
            let found = read_all(&log, cores, usize::MAX);
            assert_eq!((found.len(), log.reads()), (tasks * events, tasks * events));
            assert!(found.iter().all(|(seq, entry)| entry.event.seq == *seq));
            assert_eq!(log.readers(), readers, "{tasks} tasks of {events} events");
        }
    }

    #[test]
    fn the_parts_are_about_as_long_as_each_other() {
        let log = log(20, 10);
        for cores in 2..=4 {
            let spans = spans(&log.state_now(), &thread("t"), cores);
            let length = |(newest, end): &Span| newest.get() - end.map_or(0, Seq::get);
            let lengths: Vec<u64> = spans.iter().map(length).collect();
            assert_eq!(lengths.len(), cores);
            assert!(lengths.iter().all(|length| (40..=110).contains(length)), "{lengths:?}");
        }
    }

    #[test]
    fn what_one_core_would_read_is_left_to_the_walk() {
        for (tasks, events, cores) in [(12, 30, 1), (1, 500, 4), (0, 1, 4)] {
            let log = log(tasks, events);
            assert!(read_all(&log, cores, usize::MAX).is_empty(), "{tasks} of {events}");
            assert_eq!(log.reads(), 0);
        }
        assert_eq!(cores(EVENTS_MIN - 1), 1);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let log = log(8, 50);
        let each = bytes_of(read_all(&log, 2, usize::MAX).values().next_back().unwrap());
        let found = read_all(&log, 2, 100 * each);
        assert!((90..=100).contains(&found.len()), "{}", found.len());
    }

    #[test]
    fn links_that_lead_upwards_or_nowhere_end_it() {
        for to in [150, 41, 5_000] {
            let mut log = log(4, 50);
            log.forge(41, |event| event.prev_in_thread = Seq::new(to));
            assert_eq!(read_all(&log, 2, usize::MAX).len(), 200 - 40);
        }
    }
}
