//! The hash tree over the log: one root per head, and short proofs about the events below it.
//!
//! The leaves form a Merkle tree as in RFC 6962 (SHA-256), computed by crate `tlog_tiles`, so that
//! other tools can check proofs that are made here. A leaf is opaque bytes: this module knows
//! neither frames nor events, and does no I/O. Hashes come from a [`HashSource`].
//!
//! Only hashes of level 4 and above are kept, as [`TreeHash`]es: one for each block of 16 leaves,
//! and those above it. Lower hashes are made again from the leaves of their block.
//!
//! Start reading at [`Tree`], which grows with the log, then [`prove_inclusion`] and
//! [`prove_consistency`]; [`Checkpoint`] is a head as text that can be signed.

use crate::ids::{BLOCK_EVENTS, Head, Root, Seq, Size, TreeHash};
use tlog_tiles::{Hash, node_hash, record_hash, stored_hash_index, sub_tree_index};

mod checkpoint;
mod common;
mod judged;
mod proofs;
mod source;

#[cfg(test)]
mod tests;

pub(crate) use judged::{Claims, Judged};

pub use checkpoint::{
    Checkpoint, CheckpointError, KeyPair, SigningKey, VerifyingKey, generate_keys,
};
pub use common::common_size;
pub use proofs::{
    CheckError, ConsistencyProof, InclusionProof, check_consistency, check_inclusion,
    prove_consistency, prove_inclusion, root_at,
};
pub use source::{HashSource, ProofError};

/// The lowest level of kept hashes: the one with a hash for each block.
pub const KEPT_LEVEL: u8 = 4;

/// The leaves below one hash of level [`KEPT_LEVEL`].
pub const BLOCK_LEAVES: u64 = 1 << KEPT_LEVEL;
const _: () = assert!(BLOCK_LEAVES == BLOCK_EVENTS, "a kept hash covers one block");

/// The largest tree that proofs are made for. Below it no index of a stored hash overflows.
pub const SIZE_MAX: u64 = 1 << 62;

/// The hash of a leaf: SHA-256 of a zero byte and the leaf. O(bytes).
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    record_hash(leaf).0
}

/// The right edge of the tree, which is enough to add leaves and to give the root. O(log n) memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// The roots of the perfect trees that make up this one, largest first: one for each bit that
    /// is set in `size`.
    edge: Vec<[u8; 32]>,
}

impl Tree {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of which the head alone is known: it gives size and root, and takes no leaves.
    pub(crate) fn ending_in(head: Head) -> Self {
        let edge = if head.size.is_empty() { Vec::new() } else { vec![head.root.0] };
        Self { size: head.size.get(), edge }
    }

    /// False of a tree of which the head alone is known.
    pub(crate) fn takes_leaves(&self) -> bool {
        u32::try_from(self.edge.len()) == Ok(self.size.count_ones())
    }

    /// The tree over the first `size` leaves of a log. O(log n) reads.
    ///
    /// # Errors
    ///
    /// [`ProofError`] if the source does not have a hash that it should have.
    pub fn restore<S: HashSource>(size: Size, source: &S) -> Result<Self, ProofError<S::Error>> {
        if size > SIZE_MAX {
            return Err(ProofError::OutOfRange { size: size.get() });
        }
        let edge = source::Reader::new(source, size.get()).hashes(&sub_tree_index(
            0,
            size.get(),
            vec![],
        ))?;
        Ok(Self { size: size.get(), edge })
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.size)
    }

    /// The root over the leaves. O(log n) hashes, about 2 us for a million leaves.
    #[must_use]
    pub fn root(&self) -> Root {
        root_of(&self.edge)
    }

    /// The size and the root.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: Size::new(self.size), root: self.root() }
    }

    /// Adds a leaf and returns the completed hashes, which the caller keeps. O(bytes), and one more
    /// hash on average.
    pub fn push(&mut self, leaf: &[u8]) -> Vec<TreeHash> {
        self.push_hash(leaf_hash(leaf))
    }

    /// Adds a leaf by its [`leaf_hash`]. One hash on average.
    pub fn push_hash(&mut self, leaf_hash: [u8; 32]) -> Vec<TreeHash> {
        let leaf_index = self.size;
        self.size += 1;
        let mut tree_hashes = Vec::new();
        let mut sum = Hash(leaf_hash);
        // Each bit that the new leaf carries over completes a tree of twice the size.
        for level in 1..=u8::try_from(self.size.trailing_zeros()).unwrap_or(u8::MAX) {
            let Some(left) = self.edge.pop() else { break };
            sum = node_hash(Hash(left), sum);
            if level >= KEPT_LEVEL
                && let Some(seq) = Seq::new(self.size)
            {
                let index = stored_hash_index(level, leaf_index >> level);
                tree_hashes.push(TreeHash { seq, index, hash: sum.0 });
            }
        }
        self.edge.push(sum.0);
        tree_hashes
    }
}

/// The root of the tree with this edge, largest part first.
fn root_of(edge: &[[u8; 32]]) -> Root {
    let mut right_to_left = edge.iter().rev();
    match right_to_left.next() {
        Some(&last) => {
            Root(right_to_left.fold(Hash(last), |sum, &left| node_hash(Hash(left), sum)).0)
        }
        None => Root::EMPTY,
    }
}

/// The root over 2^`level` leaf hashes; `None` of another number of them.
fn perfect_root(leaves: &[[u8; 32]], level: u8) -> Option<[u8; 32]> {
    let Some(below) = level.checked_sub(1) else {
        return if let &[leaf] = leaves { Some(leaf) } else { None };
    };
    let (left, right) = leaves.split_at_checked(1 << below)?;
    let (left, right) = (perfect_root(left, below)?, perfect_root(right, below)?);
    Some(node_hash(Hash(left), Hash(right)).0)
}
