//! Ledgers that were replaced when their node joined another primary, and what is in no other history.

use super::{Body, ChangeItem, Row};
use crate::words::part_names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use taskledger::{
    command::{Command, Proposal, Redact},
    ids::LedgerId,
    ledger::{Reader, Tail},
    query::{self, QueryError},
};

/// A ledger that was replaced.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DivergentItem {
    /// Its name: the epoch, the first and the last event that are in no other history.
    pub name: String,
    /// Its directory.
    pub path: String,
    /// The ledger's id.
    pub ledger: String,
    /// The first event that is in no other history.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// How many there are.
    pub events: u64,
}

/// What is in a ledger that was replaced, and in no other history.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TailBody {
    /// Its directory.
    pub path: String,
    /// The ledger's id.
    pub ledger: String,
    /// The epoch of its last event: `number/nonce`.
    pub epoch: Option<String>,
    /// The number of events that the ledger has too.
    pub common_size: u64,
    /// The root over them, in hex.
    pub common_root: String,
    /// The number of all events in it.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The events that are in no other history.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The tasks that they are about.
    pub tasks: Vec<String>,
    /// Those of them that began there: the ledger may give the same ids to other tasks.
    pub spawned: Vec<String>,
    /// What they changed.
    pub changes: Vec<ChangeItem>,
    /// Their redactions of events that the ledger has too.
    pub redactions: Vec<RedactionItem>,
    /// The batches that waited to be recorded when it was replaced.
    pub spooled: u64,
}

/// A redaction that the ledger may not know of: until it does, it shows these texts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedactionItem {
    /// The event that has the texts.
    pub seq: u64,
    /// Which of its texts.
    pub parts: Vec<String>,
    /// Why.
    pub reason: String,
    /// The key to record it under: 32 hexadecimal digits.
    pub key: Option<String>,
    /// True if the ledger at the path that it was at knows of it; null if that could not be read.
    pub known: Option<bool>,
}

impl DivergentItem {
    /// A ledger in the directory `path`.
    #[must_use]
    pub fn new(path: &Path, ledger: LedgerId, tail: &Tail) -> Self {
        Self {
            name: short_name(path),
            path: path.display().to_string(),
            ledger: ledger.to_string(),
            first_seq: tail.common.size.get().saturating_add(1),
            last_seq: tail.head.size.get(),
            events: tail.events,
        }
    }
}

/// The end of the name of a directory that was replaced: `1-301-303` of `ledger.divergent-1-301-303`.
#[must_use]
pub fn short_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once(".divergent-").map_or(&*name, |(_, short)| short).to_owned()
}

impl TailBody {
    /// The tail of the ledger in the directory `path`; `present` reads the ledger that is there in its
    /// place.
    ///
    /// # Errors
    /// [`QueryError::Read`] if an event could not be read.
    pub fn new(
        path: &Path,
        reader: &Reader,
        tail: &Tail,
        present: Option<&Reader>,
        spooled: u64,
    ) -> Result<Self, QueryError> {
        let (before, after) = (reader.state_at(tail.common.size)?, reader.state()?);
        let diff = query::diff(&before, &after, None);
        let changes = diff.changes.iter().map(|change| ChangeItem::new(change, &after, reader));
        let redactions =
            tail.redactions.iter().filter_map(|told| RedactionItem::new(told, present));
        Ok(Self {
            path: path.display().to_string(),
            ledger: reader.ledger_id().to_string(),
            epoch: tail.epoch.map(|epoch| epoch.to_string()),
            common_size: tail.common.size.get(),
            common_root: tail.common.root.to_string(),
            size: tail.head.size.get(),
            root: tail.head.root.to_string(),
            events: tail.events,
            bytes: tail.bytes,
            tasks: tail.tasks.iter().map(ToString::to_string).collect(),
            spawned: tail.spawned.iter().map(ToString::to_string).collect(),
            changes: changes.collect::<Result<_, _>>()?,
            redactions: redactions.collect(),
            spooled,
        })
    }
}

impl RedactionItem {
    fn new(proposal: &Proposal, present: Option<&Reader>) -> Option<Self> {
        let Command::Redact(Redact { seq, parts, reason, .. }) = &proposal.command else {
            return None;
        };
        let redacted = present.and_then(|present| present.redacted(*seq).ok());
        Some(Self {
            seq: seq.get(),
            parts: part_names(*parts).into_iter().map(str::to_owned).collect(),
            reason: reason.to_string(),
            key: proposal.key.map(|key| key.to_string()),
            known: redacted.map(|redacted| parts.minus(redacted).is_empty()),
        })
    }
}

impl Row for DivergentItem {
    const SCHEMA: &'static str = "taskledger.divergent/v1";
    const FIELDS: &'static [&'static str] =
        &["name", "path", "ledger", "first_seq", "last_seq", "events"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Body for TailBody {
    const SCHEMA: &'static str = "taskledger.tail/v1";
}
