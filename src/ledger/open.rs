//! From what is stored to what is true: hold store, heads and hash tree against each other, then
//! replay.
//!
//! Nothing is written here. A difference is an error that says what and where; nothing is mended
//! in passing, and nothing is ever taken for an empty ledger.

use super::{
    OpenError, Options, ReadError,
    ahead::{BATCH_BYTES, BATCH_EVENTS, ahead},
    core::{Core, Writer},
    origin::OriginNote,
    reader::LogHashes,
    shared::{Published, Shared, decode},
};
use crate::{
    codec,
    event::{Began, Entry},
    ids::{Head, LedgerId, NodeId, Root, Seq},
    proof::Tree,
    snapshot,
    state::LedgerState,
    store::{Error, FrameLog, Mark, SnapshotStore},
};
use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

/// Bytes that are read at once while replaying: some dozen blocks. Ten times as many frames at
/// once are in no cache any more when they are decoded, and scattered over the heap.
const REPLAY_BYTES: usize = 256 << 10;

/// Who a directory says it is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) ledger: LedgerId,
    pub(super) node: NodeId,
    pub(super) origin: Option<OriginNote>,
    /// Whether this copy may append.
    pub(super) primary: bool,
}

/// Replays a log and makes it ready for appends.
pub(super) fn load(
    log: Arc<dyn FrameLog>,
    snapshots: Arc<dyn SnapshotStore>,
    identity: &Identity,
    options: &Options,
) -> Result<(Core, Arc<Shared>), OpenError> {
    let sealed = log.sealed();
    let tree = Tree::restore(sealed.size, &LogHashes(&*log))?;
    check_root(sealed, tree.head())?;
    let saved = snapshots.list()?;
    let tail = hash_tail(&*log, tree, &saved)?;
    let (mut state, snapshot_at) = newest_snapshot(&*log, &*snapshots, &saved, &tail)?;
    fold_rest(&*log, &mut state)?;
    let Tail { tree, marks, .. } = tail;
    log.resume(marks)?;

    let number_floor = log.reserved();
    let writer = Writer {
        ledger: identity.ledger,
        node: identity.node,
        epoch_nonce: options.entropy.number(),
        began: why(&state, identity),
        number_floor,
    };
    let published = Published { state: state.clone(), tree: tree.clone() };
    let shared = Shared::new(log, snapshots, published, snapshot_at, options.snapshots_kept);
    Ok((Core::new(state, tree, writer), Arc::new(shared)))
}

fn check_root(expected: Head, found: Head) -> Result<(), OpenError> {
    if expected.root == found.root {
        return Ok(());
    }
    Err(OpenError::Tampered { at: expected.size, expected: expected.root, found: found.root })
}

/// What is not sealed yet, hashed.
struct Tail {
    tree: Tree,
    marks: Vec<Mark>,
    /// The roots where snapshots were taken.
    roots: BTreeMap<u64, Root>,
}

/// Hashes what the sealed store does not hold, and holds it against the head.
fn hash_tail(log: &dyn FrameLog, mut tree: Tree, saved: &[Seq]) -> Result<Tail, OpenError> {
    let (mut marks, mut roots) = (Vec::new(), BTreeMap::new());
    for_each_frame(log, tree.size(), |seq, frame| {
        let damaged = |e: codec::DecodeError| ReadError::Damaged { seq, detail: e.to_string() };
        let completed = tree.push(codec::leaf(frame).map_err(damaged)?).into_iter();
        marks.extend(completed.map(|m| Mark { seq: m.seq, index: m.index, hash: m.hash }));
        if saved.contains(&seq) {
            roots.insert(tree.size(), tree.root());
        }
        Ok(())
    })?;
    check_root(log.written(), tree.head())?;
    Ok(Tail { tree, marks, roots })
}

/// The newest snapshot that is of this history, and how many events it holds; none is as good,
/// only slower.
fn newest_snapshot(
    log: &dyn FrameLog,
    snapshots: &dyn SnapshotStore,
    saved: &[Seq],
    tail: &Tail,
) -> Result<(LedgerState, u64), OpenError> {
    for at in saved.iter().rev().filter(|at| at.get() <= tail.tree.size()) {
        let root = match tail.roots.get(&at.get()) {
            Some(root) => *root,
            None => crate::proof::root_at(at.get(), &LogHashes(log))?,
        };
        let expected = Head { size: at.get(), root };
        let loaded = snapshots.load(*at).map_err(|e| e.to_string());
        match loaded.and_then(|bytes| snapshot::decode(&bytes).map_err(|e| e.to_string())) {
            Ok((state, head)) if head == expected => return Ok((state, head.size)),
            Ok(_) => tracing::warn!(%at, "snapshot is of another history: skipped"),
            Err(error) => tracing::warn!(%at, error, "snapshot is unusable: skipped"),
        }
    }
    Ok((LedgerState::default(), 0))
}

/// Folds what the snapshot does not hold, while another thread reads and decodes ahead.
fn fold_rest(log: &dyn FrameLog, state: &mut LedgerState) -> Result<(), OpenError> {
    let size = state.size();
    if log.written().size <= size {
        return Ok(());
    }
    let read = ahead(
        |handover| {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            let read = for_each_frame(log, size, |seq, frame| {
                entries.push(decode(seq, frame)?);
                bytes += frame.len();
                if entries.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES {
                    // Refused only if the fold has panicked, which ends the opening.
                    let _ = handover.pass(&mut entries);
                    entries.clear();
                    bytes = 0;
                }
                Ok(())
            });
            let _ = handover.pass(&mut entries);
            read
        },
        |entries: &mut Vec<Entry>| {
            for entry in &*entries {
                state.apply(entry);
            }
            ControlFlow::Continue(())
        },
    );
    read.map_err(|source| Error::Io { during: "start a thread", path: None, source })?
}

/// Visits every frame behind the first `size`.
fn for_each_frame(
    log: &dyn FrameLog,
    size: u64,
    mut visit: impl FnMut(Seq, &[u8]) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let written = log.written().size;
    let mut next = Seq::new(size.saturating_add(1));
    while let Some(from) = next.filter(|seq| seq.get() <= written) {
        let frames = log.read(from, REPLAY_BYTES)?;
        if frames.is_empty() {
            let found = from.leaf_index();
            return Err(OpenError::LostTail { expected: written, found });
        }
        for frame in &frames {
            let Some(seq) = next.filter(|seq| seq.get() <= written) else { break };
            visit(seq, frame)?;
            next = seq.next();
        }
    }
    Ok(())
}

/// Why this writer begins.
fn why(state: &LedgerState, identity: &Identity) -> Began {
    match identity.origin {
        _ if state.ledger() == Some(identity.ledger) => Began::Opened,
        None => Began::Created,
        Some(OriginNote::Forked(origin)) => Began::Forked(origin),
        Some(OriginNote::RestoredFrom(origin)) => Began::RestoredFrom(origin),
    }
}
