//! Proofs that a log holds an event, and that it only grew. Made here, checked anywhere.

use super::{
    SIZE_MAX,
    source::{HashSource, ProofError, Reader},
};
use crate::{
    code::Code,
    ids::{Root, Seq, Size},
};
use tlog_tiles::{Hash, check_record, check_tree, prove_record, prove_tree, tree_hash};

/// The most hashes in a proof: two for each bit of the size of a tree.
const HASHES_MAX: usize = 128;

/// Shows that a leaf is in a log: the hashes beside the way from it up to the root (RFC 6962,
/// section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The number of the leaf.
    pub seq: Seq,
    /// The size of the log.
    pub size: Size,
    /// The hashes, from the leaf's neighbour upwards.
    pub hashes: Vec<[u8; 32]>,
}

/// Shows that a log begins with an earlier, smaller state of it (RFC 6962, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size then.
    pub old: Size,
    /// The size now.
    pub new: Size,
    /// The hashes, from below upwards.
    pub hashes: Vec<[u8; 32]>,
}

/// The reason that a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The proof is about a leaf or a size that the log cannot have.
    #[error("the proof is about {what} in a log of {size} events")]
    OutOfRange {
        /// The number of the event, or the size.
        what: u64,
        /// The size of the log.
        size: u64,
    },
    /// The proof has more hashes than any proof.
    #[error("proof of {len} hashes; the limit is {max} hashes")]
    TooLong {
        /// The number of its hashes.
        len: usize,
        /// The largest number that a proof can have.
        max: usize,
    },
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Refuted,
}

impl CheckError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OutOfRange { .. } | Self::TooLong { .. } | Self::Refuted => Code::NotProven,
        }
    }
}

/// The root over the first `size` leaves. O(log n) reads.
///
/// # Errors
///
/// [`ProofError`] if the source does not have a hash that it should have.
pub fn root_at<S: HashSource>(size: Size, source: &S) -> Result<Root, ProofError<S::Error>> {
    let root = reader(size.get(), source)?.run(|reader| tree_hash(size.get(), reader))?;
    Ok(Root(root.0))
}

/// Proves that event `seq` is in the log as it was at `size`. O(log n) reads.
///
/// # Errors
///
/// - [`ProofError::OutOfRange`] if the log had no such event then.
/// - Another one if the source does not have a hash that it should have.
pub fn prove_inclusion<S: HashSource>(
    seq: Seq,
    size: Size,
    source: &S,
) -> Result<InclusionProof, ProofError<S::Error>> {
    let proof = reader(size.get(), source)?
        .run(|hashes| prove_record(size.get(), seq.leaf_index(), hashes))?;
    Ok(InclusionProof { seq, size, hashes: proof.into_iter().map(|hash| hash.0).collect() })
}

/// Proves that the log at `new` begins with the log at `old`. O(log n) reads.
///
/// # Errors
///
/// - [`ProofError::OutOfRange`] if `old` is larger than `new`.
/// - Another one if the source does not have a hash that it should have.
pub fn prove_consistency<S: HashSource>(
    old: Size,
    new: Size,
    source: &S,
) -> Result<ConsistencyProof, ProofError<S::Error>> {
    // Every log begins with the empty one. RFC 6962 leaves that proof out.
    let proof = if old.is_empty() {
        Vec::new()
    } else {
        reader(new.get(), source)?.run(|reader| prove_tree(new.get(), old.get(), reader))?
    };
    Ok(ConsistencyProof { old, new, hashes: proof.into_iter().map(|hash| hash.0).collect() })
}

/// Checks that the leaf with this [`leaf_hash`](super::leaf_hash) is in the log with this root.
/// O(log n) hashes for any proof.
///
/// # Errors
///
/// [`CheckError`] if the proof does not show that.
pub fn check_inclusion(
    proof: &InclusionProof,
    leaf_hash: [u8; 32],
    root: Root,
) -> Result<(), CheckError> {
    let (size, leaf_index) = (proof.size, proof.seq.leaf_index());
    if leaf_index >= size {
        return Err(CheckError::OutOfRange { what: proof.seq.get(), size: size.get() });
    }
    check_record(&hashes(&proof.hashes)?, size.get(), Hash(root.0), leaf_index, Hash(leaf_hash))
        .map_err(|_| CheckError::Refuted)
}

/// Checks that the log with the root `new` begins with the log with the root `old`. O(log n) hashes
/// for any proof.
///
/// # Errors
///
/// [`CheckError`] if the proof does not show that.
pub fn check_consistency(proof: &ConsistencyProof, old: Root, new: Root) -> Result<(), CheckError> {
    if proof.old > proof.new {
        return Err(CheckError::OutOfRange { what: proof.old.get(), size: proof.new.get() });
    }
    let hashes = hashes(&proof.hashes)?;
    if proof.old == 0 {
        let holds =
            hashes.is_empty() && old == Root::EMPTY && (proof.new > 0 || new == Root::EMPTY);
        return if holds { Ok(()) } else { Err(CheckError::Refuted) };
    }
    check_tree(&hashes, proof.new.get(), Hash(new.0), proof.old.get(), Hash(old.0))
        .map_err(|_| CheckError::Refuted)
}

fn reader<S: HashSource>(size: u64, source: &S) -> Result<Reader<'_, S>, ProofError<S::Error>> {
    if size > SIZE_MAX {
        return Err(ProofError::OutOfRange { size });
    }
    Ok(Reader::new(source, size))
}

/// Refuses long proofs before `tlog_tiles` copies them once for each of their hashes.
fn hashes(proof: &[[u8; 32]]) -> Result<Vec<Hash>, CheckError> {
    if proof.len() > HASHES_MAX {
        return Err(CheckError::TooLong { len: proof.len(), max: HASHES_MAX });
    }
    Ok(proof.iter().map(|&hash| Hash(hash)).collect())
}
