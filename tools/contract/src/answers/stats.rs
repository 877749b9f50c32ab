//! Figures about a ledger.

use super::{At, Body, count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use taskledger::{
    ledger::{ReadError, Reader},
    query::{self, Position, View},
};

/// Figures about a ledger.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StatsBody {
    /// Which moment is shown.
    pub at: At,
    /// The ledger's id.
    pub ledger: String,
    /// The id of this copy of the ledger, which each directory has of its own; null if it cannot be told.
    #[serde(default)]
    pub node: Option<String>,
    /// Which primary is in charge.
    pub epoch: Option<String>,
    /// How many writers there have been.
    pub incarnation: u64,
    /// Events.
    pub events: u64,
    /// Threads.
    pub threads: u64,
    /// Tasks.
    pub tasks: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that completed.
    pub completed: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// The depth of the deepest task.
    pub depth: u64,
    /// Tasks of each type.
    pub types: BTreeMap<String, u64>,
    /// Events with redacted texts.
    pub redacted: u64,
    /// The root over the events; null for a moment that is not a prefix of the log.
    pub root: Option<String>,
    /// Bytes of all files of the ledger.
    pub disk_bytes: u64,
    /// Batches that wait in the spool for the next writer, at this moment whichever is shown; null if
    /// that cannot be told.
    #[serde(default)]
    pub spooled: Option<u64>,
}

impl StatsBody {
    /// Counts what `view`, a view of all of the ledger, holds. O(tasks).
    ///
    /// # Errors
    /// [`ReadError`] if the root could not be worked out.
    pub fn new(
        reader: &Reader,
        view: &View,
        disk_bytes: u64,
        spooled: Option<u64>,
    ) -> Result<Self, ReadError> {
        let state = &view.state;
        let counts = state.counts();
        let mut types = BTreeMap::new();
        for task in state.tasks() {
            *types.entry(task.record.task_type.to_string()).or_insert(0) += 1;
        }
        let root = match view.position {
            Position::Log(size) => Some(reader.root_at(size)?.to_string()),
            Position::Occurred(_) => None,
        };
        Ok(Self {
            at: At::from(view),
            ledger: reader.ledger_id().to_string(),
            node: reader.node_id().map(|node| node.to_string()),
            epoch: state.epoch().map(|epoch| epoch.to_string()),
            incarnation: state.incarnation(),
            events: view.size.get(),
            threads: count(state.threads().count()),
            tasks: counts.total(),
            running: counts.running,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
            depth: query::threads(state).iter().map(|row| count(row.depth)).max().unwrap_or(0),
            types,
            redacted: count(state.redactions().count()),
            root,
            disk_bytes,
            spooled,
        })
    }
}

impl Body for StatsBody {
    const SCHEMA: &'static str = "taskledger.stats/v1";
}
