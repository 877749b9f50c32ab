//! The ledger that is left, held against what was told.

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

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::{
        command::{Emit, Proposal, Spawn},
        event::Cause,
        ids::{CallId, Key, TaskId},
    };

    fn marked(text: &str) -> Cause {
        Cause::default().call(CallId::new(text).unwrap())
    }

    /// A ledger of a writer that spawned a task and was given another number for each of `marks`.
    fn ledger(marks: &[&str]) -> (tempfile::TempDir, Vec<u64>) {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(place.path().join("ledger"), Options::default()).unwrap();
        let task = TaskId::new("w0-0").unwrap();
        let spawn = Spawn::new(ThreadId::new(thread(0)).unwrap(), "soak").task(&task);
        ledger.append_blocking(spawn).unwrap();
        let mut seqs = Vec::new();
        for (number, mark) in marks.iter().enumerate() {
            let emit = Proposal::new(Emit::new(&task, "step", "1")).cause(marked(mark));
            let receipts = ledger.append_blocking(emit.key(Key::of(number.to_string()))).unwrap();
            seqs.push(receipts[0].seq.get());
        }
        ledger.close_blocking().unwrap();
        (place, seqs)
    }

    fn judged(marks: &[&str], receipts: impl Fn(&[u64]) -> Vec<u64>) -> Result<u64> {
        let (place, seqs) = ledger(marks);
        let receipts = receipts(&seqs).into_iter().map(|seq| vec![seq]).collect();
        let told = BTreeMap::from([(0, Told { receipts, ..Told::default() })]);
        let shared = Shared::new("socket".into(), "token".to_owned());
        judge(&place.path().join("ledger"), &shared, &told, &BTreeMap::new())
    }

    #[test]
    fn what_is_lost_elsewhere_twice_or_of_nobody_is_a_failure() {
        assert_eq!(judged(&["w0-0-0", "w0-1-0"], <[u64]>::to_vec).unwrap(), 2);
        let lost = judged(&["w0-0-0"], |seqs| vec![seqs[0], seqs[0] + 1]);
        assert!(lost.unwrap_err().to_string().contains("w0-1-0 was acknowledged"));
        judged(&["w0-0-0"], |seqs| vec![seqs[0] + 1]).unwrap_err();
        let twice = judged(&["w0-0-0", "w0-0-0"], |seqs| vec![seqs[0]]);
        assert!(twice.unwrap_err().to_string().contains("is there as"));
        let unknown = judged(&["w0-0-0", "w0-1-0"], |seqs| vec![seqs[0]]);
        assert!(unknown.unwrap_err().to_string().contains("2 events of writers"));
    }

    #[test]
    fn a_root_that_the_log_never_had_is_a_failure() {
        let (place, _) = ledger(&["w0-0-0"]);
        let path = place.path().join("ledger");
        let root = Ledger::open_read_only(&path, Options::default()).unwrap().reader().head().root;
        read(&path, &BTreeMap::from([(3, root.to_string())])).unwrap();
        read(&path, &BTreeMap::from([(2, root.to_string())])).unwrap_err();
        read(&path, &BTreeMap::from([(4, root.to_string())])).unwrap_err();
    }
}
