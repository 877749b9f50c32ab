//! The events of a thread, read on several cores at once.
//!
//! The links of a thread are one chain: which event comes before another is known only when that
//! one was read. But each of its tasks has a chain of its own. So the tasks are shared out, each
//! core reads back through those of its share, and the walk along the thread finds most of what it
//! asks for in what they read.
//!
//! Knows nothing of what a walk checks: what is missing here, or could not be read, the walk reads
//! itself. Start reading at [`read`].

use super::bytes_of;
use crate::{event::Entry, ids::Seq, query::Source};
use std::{collections::BTreeMap, panic::resume_unwind, thread};

/// The events before one are few enough to be read sooner than a thread is started.
const SHARE_EVENTS_MIN: u64 = 32;
/// Beyond so many, one waits for another in the store.
const CORES_MAX: usize = 4;

/// A task of the thread: its newest event, and how many it has.
pub(super) type Chain = (Seq, u64);

/// On how many cores to read.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(CORES_MAX))
}

/// The events of these tasks, by number, as far as they are read in at most `bytes_max` of memory.
/// Nothing, if it would not be shared out.
pub(super) fn read(
    source: &impl Source,
    tasks: impl Iterator<Item = Chain>,
    cores: usize,
    bytes_max: usize,
) -> BTreeMap<Seq, Entry> {
    let shares = shares(tasks.collect(), cores);
    let bytes_max = bytes_max / shares.len().max(1);
    let [own, others @ ..] = shares.as_slice() else { return BTreeMap::new() };
    if others.is_empty() {
        return BTreeMap::new();
    }
    thread::scope(|scope| {
        let mut helpers = Vec::new();
        for share in others {
            let helper = thread::Builder::new().name("taskledger-read".to_owned());
            helpers.extend(helper.spawn_scoped(scope, || read_share(source, share, bytes_max)));
        }
        let mut found = read_share(source, own, bytes_max);
        for helper in helpers {
            found.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        found.into_iter().collect()
    })
}

/// Neighbours together, and about as many events in each share.
fn shares(tasks: Vec<Chain>, cores: usize) -> Vec<Vec<Seq>> {
    let events: u64 = tasks.iter().map(|(_, events)| events).sum();
    let cores = u64::try_from(cores).unwrap_or(1).max(1);
    let enough = events.div_ceil(cores).max(SHARE_EVENTS_MIN);
    let (mut shares, mut taken) = (Vec::new(), enough);
    for (newest, events) in tasks {
        if taken >= enough {
            shares.push(Vec::new());
            taken = 0;
        }
        taken += events;
        if let Some(share) = shares.last_mut() {
            share.push(newest);
        }
    }
    shares
}

fn read_share(source: &impl Source, newest: &[Seq], bytes_max: usize) -> Vec<(Seq, Entry)> {
    let (mut read, mut found, mut bytes) = (source.cursor(), Vec::new(), 0);
    for newest in newest {
        let mut next = Some(*newest);
        while let Some(seq) = next {
            let Ok(entry) = read(seq) else { return found };
            bytes += bytes_of(&entry);
            if bytes > bytes_max {
                return found;
            }
            // Whatever the bytes say, this ends.
            next = entry.event.prev_in_task.filter(|before| *before < seq);
            found.push((seq, entry));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::query::testing::{Log, task, thread};

    /// So many tasks of a thread, each of so many events, that take turns.
    fn log(tasks: usize, events: usize) -> Log {
        let mut log = Log::new();
        let ids: Vec<String> = (0..tasks).map(|number| format!("task-{number}")).collect();
        for id in &ids {
            log.spawn("t", id, None);
        }
        for id in (1..events).flat_map(|_| &ids) {
            log.message(id, "hello");
        }
        log
    }

    fn chains(log: &Log) -> Vec<Chain> {
        log.state_now().tasks().map(|task| (task.last_seq, task.events)).collect()
    }

    fn read_all(log: &Log, cores: usize, bytes_max: usize) -> BTreeMap<Seq, Entry> {
        read(log, chains(log).into_iter(), cores, bytes_max)
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
    fn what_one_core_reads_as_soon_is_left_to_the_walk() {
        for (tasks, events, cores) in [(12, 30, 1), (1, 500, 4), (8, 4, 4), (0, 1, 4)] {
            let log = log(tasks, events);
            assert!(read_all(&log, cores, usize::MAX).is_empty(), "{tasks} of {events}");
            assert_eq!(log.reads(), 0);
        }
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
        let mut log = log(4, 50);
        let (upwards, nowhere) = (Seq::new(150), Seq::new(5_000));
        log.forge(41, |event| event.prev_in_task = upwards);
        log.forge(42, |event| event.prev_in_task = nowhere);
        assert_eq!(read_all(&log, 2, usize::MAX).len(), 200 - 10 - 10);
        let last = log.state_now().task(&task("task-3")).unwrap().last_seq;
        let unknown = [(last, 50), (Seq::new(9_999).unwrap(), 50)];
        assert_eq!(read(&log, unknown.into_iter(), 2, usize::MAX).len(), 50);
        assert_eq!(log.state_now().thread(&thread("t")).unwrap().events, 200);
    }
}
