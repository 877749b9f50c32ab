//! The source of a tree's hashes that are no longer in memory.

use super::{BLOCK_LEAVES, KEPT_LEVEL, perfect_root};
use crate::{code::Code, ids::Seq};
use std::{cell::RefCell, error::Error, rc::Rc};
use tlog_tiles::{Hash, HashReader, split_stored_hash_index};

/// A log whose tree hashes and leaves can be read. Calls may block.
pub trait HashSource {
    /// The error of a failed read.
    type Error: Error + 'static;

    /// The tree hash with this index: one that [`Tree::push`](super::Tree::push) gave, or `None`.
    ///
    /// # Errors
    ///
    /// If it could not be read.
    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Self::Error>;

    /// The hashes of `count` leaves from `first` on, in order. `first` is the first leaf of a
    /// block, and `count` is at most [`BLOCK_LEAVES`].
    ///
    /// # Errors
    ///
    /// If they could not be read.
    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, Self::Error>;
}

/// The reason that no proof, root or tree could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError<E: Error + 'static> {
    /// The question is not about this log.
    #[error("no proof in a tree of {size} leaves")]
    OutOfRange {
        /// The size that was asked about.
        size: u64,
    },
    /// A hash that the log must have completed is not there.
    #[error("hash {index} of the tree is missing")]
    MissingTreeHash {
        /// Its number.
        index: u64,
    },
    /// Leaves that the log must hold are not there.
    #[error("{found} of {expected} leaves from {first} on")]
    MissingLeaves {
        /// The first one that was asked for.
        first: Seq,
        /// The number that was asked for.
        expected: u64,
        /// The number that was found.
        found: usize,
    },
    /// The log could not be read.
    #[error("hashes of the tree could not be read")]
    Source(#[source] E),
}

impl<E: Error + 'static> ProofError<E> {
    /// The kind of the error, as a word for exit codes, HTTP and metrics. `of_source` tells that
    /// of the log, if it was the log that could not be read.
    pub fn code(&self, of_source: impl FnOnce(&E) -> Code) -> Code {
        match self {
            Self::OutOfRange { .. } => Code::NoSuchEvent,
            Self::MissingTreeHash { .. } | Self::MissingLeaves { .. } => Code::Damaged,
            Self::Source(error) => of_source(error),
        }
    }
}

/// Gives every hash of a tree of `size` leaves, kept or made again.
pub(super) struct Reader<'a, S: HashSource> {
    source: &'a S,
    size: u64,
    /// The blocks that were read: a proof asks for several hashes of the same one or two.
    blocks: RefCell<Vec<Block>>,
    /// The error, since [`HashReader`] has no room for it.
    fault: RefCell<Option<ProofError<S::Error>>>,
}

/// Number and leaf hashes.
type Block = (u64, Rc<[[u8; 32]]>);

impl<'a, S: HashSource> Reader<'a, S> {
    pub(super) fn new(source: &'a S, size: u64) -> Self {
        Self { source, size, blocks: RefCell::default(), fault: RefCell::default() }
    }

    /// The hashes with these indexes.
    pub(super) fn hashes(&self, indexes: &[u64]) -> Result<Vec<[u8; 32]>, ProofError<S::Error>> {
        indexes.iter().map(|&index| self.hash(index)).collect()
    }

    /// Gives the hashes to `tlog_tiles` and returns its result. It refuses only sizes out of range.
    pub(super) fn run<T>(
        self,
        make: impl FnOnce(&Self) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, ProofError<S::Error>> {
        make(&self).map_err(|_| {
            let size = self.size;
            self.fault.take().unwrap_or(ProofError::OutOfRange { size })
        })
    }

    fn hash(&self, index: u64) -> Result<[u8; 32], ProofError<S::Error>> {
        let (level, n) = split_stored_hash_index(index);
        if level >= KEPT_LEVEL {
            let tree_hash = self.source.tree_hash(index).map_err(ProofError::Source)?;
            return tree_hash.ok_or(ProofError::MissingTreeHash { index });
        }
        let first_leaf = n << level;
        let leaves = self.block(first_leaf / BLOCK_LEAVES)?;
        let from = usize::try_from(first_leaf % BLOCK_LEAVES).unwrap_or(usize::MAX);
        let below = leaves.get(from..).and_then(|rest| rest.get(..1 << level));
        below
            .and_then(|leaves| perfect_root(leaves, level))
            .ok_or(ProofError::OutOfRange { size: self.size })
    }

    fn block(&self, number: u64) -> Result<Rc<[[u8; 32]]>, ProofError<S::Error>> {
        if let Some((_, leaves)) = self.blocks.borrow().iter().find(|(n, _)| *n == number) {
            return Ok(Rc::clone(leaves));
        }
        let before = number * BLOCK_LEAVES;
        let count = self.size.saturating_sub(before).min(BLOCK_LEAVES);
        let out_of_range = ProofError::OutOfRange { size: self.size };
        let first = Seq::FIRST.plus(before).filter(|_| count > 0).ok_or(out_of_range)?;
        let leaves = self.source.leaf_hashes(first, count).map_err(ProofError::Source)?;
        if u64::try_from(leaves.len()) != Ok(count) {
            let found = leaves.len();
            return Err(ProofError::MissingLeaves { first, expected: count, found });
        }
        let leaves: Rc<[[u8; 32]]> = leaves.into();
        self.blocks.borrow_mut().push((number, Rc::clone(&leaves)));
        Ok(leaves)
    }
}

impl<S: HashSource> HashReader for Reader<'_, S> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        match self.hashes(indexes) {
            Ok(hashes) => Ok(hashes.into_iter().map(Hash).collect()),
            Err(fault) => {
                self.fault.replace(Some(fault));
                Err(tlog_tiles::Error::IndexesNotInTree)
            }
        }
    }
}
