//! The frames and tree hashes that are not yet in sled, in memory. Reads look here first.
//!
//! Always begins with the first frame of a block, so that a block that was sealed half full can be
//! sealed again when it is whole.

use crate::{
    ids::{BLOCK_EVENTS, Seq, TreeHash},
    store::{Error, Group, Rewrite, disk::files::sector},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
};

/// The number of frames in one stored value.
pub(crate) const BLOCK: u64 = BLOCK_EVENTS;

/// The frame before the block of the frame after `size`: a multiple of 16.
pub(crate) fn block_start(size: u64) -> u64 {
    size - size % BLOCK
}

/// A frame that is shared instead of copied.
pub(crate) type SharedFrame = Arc<[u8]>;

/// Blocks to seal, one after the other; the last one may not be whole.
#[derive(Debug)]
pub(crate) struct Unsealed {
    pub(crate) first: Seq,
    pub(crate) frames: Vec<SharedFrame>,
    pub(crate) tree_hashes: Vec<TreeHash>,
}

/// The frames that wait to be sealed.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The size of the log before the first frame here; a multiple of 16.
    start: u64,
    frames: VecDeque<SharedFrame>,
    bytes: usize,
    tree_hashes: BTreeMap<u64, TreeHash>,
    /// The tree hashes by the frame that completes them.
    marks_by_seq: BTreeSet<(Seq, u64)>,
    /// Tree hashes that sled was given since it was last synced.
    given: BTreeMap<u64, TreeHash>,
}

impl Tail {
    /// An empty tail behind `start` events.
    pub(crate) fn new(start: u64) -> Self {
        assert_eq!(start % BLOCK, 0, "the tail begins with a block");
        Self {
            start,
            frames: VecDeque::new(),
            bytes: 0,
            tree_hashes: BTreeMap::new(),
            marks_by_seq: BTreeSet::new(),
            given: BTreeMap::new(),
        }
    }

    /// The size of the log up to the last frame here.
    pub(crate) fn size(&self) -> u64 {
        self.start + sector::wide(self.frames.len())
    }

    /// Bytes of the frames here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says whether it is shorter than a block: then sealing cannot make it shorter.
    pub(crate) fn is_short(&self) -> bool {
        self.size() - self.start < BLOCK
    }

    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.bytes += frame.len();
        self.frames.push_back(frame.into());
    }

    pub(crate) fn push_group(&mut self, group: &Group<'_>) {
        group.frames.iter().for_each(|frame| self.push(frame));
        self.add_tree_hashes(group.tree_hashes);
    }

    pub(crate) fn add_tree_hashes(&mut self, tree_hashes: &[TreeHash]) {
        self.tree_hashes.extend(tree_hashes.iter().map(|tree_hash| (tree_hash.index, *tree_hash)));
        self.marks_by_seq
            .extend(tree_hashes.iter().map(|tree_hash| (tree_hash.seq, tree_hash.index)));
    }

    pub(crate) fn tree_hash(&self, index: u64) -> Option<[u8; 32]> {
        let found = self.tree_hashes.get(&index).or_else(|| self.given.get(&index));
        found.map(|tree_hash| tree_hash.hash)
    }

    /// The frames from `from` on; `None` if that frame was sealed and removed.
    pub(crate) fn read(&self, from: Seq, bytes_max: usize) -> Option<Vec<SharedFrame>> {
        let skip = sector::narrow(from.get().checked_sub(self.start + 1)?);
        let mut bytes = 0;
        let fitting = self.frames.iter().skip(skip).enumerate().take_while(|(index, frame)| {
            bytes += frame.len();
            *index == 0 || bytes <= bytes_max
        });
        Some(fitting.map(|(_, frame)| Arc::clone(frame)).collect())
    }

    /// The frames to seal next and the tree hashes that they complete, from the first frame here
    /// on. Gives about `bytes_max` of blocks, at least one, not beyond `upto`. Gives only whole
    /// blocks unless `partial`.
    pub(crate) fn unsealed(&self, upto: u64, partial: bool, bytes_max: usize) -> Option<Unsealed> {
        let end = upto.min(self.size());
        let end = if partial { end } else { block_start(end) };
        let available = sector::narrow(end.checked_sub(self.start)?);
        let mut bytes = 0;
        let mut frames: Vec<SharedFrame> = Vec::new();
        for frame in self.frames.iter().take(available) {
            let whole = sector::wide(frames.len()).is_multiple_of(BLOCK);
            if whole && !frames.is_empty() && bytes >= bytes_max {
                break;
            }
            bytes += frame.len();
            frames.push(Arc::clone(frame));
        }
        if frames.is_empty() {
            return None;
        }
        let end = self.start + sector::wide(frames.len());
        let complete = self.marks_by_seq.iter().take_while(|(seq, _)| seq.get() <= end);
        let tree_hashes =
            complete.filter_map(|(_, index)| self.tree_hashes.get(index)).copied().collect();
        Some(Unsealed { first: Seq::new(self.start + 1)?, frames, tree_hashes })
    }

    /// The size of the log before the first frame here.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Removes the frames of whole blocks up to `size`, which are in sled, and these tree hashes.
    pub(crate) fn sealed(&mut self, size: u64, tree_hashes: &[TreeHash]) {
        while self.start < block_start(size) {
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= frame.len();
            self.start += 1;
        }
        for tree_hash in tree_hashes {
            self.tree_hashes.remove(&tree_hash.index);
            self.marks_by_seq.remove(&(tree_hash.seq, tree_hash.index));
            self.given.insert(tree_hash.index, *tree_hash);
        }
    }

    /// Forgets what sled was given: it is synced.
    pub(crate) fn settle(&mut self) {
        self.given.clear();
    }

    /// Puts `frames`, those after `start` up to the first one here, in front again, and the tree hashes
    /// that sled was given since it was last synced.
    pub(crate) fn go_back(&mut self, start: u64, frames: &[Vec<u8>]) {
        assert_eq!(start % BLOCK, 0, "the tail begins with a block");
        assert_eq!(start + sector::wide(frames.len()), self.start, "there is no gap");
        for frame in frames.iter().rev() {
            self.bytes += frame.len();
            self.frames.push_front(frame.as_slice().into());
        }
        self.start = start;
        let given: Vec<_> = std::mem::take(&mut self.given).into_values().collect();
        self.add_tree_hashes(&given);
    }

    /// Replaces each frame by the result of `rewrite`. Errors name `place`.
    pub(crate) fn rewrite(&mut self, rewrite: Rewrite<'_>, place: &Path) -> Result<(), Error> {
        for (frame, number) in self.frames.iter_mut().zip(self.start + 1..) {
            let Some(seq) = Seq::new(number) else { continue };
            let new = rewrite(seq, frame);
            if let Some(new) = new.map_err(|why| Error::not_rewritten(seq, Some(place), why))? {
                self.bytes = self.bytes - frame.len() + new.len();
                *frame = new.into();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(count: u8) -> Tail {
        let mut tail = Tail::new(32);
        (0..count).for_each(|byte| tail.push(&[byte; 10]));
        tail
    }

    #[test]
    fn only_whole_blocks_are_let_go() {
        let mut tail = tail_of(20);
        tail.sealed(52, &[]);
        assert_eq!((tail.start, tail.size(), tail.bytes()), (48, 52, 40));
        assert!(tail.read(Seq::new(48).unwrap(), 1).is_none());
        assert_eq!(tail.read(Seq::new(49).unwrap(), 1).unwrap().len(), 1);
        assert_eq!(tail.read(Seq::new(49).unwrap(), 25).unwrap().len(), 2);
    }

    #[test]
    fn a_block_beyond_what_is_synced_is_not_given_out_to_be_sealed() {
        let tail = tail_of(40);
        let count = |upto, partial, bytes| {
            tail.unsealed(upto, partial, bytes).map(|unsealed| unsealed.frames.len())
        };
        assert_eq!(count(47, false, usize::MAX), None);
        assert_eq!(count(47, true, usize::MAX), Some(15));
        assert_eq!(count(70, false, usize::MAX), Some(32));
        assert_eq!(count(70, true, usize::MAX), Some(38));
        assert_eq!(count(99, true, usize::MAX), Some(40));
    }

    #[test]
    fn no_more_blocks_are_given_out_at_once_than_were_asked_for_and_at_least_one() {
        let tail = tail_of(40);
        for (bytes_max, blocks) in [(0, 1), (160, 1), (161, 2), (321, 2)] {
            let unsealed = tail.unsealed(72, false, bytes_max).unwrap();
            assert_eq!(unsealed.frames.len(), blocks * 16, "{bytes_max}");
        }
    }

    fn tree_hash(seq: u64, index: u64) -> TreeHash {
        TreeHash { seq: Seq::new(seq).unwrap(), index, hash: [index.to_le_bytes()[0]; 32] }
    }

    #[test]
    fn it_is_short_up_to_a_whole_block() {
        assert!(tail_of(0).is_short() && tail_of(15).is_short());
        assert!(!tail_of(16).is_short() && !tail_of(33).is_short());
    }

    #[test]
    fn a_read_begins_where_it_is_asked_to_and_ends_before_its_limit() {
        let tail = tail_of(20);
        let read = |from, bytes_max| {
            let frames = tail.read(Seq::new(from).unwrap(), bytes_max)?;
            Some(frames.iter().map(|frame| frame[0]).collect::<Vec<_>>())
        };
        assert_eq!(read(32, 100), None);
        assert_eq!(read(33, 20), Some(vec![0, 1]));
        assert_eq!(read(35, 29), Some(vec![2, 3]));
        assert_eq!(read(35, 0), Some(vec![2]), "one, however long");
        assert_eq!(read(52, 100), Some(vec![19]));
        assert_eq!(read(53, 100), Some(vec![]));
    }

    #[test]
    fn marks_go_with_the_frames_that_complete_them() {
        let mut tail = tail_of(40);
        let tree_hashes = [tree_hash(48, 5), tree_hash(48, 6), tree_hash(64, 7)];
        tail.add_tree_hashes(&tree_hashes);
        assert_eq!(tail.tree_hash(6), Some([6; 32]));
        let first = tail.unsealed(48, false, usize::MAX).unwrap();
        assert_eq!(
            (first.first, first.tree_hashes),
            (Seq::new(33).unwrap(), tree_hashes[..2].to_vec())
        );
        assert_eq!(tail.unsealed(72, false, usize::MAX).unwrap().tree_hashes, tree_hashes);
        tail.sealed(48, &tree_hashes[..2]);
        assert_eq!(tail.tree_hash(6), Some([6; 32]), "sled may lose it");
        tail.settle();
        assert_eq!(
            (tail.tree_hash(5), tail.tree_hash(6), tail.tree_hash(7)),
            (None, None, Some([7; 32]))
        );
        let second = tail.unsealed(72, false, usize::MAX).unwrap();
        assert_eq!(
            (second.first, second.tree_hashes),
            (Seq::new(49).unwrap(), vec![tree_hashes[2]])
        );
    }

    #[test]
    fn what_sled_was_given_and_not_synced_with_can_be_given_again() {
        let mut tail = tail_of(40);
        let tree_hashes = [tree_hash(48, 5), tree_hash(64, 7)];
        tail.add_tree_hashes(&tree_hashes);
        let all = tail.unsealed(72, true, usize::MAX).unwrap();
        tail.sealed(48, &tree_hashes[..1]);
        tail.settle();
        tail.sealed(64, &tree_hashes[1..]);
        assert_eq!((tail.start(), tail.tree_hash(5), tail.tree_hash(7)), (64, None, Some([7; 32])));
        let frames: Vec<_> = all.frames[16..32].iter().map(|frame| frame.to_vec()).collect();
        tail.go_back(48, &frames);
        let again = tail.unsealed(72, true, usize::MAX).unwrap();
        assert_eq!((again.first.get(), tail.bytes()), (49, 240));
        assert_eq!(
            (&again.frames[..], again.tree_hashes),
            (&all.frames[16..], vec![tree_hashes[1]])
        );
    }

    #[test]
    fn what_is_rewritten_is_counted_as_it_is_now() {
        let mut tail = tail_of(20);
        let place = Path::new("tail");
        let shorter = |seq: Seq, frame: &[u8]| Ok((seq.get() == 34).then(|| frame[..3].to_vec()));
        tail.rewrite(&shorter, place).unwrap();
        assert_eq!(tail.bytes(), 193);
        let frames = tail.read(Seq::new(33).unwrap(), 1_000).unwrap();
        assert_eq!((&*frames[0], &*frames[1]), (&[0; 10][..], &[1; 3][..]));
        assert!(tail.rewrite(&|_, _| Err("no".into()), place).is_err());
    }
}
