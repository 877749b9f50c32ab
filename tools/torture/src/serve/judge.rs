//! What is left, held against what was told.

use super::{
    followers::{Given, Kind},
    shared::Shared,
    writers::{Told, mark, thread},
};
use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use taskledger::{
    Ledger, Options,
    audit::{VerifyOptions, verify},
    codec,
    ids::{Seq, ThreadId},
    proof::{Tree, leaf_hash},
};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The log as it is on disk, once nobody has it open.
#[derive(Debug, Default)]
struct Log {
    size: u64,
    /// The events of writers, by their marks.
    marks: BTreeMap<String, u64>,
    threads: BTreeMap<ThreadId, Vec<u64>>,
}

/// Holds the log against all that was told; how many events were acknowledged.
///
/// # Errors
/// If an event is lost or there twice, a stream had a gap, or a root is another one.
pub(super) fn judge(
    path: &Path,
    shared: &Shared,
    told: &BTreeMap<u64, Told>,
    given: &BTreeMap<u64, Given>,
) -> Result<u64> {
    let audited = verify(path, &VerifyOptions::default(), &mut |_, _| {})?;
    ensure!(audited.is_ok(), "{audited:?}");
    let log = read(path, &shared.roots())?;
    let mut acknowledged = 0;
    for (writer, told) in told {
        for (request, seqs) in (0_u64..).zip(&told.receipts) {
            for (place, seq) in seqs.iter().enumerate() {
                let mark = mark(*writer, request, place);
                let found = log.marks.get(&mark);
                ensure!(found == Some(seq), "{mark} was acknowledged as {seq}, and is {found:?}");
                acknowledged += 1;
            }
        }
    }
    let there = u64::try_from(log.marks.len())?;
    ensure!(there == acknowledged, "{there} events of writers, {acknowledged} acknowledged");
    for (follower, given) in given {
        let name = || format!("follower {follower}");
        ensure!(given.size == log.size, "{} saw {} of {}", name(), given.size, log.size);
        if let Kind::OfThread(writer) = given.kind {
            let thread = ThreadId::new(thread(writer))?;
            let events = log.threads.get(&thread).map(Vec::as_slice).unwrap_or_default();
            ensure!(given.seqs == events, "{} was not given the events of {thread}", name());
        } else {
            ensure!(given.events == log.size, "{} was given {}", name(), given.events);
        }
    }
    Ok(acknowledged)
}

/// Reads every event, and compares the root after it with the one that followers were told.
fn read(path: &Path, roots: &BTreeMap<u64, String>) -> Result<Log> {
    let ledger = Ledger::open_read_only(path, Options::default())?;
    let reader = ledger.reader();
    let (mut log, mut tree, mut keys) = (Log::default(), Tree::new(), BTreeSet::new());
    let last = reader.head().size.get();
    while log.size < last {
        let next = Seq::new(log.size + 1).context("a number")?;
        for frame in reader.frames(next, READ_BYTES)? {
            log.size += 1;
            tree.push_hash(leaf_hash(codec::leaf(&frame)?));
            let event = codec::decode(&frame)?.event;
            if let Some(told) = roots.get(&log.size) {
                let root = tree.root().to_string();
                ensure!(*told == root, "root {told} after {} events is {root}", log.size);
            }
            if let Some(key) = event.key {
                ensure!(keys.insert(key.0), "event {} has a key for the second time", log.size);
            }
            if let Some(thread) = event.thread {
                log.threads.entry(thread).or_default().push(log.size);
            }
            if let Some(call) = event.cause.call {
                let before = log.marks.insert(call.to_string(), log.size);
                ensure!(before.is_none(), "{call} is there as {before:?} and {}", log.size);
            }
        }
    }
    ensure!(tree.root() == reader.head().root, "the tree of the events is not that of the log");
    let beyond = roots.keys().next_back().filter(|size| **size > last);
    ensure!(beyond.is_none(), "a stream told of {beyond:?} events; there are {last}");
    Ok(log)
}
