//! From what is stored to what is true: hold store, heads and hash tree against each other, then
//! replay.
//!
//! Nothing is written here. A difference is an error that says what and where; nothing is mended
//! in passing, and nothing is ever taken for an empty ledger.

use super::{
    OpenError, Options, ReadError,
    core::{Core, Writer},
    origin::OriginNote,
    reader::LogHashes,
    shared::{Published, Shared, decode},
};
use crate::{
    codec,
    event::Began,
    ids::{Head, LedgerId, NodeId, Seq},
    proof::Tree,
    snapshot,
    state::LedgerState,
    store::{FrameLog, Mark, SnapshotStore},
};
use std::sync::Arc;

/// Bytes that are read at once while replaying.
const REPLAY_BYTES: usize = 4 << 20;

/// Who a directory says it is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) ledger: LedgerId,
    pub(super) node: NodeId,
    pub(super) origin: Option<OriginNote>,
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
    let Loaded { mut state, snapshot_at } = newest_snapshot(&*log, &*snapshots)?;
    let (tree, marks) = replay(&*log, tree, &mut state)?;
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

struct Loaded {
    state: LedgerState,
    snapshot_at: u64,
}

/// The newest snapshot that is of this history; none is as good, only slower.
fn newest_snapshot(log: &dyn FrameLog, snapshots: &dyn SnapshotStore) -> Result<Loaded, OpenError> {
    let written = log.written();
    for at in snapshots.list()?.into_iter().rev() {
        let loaded = snapshots
            .load(at)
            .map_err(|e| e.to_string())
            .and_then(|bytes| snapshot::decode(&bytes).map_err(|e| e.to_string()));
        match loaded {
            Err(error) => tracing::warn!(%at, error, "snapshot is unusable: skipped"),
            Ok((_, head)) if head.seq() != Some(at) || head.size > written.size => {
                tracing::warn!(%at, "snapshot is of another history: skipped");
            }
            Ok((state, head)) => {
                // Its root is held against the tree only if the tree can tell; the fold of the
                // events after it, and `verify`, hold it against the events themselves.
                match crate::proof::root_at(head.size, &LogHashes(log)) {
                    Ok(root) if root == head.root => {
                        return Ok(Loaded { state, snapshot_at: head.size });
                    }
                    _ => tracing::warn!(%at, "snapshot is of another history: skipped"),
                }
            }
        }
    }
    Ok(Loaded { state: LedgerState::default(), snapshot_at: 0 })
}

/// Folds what the snapshot does not hold, hashes what the sealed store does not hold.
fn replay(
    log: &dyn FrameLog,
    mut tree: Tree,
    state: &mut LedgerState,
) -> Result<(Tree, Vec<Mark>), OpenError> {
    let written = log.written();
    let mut marks = Vec::new();
    let mut next = tree.size().min(state.size()) + 1;
    while let Some(from) = Seq::new(next).filter(|seq| seq.get() <= written.size) {
        let frames = log.read(from, REPLAY_BYTES)?;
        if frames.is_empty() {
            return Err(OpenError::LostTail { expected: written.size, found: next - 1 });
        }
        for frame in &frames {
            let Some(seq) = Seq::new(next).filter(|seq| seq.get() <= written.size) else { break };
            if next > tree.size() {
                let leaf = codec::leaf(frame)
                    .map_err(|e| ReadError::Damaged { seq, detail: e.to_string() })?;
                let completed = tree.push(leaf).into_iter();
                marks.extend(completed.map(|m| Mark { seq: m.seq, index: m.index, hash: m.hash }));
            }
            if next > state.size() {
                state.apply(&decode(seq, frame)?);
            }
            next += 1;
        }
    }
    check_root(written, tree.head())?;
    Ok((tree, marks))
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
