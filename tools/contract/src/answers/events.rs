//! Events. The line of an event is that of the recordings that are exported.

use super::{At, Body, EventLine, Row, hex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskledger::event::Entry;

/// The first event after which a condition held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FirstBody {
    /// Which moment is shown.
    pub at: At,
    /// The condition.
    pub condition: String,
    /// The event; null if it never held.
    pub event: Option<EventLine>,
}

impl Body for FirstBody {
    const SCHEMA: &'static str = "taskledger.first/v1";
}

/// The commitments of an event's texts, which `log --raw` adds.
#[must_use]
pub fn commitments(entry: &Entry) -> Value {
    let parts = entry.event.parts.iter().zip(&entry.parts).map(|(promised, part)| {
        json!({
            "kind": promised.kind.as_str(),
            "len": promised.len,
            "digest": hex(&promised.digest),
            "salt": part.body.as_ref().map(|body| hex(&body.salt)),
        })
    });
    Value::Array(parts.collect())
}

impl Row for EventLine {
    const SCHEMA: &'static str = "taskledger.log/v1";
    const FIELDS: &'static [&'static str] = &[
        "schema",
        "seq",
        "epoch",
        "recorded_ms",
        "occurred_ms",
        "thread_id",
        "task_id",
        "prev_in_thread",
        "prev_in_task",
        "cause",
        "key",
        "action",
        "record",
        "outcome",
        "status",
        "completed_at_ms",
        "why",
        "scope",
        "run_id",
        "deadline_ms",
        "from",
        "delivery",
        "event_type",
        "redacts",
        "ledger_id",
        "node_id",
        "version",
        "incarnation",
        "origin",
        "texts",
        "withheld",
    ];

    fn name(&self) -> String {
        self.seq.unwrap_or(0).to_string()
    }

    fn is_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }
}
