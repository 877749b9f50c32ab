//! A client that comes back, of a log whose files rotate.

use crate::{
    log::Stream,
    support::{Server, until},
};
use std::{fs, iter, path::Path, thread};
use taskledger::{
    Ledger, Options,
    command::Spawn,
    ids::{Size, ThreadId},
    store::DiskOptions,
};

/// Small journals: some 25 of these events fill one.
fn small() -> Options {
    let store = DiskOptions::default().journal_bytes(64 << 10).flush_every(None);
    Options::default().store(store)
}

fn append(ledger: &Ledger, events: usize) {
    for _ in 0..events {
        let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x");
        ledger.append_blocking(spawn.description("x".repeat(2_000).as_str())).unwrap();
    }
}

/// The number of events before each file of the log.
fn seams(path: &Path) -> Vec<u64> {
    let entries = ["journal", "archive"].map(|name| fs::read_dir(path.join(name)).unwrap());
    let firsts = entries.into_iter().flatten().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.get(..20)?.parse::<u64>().ok()
    });
    let mut seams: Vec<u64> = firsts.map(|first| first - 1).collect();
    seams.sort_unstable();
    seams.dedup();
    seams
}

/// The ids and the numbers of all events after an id.
fn after(server: &Server, id: Option<&str>) -> Vec<(String, u64)> {
    let mut stream = Stream::events(server, "/v1/log?follow=false", id);
    assert_eq!(stream.status, 200, "{id:?}");
    let events = iter::from_fn(|| stream.event()).collect();
    assert!(stream.whole);
    events
}

/// Comes back at every seam, and beside it.
fn come_back(server: &Server, all: &[(String, u64)], seams: &[u64]) {
    for size in seams.iter().flat_map(|seam| [seam.saturating_sub(1), *seam, seam + 1]) {
        let Some((id, seq)) = all.iter().find(|(_, seq)| *seq == size) else { continue };
        let rest = usize::try_from(size).unwrap();
        assert_eq!(after(server, Some(id)), all[rest..], "after {seq}");
        let other = format!("{size}:{}", "ab".repeat(32));
        assert_eq!(Stream::events(server, "/v1/log", Some(&other)).status, 409);
    }
}

#[test]
fn a_client_goes_on_exactly_where_two_files_of_the_log_meet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let writer = Ledger::create(&path, small()).unwrap();
    append(&writer, 120);
    let reading = Ledger::open_read_only(&path, small()).unwrap();
    let servers = [Server::with(writer.clone(), |_| {}), Server::with(reading, |_| {})];
    let (before, mut told) = (seams(&path), Vec::new());
    assert!(before.len() > 3, "{before:?}");
    // Journals; then archives, with a journal behind them.
    for _ in 0..2 {
        let size = writer.reader().head().size;
        for server in &servers {
            until("it is there", || server.service.ledger().reader().head().size == size);
            let all = after(server, None);
            assert!(all.starts_with(&told));
            told.clone_from(&all);
            come_back(server, &all, &[&*before, &*seams(&path)].concat());
        }
        writer.flush_blocking().unwrap();
        append(&writer, 30);
    }
    let root = |seq: u64| writer.reader().root_at(Size::new(seq)).unwrap();
    let ids: Vec<_> = (1..=151).map(|seq| (format!("{seq}:{}", root(seq)), seq)).collect();
    assert_eq!(told, ids);
}

#[test]
fn a_client_that_comes_back_while_files_rotate_misses_nothing_and_gets_nothing_twice() {
    const LAST: u64 = 301;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let writer = Ledger::create(&path, small()).unwrap();
    let reading = Ledger::open_read_only(&path, small()).unwrap();
    let servers = [Server::with(writer.clone(), |_| {}), Server::with(reading, |_| {})];
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(move || {
                let (mut seen, mut id) = (0, None);
                while seen < LAST {
                    let mut stream = Stream::events(server, "/v1/log", id.as_deref());
                    assert_eq!(stream.status, 200, "{id:?}");
                    let left = usize::try_from(LAST - seen).unwrap();
                    for (last, seq) in iter::from_fn(|| stream.event()).take(left.min(7)) {
                        assert_eq!(seq, seen + 1);
                        (seen, id) = (seq, Some(last));
                    }
                }
            });
        }
        for _ in 0..10 {
            append(&writer, 30);
            writer.flush_blocking().unwrap();
        }
    });
    assert!(fs::read_dir(path.join("archive")).unwrap().count() > 5);
}
