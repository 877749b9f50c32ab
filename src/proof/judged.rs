//! Kept hashes of a source that is not trusted: each is held against a root before it is used, and
//! made from the leaves where there is none or where it does not hold.
//!
//! A file of hashes may be damaged or forged, and nothing in it says so. But a hash, its siblings up
//! to the edge of the tree and the rest of that edge give the root, or one of them is wrong. So a
//! hash costs O(log n) reads, and a wrong one costs time. Start reading at [`Judged::hash`].

use super::{BLOCK_LEAVES, KEPT_LEVEL, SIZE_MAX, perfect_root, root_of};
use crate::ids::{Head, Seq, TreeHash};
use std::collections::{BTreeMap, BTreeSet};
use tlog_tiles::{Hash, node_hash, split_stored_hash_index, stored_hash_index, sub_tree_index};

/// The level of the largest tree that is made from its leaves at once: 1,024 of them.
const RUN_LEVEL: u8 = 10;
/// The number of hashes after which those that are known are forgotten, to be judged again.
const KNOWN_MAX: usize = 1 << 16;

/// A log that has the leaves, and claims to have hashes.
pub(crate) trait Claims {
    /// The error of a failed read.
    type Error;

    /// The kept hash with this index by the word of a file, and the log up to the end of that file;
    /// `None` if no file has it. A file has all hashes that its events complete.
    fn claimed(&self, index: u64) -> Result<Option<([u8; 32], Head)>, Self::Error>;

    /// The hashes of `count` leaves from `first` on, in order; fewer at the end of the log.
    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, Self::Error>;
}

/// The hashes that were found to hold, or made.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    known: BTreeMap<u64, [u8; 32]>,
    /// The sizes at the ends of files that are not believed.
    refused: BTreeSet<u64>,
}

impl Judged {
    /// The kept hash with this index; `None` if the log is too short, or no kept hash has it.
    ///
    /// O(log n) reads where a file has the hash. Where none has it, O(leaves below it).
    pub(crate) fn hash<S: Claims>(
        &mut self,
        index: u64,
        source: &S,
    ) -> Result<Option<[u8; 32]>, S::Error> {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let hash = self.within(u64::MAX, index, source)?;
        self.known.extend(hash.map(|hash| (index, hash)));
        Ok(hash)
    }

    /// As [`hash`](Self::hash), by the word of files that end before `limit` events alone. Each step
    /// from file to file goes to an earlier one, so there is an end to it whatever they claim.
    fn within<S: Claims>(
        &mut self,
        limit: u64,
        index: u64,
        source: &S,
    ) -> Result<Option<[u8; 32]>, S::Error> {
        if let Some(known) = self.known.get(&index) {
            return Ok(Some(*known));
        }
        let Some((completed, _)) = TreeHash::place_of(index) else { return Ok(None) };
        if let Some((hash, end)) = source.claimed(index)? {
            let size = end.size.get();
            let of_file = (completed.get()..limit.min(SIZE_MAX)).contains(&size);
            if of_file && !self.refused.contains(&size) {
                // What cannot be judged is not believed. If its leaves cannot be read, that is told
                // below.
                if matches!(self.holds(index, hash, end, source), Ok(true)) {
                    return Ok(Some(hash));
                }
                self.refused.insert(size);
            }
        }
        let (level, n) = split_stored_hash_index(index);
        let made = self.make(limit, level, n, source)?;
        if level >= RUN_LEVEL {
            self.known.extend(made.map(|hash| (index, hash)));
        }
        Ok(made)
    }

    /// Makes a hash from the two below it, or from its leaves.
    fn make<S: Claims>(
        &mut self,
        limit: u64,
        level: u8,
        n: u64,
        source: &S,
    ) -> Result<Option<[u8; 32]>, S::Error> {
        if level <= RUN_LEVEL {
            let Some(first) = Seq::FIRST.plus(n << level) else { return Ok(None) };
            return Ok(perfect_root(&source.leaf_hashes(first, 1 << level)?, level));
        }
        let mut below = |n| self.within(limit, stored_hash_index(level - 1, n), source);
        let Some(left) = below(2 * n)? else { return Ok(None) };
        let Some(right) = below(2 * n + 1)? else { return Ok(None) };
        Ok(Some(node_hash(Hash(left), Hash(right)).0))
    }

    /// Says whether a hash of the file that ends at `end` is in the tree with that root. Then the
    /// other hashes of the file that were used are in it too.
    fn holds<S: Claims>(
        &mut self,
        index: u64,
        hash: [u8; 32],
        end: Head,
        source: &S,
    ) -> Result<bool, S::Error> {
        let mut used = vec![(index, hash)];
        let (mut level, mut n) = split_stored_hash_index(index);
        let mut sum = hash;
        while ((n >> 1) + 1) << (level + 1) <= end.size.get() {
            let beside = stored_hash_index(level, n ^ 1);
            let Some(other) = self.beside(beside, end, source, &mut used)? else {
                return Ok(false);
            };
            let (left, right) = if n & 1 == 0 { (sum, other) } else { (other, sum) };
            (sum, level, n) = (node_hash(Hash(left), Hash(right)).0, level + 1, n >> 1);
            let above = stored_hash_index(level, n);
            if let Some(known) = self.known.get(&above) {
                let holds = *known == sum;
                self.known.extend(used.into_iter().filter(|_| holds));
                return Ok(holds);
            }
            used.push((above, sum));
        }
        let mut edge = Vec::new();
        for peak in sub_tree_index(0, end.size.get(), vec![]) {
            let (peak_level, peak_n) = split_stored_hash_index(peak);
            let hash = if (peak_level, peak_n) == (level, n) {
                Some(sum)
            } else if peak_level >= KEPT_LEVEL {
                self.beside(peak, end, source, &mut used)?
            } else {
                break;
            };
            let Some(hash) = hash else { return Ok(false) };
            edge.push(hash);
        }
        let Some(rest) = rest_of_edge(end, source)? else { return Ok(false) };
        edge.extend(rest);
        let holds = root_of(&edge) == end.root;
        self.known.extend(used.into_iter().filter(|_| holds));
        Ok(holds)
    }

    /// A hash that another one of the file that ends at `end` is judged with: of the same file by its
    /// word, which is noted in `used`, and of an earlier one by that one's root.
    fn beside<S: Claims>(
        &mut self,
        index: u64,
        end: Head,
        source: &S,
        used: &mut Vec<(u64, [u8; 32])>,
    ) -> Result<Option<[u8; 32]>, S::Error> {
        if let Some(known) = self.known.get(&index) {
            return Ok(Some(*known));
        }
        match source.claimed(index)? {
            Some((hash, of)) if of == end => {
                used.push((index, hash));
                Ok(Some(hash))
            }
            _ => self.within(end.size.get(), index, source),
        }
    }
}

/// The hashes of the edge that are not kept, made from the leaves behind the last whole block.
fn rest_of_edge<S: Claims>(end: Head, source: &S) -> Result<Option<Vec<[u8; 32]>>, S::Error> {
    let count = end.size.get() % BLOCK_LEAVES;
    let Some(first) = Seq::FIRST.plus(end.size.get() - count) else { return Ok(None) };
    let leaves = if count == 0 { Vec::new() } else { source.leaf_hashes(first, count)? };
    let mut rest = leaves.as_slice();
    let mut edge = Vec::new();
    for level in (0..KEPT_LEVEL).rev().filter(|level| count & (1 << level) != 0) {
        let Some((these, behind)) = rest.split_at_checked(1 << level) else { return Ok(None) };
        edge.extend(perfect_root(these, level));
        rest = behind;
    }
    Ok(rest.is_empty().then_some(edge))
}

#[cfg(test)]
mod tests;
