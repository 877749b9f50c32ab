//! An unfinished commit: the frames to write, and the state that they lead to.
//!
//! Numbers, hashes and folds its events, and can take back the last batch. Knows neither rules nor
//! the writer; those are in [`super::core`].

use crate::{
    codec,
    event::Entry,
    ids::{Head, Seq, TreeHash},
    ledger::{AppendError, read::scoped::Scoped},
    proof::Tree,
    state::LedgerState,
    store::Group,
};
use std::sync::Arc;

/// Reads an event that is in the log already.
pub(crate) type Lookup<'a> = dyn Fn(Seq) -> Result<Entry, AppendError> + 'a;

/// The state and the tree after the same events.
#[derive(Debug)]
pub(crate) struct Published {
    /// The state; without threads, tasks and keys if these are read on demand.
    pub(crate) state: LedgerState,
    pub(crate) tree: Tree,
    /// Reads parts of the state on demand, in a ledger that is only read.
    pub(crate) scoped: Option<Arc<Scoped>>,
}

impl Published {
    /// A state that is all at hand.
    pub(crate) fn new(state: LedgerState, tree: Tree) -> Self {
        Self { state, tree, scoped: None }
    }
}

/// An unfinished commit.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) state: LedgerState,
    pub(crate) tree: Tree,
    /// The number of events that it stands on.
    pub(crate) base: u64,
    frames: Vec<Vec<u8>>,
    tree_hashes: Vec<TreeHash>,
    bytes: usize,
    /// True if it records why its writer began.
    pub(crate) began: bool,
    /// Frames that answer no request: a Began alone is not worth a commit.
    pub(crate) unasked: usize,
}

impl Staging {
    /// An empty commit on top of the published state.
    pub(crate) fn on(last: &Published) -> Self {
        let (state, tree) = (last.state.clone(), last.tree.clone());
        let base = tree.size();
        let (frames, tree_hashes) = (Vec::new(), Vec::new());
        Self {
            state,
            tree,
            base: base.get(),
            frames,
            tree_hashes,
            bytes: 0,
            began: false,
            unasked: 0,
        }
    }

    /// Says whether it has no event that a caller asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.len() == self.unasked
    }

    pub(crate) fn events(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn state(&self) -> &LedgerState {
        &self.state
    }

    pub(crate) fn head(&self) -> Head {
        self.tree.head()
    }

    /// The group to write; `None` if there is nothing.
    pub(crate) fn group(&self) -> Option<Group<'_>> {
        let first = Seq::new(self.base + 1)?;
        if self.frames.is_empty() {
            return None;
        }
        Some(Group {
            first,
            frames: &self.frames,
            root: self.tree.root(),
            tree_hashes: &self.tree_hashes,
        })
    }

    pub(crate) fn next_seq(&self) -> Seq {
        let next = Seq::FIRST.plus(self.tree.size().get());
        next.unwrap_or_else(|| unreachable!("a tree has fewer leaves than there are numbers"))
    }

    /// Adds the next event and its frame, which must be a sound one.
    pub(crate) fn push(&mut self, entry: &Entry, frame: Vec<u8>) -> Result<(), codec::DecodeError> {
        let seq = self.next_seq();
        assert_eq!(entry.event.seq, seq, "numbers are dense");
        assert!(entry.event.recorded >= self.state.recorded(), "time never runs backwards");
        let leaf = codec::leaf(&frame)?;
        let completed = self.tree.push(leaf).into_iter();
        self.tree_hashes.extend(completed);
        self.state.apply(entry);
        self.bytes += frame.len();
        self.frames.push(frame);
        Ok(())
    }

    /// Says whether the last frame says that its batch goes on.
    pub(crate) fn is_within_batch(&self) -> bool {
        self.frames.last().is_some_and(|frame| codec::batch_goes_on(frame))
    }

    /// Makes the last frame end its batch, if it does not yet.
    pub(crate) fn end_batch(&mut self) {
        if self.is_within_batch()
            && let Some(last) = self.frames.last_mut()
        {
            *last = codec::end_batch(last).unwrap_or_else(|_| unreachable!("it was encoded here"));
        }
    }

    /// The entry of an event that this staging would write.
    fn staged(&self, seq: Seq) -> Option<Entry> {
        let index = usize::try_from(seq.get().checked_sub(self.base + 1)?).ok()?;
        codec::decode(self.frames.get(index)?).ok()
    }

    pub(crate) fn entry(&self, seq: Seq, lookup: &Lookup<'_>) -> Result<Entry, AppendError> {
        self.staged(seq).map_or_else(|| lookup(seq), Ok)
    }
}

/// The state to which a refused batch is undone. Maps are persistent, so this is O(log size).
pub(crate) struct Undo {
    state: LedgerState,
    tree: Tree,
    frames: usize,
    tree_hashes: usize,
    bytes: usize,
}

impl Undo {
    pub(crate) fn before(staging: &Staging) -> Self {
        Self {
            state: staging.state.clone(),
            tree: staging.tree.clone(),
            frames: staging.frames.len(),
            tree_hashes: staging.tree_hashes.len(),
            bytes: staging.bytes,
        }
    }

    pub(crate) fn apply(self, staging: &mut Staging) {
        staging.state = self.state;
        staging.tree = self.tree;
        staging.frames.truncate(self.frames);
        staging.tree_hashes.truncate(self.tree_hashes);
        staging.bytes = self.bytes;
    }
}
