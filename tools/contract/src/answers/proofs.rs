//! Checkpoints, proofs, and what a proof was found to prove.

use super::{Body, EventLine, hex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskledger::{
    event::{Entry, PartBody},
    ids::Seq,
    proof::{self, Checkpoint, ConsistencyProof, InclusionProof},
};

/// A checkpoint: how many events, and their root.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointBody {
    /// Which ledger: `taskledger/` and its id.
    pub origin: String,
    /// Events in it.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The checkpoint as a C2SP note.
    pub text: String,
}

/// That an event is in the log: hash upwards from the leaf, and compare with the root.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProofBody {
    /// The event.
    pub seq: u64,
    /// Its place among the leaves, from 0.
    pub leaf_index: u64,
    /// The leaf, in hex: the byte of the format and the event's, as `docs/format.md` has them.
    pub leaf: String,
    /// SHA-256 of a zero byte and the leaf, in hex.
    pub leaf_hash: String,
    /// Events in the log that the proof is about.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The hashes beside the path from leaf to root, in hex, nearest first (RFC 6962).
    pub path: Vec<String>,
    /// Size and root as a C2SP checkpoint; believe one that came another way.
    pub checkpoint: String,
    /// The texts that the event commits to, where they were asked for and are not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<ProofText>>,
}

/// A text beside an event, and what holds it against the event's commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProofText {
    /// Its kind: `description`, `error`, `result`, `content` or `reason`.
    pub kind: String,
    /// Its salt, in hex.
    pub salt: String,
    /// The text. A result is JSON text, as text.
    pub text: String,
}

/// That a log begins with what it was when it was smaller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsistencyBody {
    /// Events in the log as it was.
    pub old_size: u64,
    /// The root over them, in hex.
    pub old_root: String,
    /// Events in the log as it is.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The hashes that lead to both roots, in hex (RFC 6962).
    pub path: Vec<String>,
    /// Size and root as a C2SP checkpoint; believe one that came another way.
    pub checkpoint: String,
}

/// What a proof was found to prove.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CheckBody {
    /// The event that is in the log, if that was proven.
    pub seq: Option<u64>,
    /// The size that the log had when it was what it still begins with, if that was proven.
    pub old_size: Option<u64>,
    /// Events in the log.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// Which ledger.
    pub origin: String,
    /// Whether it was held against a checkpoint that did not come with it.
    pub expected: bool,
    /// The name of the key that signed that checkpoint, if a key was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The event, as its leaf has it, if it was proven; of its texts, those that came with the
    /// proof, which are the ones that it commits to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventLine>,
}

impl CheckpointBody {
    /// A checkpoint, and its `text`, which may be signed.
    #[must_use]
    pub fn new(checkpoint: &Checkpoint, text: String) -> Self {
        Self {
            origin: checkpoint.origin(),
            size: checkpoint.size.get(),
            root: checkpoint.root.to_string(),
            text,
        }
    }
}

impl ProofBody {
    /// That the event `seq` with this `leaf` is in the log of which `checkpoint` tells.
    #[must_use]
    pub fn new(seq: Seq, leaf: &[u8], proof: &InclusionProof, checkpoint: &Checkpoint) -> Self {
        Self {
            seq: seq.get(),
            leaf_index: seq.leaf_index(),
            leaf: hex(leaf),
            leaf_hash: hex(&proof::leaf_hash(leaf)),
            size: checkpoint.size.get(),
            root: checkpoint.root.to_string(),
            path: proof.hashes.iter().map(|hash| hex(hash)).collect(),
            checkpoint: checkpoint.to_text(),
            texts: None,
        }
    }

    /// The same, with the texts of its event.
    #[must_use]
    pub fn with_texts(self, entry: &Entry) -> Self {
        let texts = entry.parts.iter().filter_map(|part| {
            let PartBody { salt, text } = part.body.as_ref()?;
            let kind = part.kind.as_str().to_owned();
            Some(ProofText { kind, salt: hex(salt), text: text.to_string() })
        });
        Self { texts: Some(texts.collect()), ..self }
    }
}

impl ConsistencyBody {
    /// That the log of which `now` tells begins with the one of which `before` does.
    #[must_use]
    pub fn new(before: &Checkpoint, proof: &ConsistencyProof, now: &Checkpoint) -> Self {
        Self {
            old_size: before.size.get(),
            old_root: before.root.to_string(),
            size: now.size.get(),
            root: now.root.to_string(),
            path: proof.hashes.iter().map(|hash| hex(hash)).collect(),
            checkpoint: now.to_text(),
        }
    }
}

impl Body for CheckpointBody {
    const SCHEMA: &'static str = "taskledger.checkpoint/v1";
}

impl Body for ProofBody {
    const SCHEMA: &'static str = "taskledger.proof/v1";
}

impl Body for ConsistencyBody {
    const SCHEMA: &'static str = "taskledger.consistency/v1";
}

impl Body for CheckBody {
    const SCHEMA: &'static str = "taskledger.check/v1";
}
