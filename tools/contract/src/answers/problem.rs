//! Refusals of a server.

use super::EpochItem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A refusal: problem details (RFC 9457), with what a program decides by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBody {
    /// `urn:taskledger:problem:` and the code.
    pub r#type: String,
    /// The code in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// The kind of refusal: `unknown-task`. It never changes its meaning.
    pub code: String,
    /// What was wrong, for people.
    pub detail: String,
    /// True if the same request may be taken later.
    pub retryable: bool,
    /// The limit that was met, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Its value; of a time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// What one token may have of it, if that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u64>,
    /// `key-reused`: the event that has the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// `conflict`: the last event that the client has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// `conflict`: the last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<u64>,
    /// `other-history`: the events of this log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `other-history`: the root over them, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// `fenced`, `higher-epoch`: the epoch to which the node is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochItem>,
}
