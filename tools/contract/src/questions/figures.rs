//! Figures, checkpoints and proofs.

use super::{AskError, Asked};
use crate::answers::{CheckpointBody, ConsistencyBody, ProofBody, StatsBody};
use std::{fs, path::Path};
use taskledger::{
    codec,
    ids::{Seq, Size},
    ledger::{ReadError, Reader, Spool},
    proof::{self, Checkpoint},
    query::Scope,
};

/// Asks for figures about the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsQuestion;

/// Asks for size and root at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointQuestion;

/// Asks for the proof that an event is in the log as it was at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofQuestion {
    /// The event.
    pub seq: Seq,
    /// True to put its texts and their salts into the proof.
    pub with_texts: bool,
}

/// Asks for the proof that the log begins with what it was at a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowthQuestion {
    /// The size.
    pub since: Size,
}

impl StatsQuestion {
    /// The figures. O(tasks).
    ///
    /// # Errors
    /// As [`taskledger::query::as_of`].
    pub fn answer(self, asked: &Asked<'_>) -> Result<StatsBody, AskError> {
        let view = asked.view(Scope::All)?;
        let spooled = asked.directory.and_then(|path| Spool::of(path).waiting().ok());
        let disk_bytes = asked.directory.map_or(0, disk_bytes);
        Ok(StatsBody::new(asked.reader, &view, disk_bytes, spooled)?)
    }
}

impl CheckpointQuestion {
    /// The checkpoint, not signed.
    ///
    /// # Errors
    /// [`taskledger::query::QueryError::NotLogPosition`] for a time of occurrence, and as
    /// [`Reader::root_at`].
    pub fn answer(self, asked: &Asked<'_>) -> Result<CheckpointBody, AskError> {
        let checkpoint = checkpoint(asked.reader, asked.position.log_position()?)?;
        Ok(CheckpointBody::new(&checkpoint, checkpoint.to_text()))
    }
}

impl ProofQuestion {
    /// The proof, which was checked.
    ///
    /// # Errors
    /// [`AskError::Size`] if the event came after the moment, and as
    /// [`Reader::prove_inclusion`].
    pub fn answer(self, asked: &Asked<'_>) -> Result<ProofBody, AskError> {
        let (reader, seq) = (asked.reader, self.seq);
        let size = asked.position.log_position()?;
        let entry = reader.entry(seq)?;
        if seq.get() > size {
            let text = format!("event {seq} is not among the first {size} events");
            return Err(AskError::Size(text));
        }
        let checkpoint = checkpoint(reader, size)?;
        let proof = reader.prove_inclusion(seq, size)?;
        let frames = reader.frames(seq, 1)?;
        let head = reader.head();
        let leaf = codec::leaf(frames.first().ok_or(ReadError::NoSuchEvent { seq, head })?)?;
        proof::check_inclusion(&proof, proof::leaf_hash(leaf), checkpoint.root)?;
        let body = ProofBody::new(seq, leaf, &proof, &checkpoint);
        Ok(if self.with_texts { body.with_texts(&entry) } else { body })
    }
}

impl GrowthQuestion {
    /// The proof, which was checked.
    ///
    /// # Errors
    /// [`AskError::Size`] if the log was never that large by the moment, and as
    /// [`Reader::prove_consistency`].
    pub fn answer(self, asked: &Asked<'_>) -> Result<ConsistencyBody, AskError> {
        let (reader, old) = (asked.reader, self.since);
        let size = asked.position.log_position()?;
        if old > size {
            let text = format!("the log of {size} events was never one of {old}");
            return Err(AskError::Size(text));
        }
        let (before, checkpoint) = (checkpoint(reader, old)?, checkpoint(reader, size)?);
        let proof = reader.prove_consistency(old, size)?;
        proof::check_consistency(&proof, before.root, checkpoint.root)?;
        Ok(ConsistencyBody::new(&before, &proof, &checkpoint))
    }
}

fn checkpoint(reader: &Reader, size: Size) -> Result<Checkpoint, ReadError> {
    Ok(Checkpoint { ledger: reader.ledger_id(), size, root: reader.root_at(size)? })
}

/// The bytes of all files below `path`; a file that cannot be looked at counts nothing.
fn disk_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
