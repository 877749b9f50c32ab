//! From stored bytes to a state: checks store, heads and hash tree against each other, then
//! replays.
//!
//! No event is written here. A difference is an error that names it and its place; nothing is
//! repaired in passing, and nothing is ever taken for an empty ledger. Only snapshots that can never
//! be used are put out of the way, once all else holds.

use crate::{
    codec,
    event::Began,
    ids::{Head, Root, Seq, Size, TreeHash},
    ledger::{
        OpenError, Options,
        commit::{
            core::{Author, Core},
            shared::{KeptSnapshots, Shared, Stores, unreadable},
            staging::Published,
        },
        copy::origin::OriginNote,
        read::{hashes::LogHashes, replay, saved, texts::Withheld},
    },
    proof::Tree,
    state::LedgerState,
    store::{FrameLog, Identity, Opened, Role, SnapshotStore},
};
use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

/// Replays a log and makes it ready for appends.
pub(crate) fn load(opened: Opened, options: &Options) -> Result<(Core, Arc<Shared>), OpenError> {
    let Opened { log, snapshots, node } = opened;
    let sealed = log.sealed();
    let tree = Tree::restore(sealed.size, &LogHashes(&*log))?;
    check_root(sealed, tree.head())?;
    let saved = snapshots.list()?;
    let tail = hash_tail(&*log, tree, &saved)?;
    let saved::Newest { mut state, useless } =
        saved::newest(&*snapshots, &saved, tail.tree.head().seq(), |size| {
            let named = match tail.roots.get(&size) {
                Some(root) => Some(*root),
                None => log.named_root(Size::new(size))?,
            };
            let hashed = || root_without_name(&*log, Size::new(size));
            named.map_or_else(hashed, |root| Ok(Some(root)))
        })?;
    let snapshot_at = state.size();
    let written = log.written().size;
    let withheld = Withheld::default();
    replay::fold(&*log, &mut state, written.get(), &withheld, |seq| lost(written.get(), seq))?;
    let Unsealed { tree, tree_hashes, .. } = tail;
    log.resume(tree_hashes)?;
    set_aside(&*snapshots, &useless);
    let published = (Arc::new(Published::new(state, tree)), withheld);
    Ok(assemble((log, snapshots, node), published, snapshot_at, options))
}

/// The root that the tree hashes give; `None` if the sealed store, which nothing else here needs, does
/// not tell: the replay then begins with an older snapshot.
fn root_without_name(log: &dyn FrameLog, size: Size) -> Result<Option<Root>, OpenError> {
    match crate::proof::root_at(size, &LogHashes(log)).map_err(OpenError::from) {
        Ok(root) => Ok(Some(root)),
        // The log itself has lost its end.
        Err(error @ OpenError::LostTail { expected, .. }) if expected > log.written().size => {
            Err(error)
        }
        Err(error) => {
            tracing::warn!(%size, %error, "the root at a snapshot cannot be told");
            Ok(None)
        }
    }
}

/// Joins a state, with what was withheld from it, and the store that it was read from.
pub(crate) fn assemble(
    (log, snapshots, node): Stores,
    (published, withheld): (Arc<Published>, Withheld),
    snapshot_at: Size,
    options: &Options,
) -> (Core, Arc<Shared>) {
    let (identity, number_floor) = (node.identity(), log.reserved());
    let writer = Author {
        ledger: identity.ledger,
        node: identity.node,
        epoch_nonce: options.entropy.number(),
        promised: identity.promised,
        began: why(&published.state, &identity),
        number_floor,
    };
    let core = Core::new(Arc::clone(&published), writer);
    let Options { snapshots_kept: newest, snapshot_distance: distance, .. } = *options;
    let kept = KeptSnapshots { newest, distance };
    let mut shared = Shared::new((log, snapshots, node), published, snapshot_at.get(), kept);
    shared.withheld = withheld;
    (core, Arc::new(shared))
}

/// Puts snapshots out of the way that were of no use to this opening: each later one would only find
/// the same. A new one is taken when it is due.
fn set_aside(snapshots: &dyn SnapshotStore, useless: &[Seq]) {
    for at in useless {
        match snapshots.set_aside(*at) {
            Ok(()) => tracing::info!(%at, "snapshot was put out of the way"),
            Err(error) => tracing::warn!(%at, %error, "a useless snapshot stays where it is"),
        }
    }
}

fn check_root(expected: Head, found: Head) -> Result<(), OpenError> {
    if expected.root == found.root {
        return Ok(());
    }
    Err(OpenError::Tampered { at: expected.size.get(), expected: expected.root, found: found.root })
}

fn lost(expected: u64, first: Seq) -> OpenError {
    OpenError::LostTail { expected, found: first.leaf_index() }
}

/// The hashes of the events that are not sealed yet.
struct Unsealed {
    tree: Tree,
    tree_hashes: Vec<TreeHash>,
    /// The roots at the snapshots.
    roots: BTreeMap<u64, Root>,
}

/// Hashes the events that the sealed store does not hold, and checks the result against the head.
fn hash_tail(log: &dyn FrameLog, mut tree: Tree, saved: &[Seq]) -> Result<Unsealed, OpenError> {
    let (mut tree_hashes, mut roots) = (Vec::new(), BTreeMap::new());
    let span = (tree.size().get(), log.written().size.get());
    replay::each_frame(
        log,
        span,
        |seq| lost(span.1, seq),
        |seq, frame| {
            let leaf = codec::leaf(&frame).map_err(|error| unreadable(seq, error))?;
            let completed = tree.push(leaf).into_iter();
            tree_hashes.extend(completed);
            if saved.contains(&seq) {
                roots.insert(tree.size().get(), tree.root());
            }
            Ok::<_, OpenError>(ControlFlow::Continue(()))
        },
    )?;
    check_root(log.written(), tree.head())?;
    Ok(Unsealed { tree, tree_hashes, roots })
}

/// The reason that this writer begins; `None` if it writes only what others began.
///
/// A primary whose log has not reached the epoch that it promised was stopped while it took over in
/// that epoch: to go on in the old one would break the promise.
fn why(state: &LedgerState, identity: &Identity) -> Option<Began> {
    let reached = state.epoch().map_or(0, |epoch| epoch.number);
    match (identity.role, OriginNote::of_note(&identity.note)) {
        (Role::Standby | Role::Divergent, _) => None,
        (Role::Primary, _) if identity.fenced.is_some() => None,
        (Role::Primary, _) if identity.promised.is_some_and(|it| it.number > reached) => {
            Some(Began::Promoted)
        }
        _ if state.ledger() == Some(identity.ledger) => Some(Began::Opened),
        (Role::Primary | Role::Copying, None) => Some(Began::Created),
        (Role::Primary | Role::Copying, Some(OriginNote::Forked(origin))) => {
            Some(Began::Forked(origin))
        }
        (Role::Primary | Role::Copying, Some(OriginNote::RestoredFrom(origin))) => {
            Some(Began::RestoredFrom(origin))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Command, Proposal, Spawn},
        ids::ThreadId,
        ledger::Ledger,
        snapshot,
        store::{Group, MemStore, NodeStore},
    };

    fn spawns(tasks: u64) -> Vec<Proposal> {
        let spawn = |_| Spawn::new(ThreadId::new("t").unwrap(), "sub_agent");
        (0..tasks).map(|number| Command::Spawn(spawn(number)).into()).collect()
    }

    /// A store with these spawns behind the event that says who began.
    fn stored(tasks: u64) -> MemStore {
        let store = MemStore::new();
        let ledger = Ledger::open_or_create_in(&store, Options::default()).unwrap();
        ledger.append_blocking(spawns(tasks)).unwrap();
        store.reopen()
    }

    fn opened(store: &MemStore) -> Result<LedgerState, OpenError> {
        let ledger = Ledger::open_in(store, Options::default())?;
        Ok(ledger.reader().state().unwrap())
    }

    #[test]
    fn events_that_do_not_lead_to_the_root_are_not_opened() {
        let log = stored(3);
        let frames = log.read(Seq::FIRST, usize::MAX).unwrap();
        let other = Root([7; 32]);
        let forged = MemStore::new();
        forged.set_identity(NodeStore::identity(&log)).unwrap();
        let group = Group { first: Seq::FIRST, frames: &frames, root: other, tree_hashes: &[] };
        forged.append(group).unwrap();
        let OpenError::Tampered { at: 4, expected, found } = opened(&forged).unwrap_err() else {
            panic!("not what is wrong");
        };
        assert_eq!((expected, found), (other, log.written().root));
    }

    /// Saves the state of another history of `size` events as that of this log: an opening that begins
    /// with it knows one task less than the log.
    fn plant(store: &MemStore, size: u64, root: Root) -> LedgerState {
        let mut state = LedgerState::default();
        let frames = store.read(Seq::FIRST, usize::MAX).unwrap();
        for frame in frames.iter().take(usize::try_from(size).unwrap()) {
            let mut entry = codec::decode(frame).unwrap();
            entry.event.task = entry.event.task.filter(|id| id.as_str() != "bg_0");
            state.apply(&entry);
        }
        let head = Head { size: Size::new(size), root };
        store.save(head.seq().unwrap(), &snapshot::encode(&state, head)).unwrap();
        state
    }

    #[test]
    fn the_replay_begins_with_the_newest_snapshot_of_this_history() {
        let store = stored(9);
        let third = crate::proof::root_at(Size::new(3), &LogHashes(&store)).unwrap();
        assert_eq!(opened(&store).unwrap().tasks_len(), 9);
        let older = store.reopen();
        plant(&older, 3, third);
        assert_eq!(opened(&older).unwrap().tasks_len(), 8, "it began with what was planted");
        let newer = older.reopen();
        plant(&newer, 6, Root([7; 32]));
        assert_eq!(opened(&newer).unwrap().tasks_len(), 8, "that one is of another history");
        let newest = newer.reopen();
        let planted = plant(&newest, 10, newest.written().root);
        assert_eq!(opened(&newest).unwrap(), planted, "nothing is left to replay");
    }
}
