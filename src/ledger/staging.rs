//! A commit in the making: what is to be written, and what would then be true.
//!
//! Numbers, hashes and folds what it is given, and can take back the last of it. Knows neither
//! rules nor who writes; that is [`super::core`].

use super::AppendError;
use crate::{
    codec,
    event::Entry,
    ids::{Head, Seq},
    proof::Tree,
    state::LedgerState,
    store::{Group, Mark},
};

/// Reads an event that is in the log already.
pub(super) type Lookup<'a> = dyn Fn(Seq) -> Result<Entry, AppendError> + 'a;

/// A commit in the making.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) state: LedgerState,
    pub(super) tree: Tree,
    /// What it stands on.
    pub(super) base: Head,
    frames: Vec<Vec<u8>>,
    marks: Vec<Mark>,
    bytes: usize,
    /// Whether it says why its writer began.
    pub(super) began: bool,
    /// Frames that are not an answer to anybody: a Began alone is not worth a commit.
    pub(super) unasked: usize,
}

impl Staging {
    /// Nothing yet, on top of what is true.
    pub(super) fn on(state: LedgerState, tree: Tree) -> Self {
        let base = tree.head();
        let (frames, marks) = (Vec::new(), Vec::new());
        Self { state, tree, base, frames, marks, bytes: 0, began: false, unasked: 0 }
    }

    /// Whether there is anything that somebody asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.len() == self.unasked
    }

    pub(super) fn events(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn state(&self) -> &LedgerState {
        &self.state
    }

    pub(super) fn head(&self) -> Head {
        self.tree.head()
    }

    /// What is to be written; `None` if there is nothing.
    pub(super) fn group(&self) -> Option<Group<'_>> {
        let first = Seq::new(self.base.size + 1)?;
        if self.frames.is_empty() {
            return None;
        }
        Some(Group { first, frames: &self.frames, root: self.tree.root(), marks: &self.marks })
    }

    pub(super) fn next_seq(&self) -> Result<Seq, AppendError> {
        let exhausted = || AppendError::Invalid { why: "no event numbers are left".to_owned() };
        self.tree.size().checked_add(1).and_then(Seq::new).ok_or_else(exhausted)
    }

    pub(super) fn push(&mut self, entry: &Entry, frame: Vec<u8>) -> Result<(), AppendError> {
        let seq = self.next_seq()?;
        assert_eq!(entry.event.seq, seq, "numbers are dense");
        assert!(entry.event.recorded >= self.state.recorded(), "time never runs backwards");
        let invalid = |e: codec::DecodeError| AppendError::Invalid { why: e.to_string() };
        let leaf = codec::leaf(&frame).map_err(invalid)?;
        let completed = self.tree.push(leaf).into_iter();
        self.marks.extend(completed.map(|m| Mark { seq: m.seq, index: m.index, hash: m.hash }));
        self.state.apply(entry);
        self.bytes += frame.len();
        self.frames.push(frame);
        Ok(())
    }

    /// The entry of an event that this staging would write.
    fn staged(&self, seq: Seq) -> Option<Entry> {
        let index = usize::try_from(seq.get().checked_sub(self.base.size + 1)?).ok()?;
        codec::decode(self.frames.get(index)?).ok()
    }

    pub(super) fn entry(&self, seq: Seq, lookup: &Lookup<'_>) -> Result<Entry, AppendError> {
        self.staged(seq).map_or_else(|| lookup(seq), Ok)
    }
}

/// What a refused batch must leave as it was. Maps are persistent, so this is O(log size).
pub(super) struct Undo {
    state: LedgerState,
    tree: Tree,
    frames: usize,
    marks: usize,
    bytes: usize,
}

impl Undo {
    pub(super) fn before(staging: &Staging) -> Self {
        Self {
            state: staging.state.clone(),
            tree: staging.tree.clone(),
            frames: staging.frames.len(),
            marks: staging.marks.len(),
            bytes: staging.bytes,
        }
    }

    pub(super) fn apply(self, staging: &mut Staging) {
        staging.state = self.state;
        staging.tree = self.tree;
        staging.frames.truncate(self.frames);
        staging.marks.truncate(self.marks);
        staging.bytes = self.bytes;
    }
}
