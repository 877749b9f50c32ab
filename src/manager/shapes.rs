//! The values that users of a manager hold, and their JSON, which never changes.
//!
//! Knows no ledger. The event types at the core are not serializable by themselves: what JSON
//! looks like is decided here.

use crate::{event::TaskStatus, ids::TaskId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a task returned.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskResult {
    /// It did what it was asked to do.
    Success(Value),
    /// It could not, for this reason.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

impl TaskResult {
    /// Where a task stands that returned this.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        match self {
            Self::Success(_) => TaskStatus::Completed,
            Self::Failed(_) => TaskStatus::Failed,
            Self::Cancelled => TaskStatus::Cancelled,
        }
    }
}

/// Where a task comes from. What is `None` is filled from the surroundings of the spawn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskParentContext {
    /// The background task that spawns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The agent run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

impl TaskParentContext {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What happened to a task, as it is told to an inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskEvent {
    /// It did what it was asked to do.
    Completed {
        /// The task.
        task_id: TaskId,
        /// What it returned; older JSON may leave it out.
        #[serde(default)]
        result: Value,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// It could not.
    Failed {
        /// The task.
        task_id: TaskId,
        /// Why.
        error: String,
        /// What brought it about, if it was not the task that said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<FailureReason>,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// It was stopped.
    Cancelled {
        /// The task.
        task_id: TaskId,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// Progress of a task, or a message to an agent (`agent_message`).
    Custom {
        /// The task that tells, or the agent that is told.
        task_id: TaskId,
        /// What kind of event.
        event_type: String,
        /// What is told.
        payload: Value,
        /// The ledger's event, if it was recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
}

impl TaskEvent {
    /// As it stands in an inbox.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Strings and JSON values have no way to fail.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// What ended a task that could not say so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Its manager was gone.
    Orphaned,
}

/// A task in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Its id.
    pub task_id: TaskId,
    /// What kind of task.
    pub task_type: String,
    /// What it is for.
    pub description: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "TaskParentContext::is_empty")]
    pub parent_context: TaskParentContext,
}

/// A task as older stores kept it, and as [`restore_for_thread`] takes it.
///
/// [`restore_for_thread`]: super::BackgroundTaskManager::restore_for_thread
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersistedTaskMeta {
    /// Its id.
    pub task_id: TaskId,
    /// The thread that owns it; empty in records of old.
    #[serde(default)]
    pub owner_thread_id: String,
    /// What kind of task.
    pub task_type: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    pub description: String,
    /// Where it stood.
    pub status: TaskStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
    /// Where it comes from.
    #[serde(default)]
    pub parent_context: TaskParentContext,
}

/// Tasks as older stores kept them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackgroundTaskStateSnapshot {
    /// Each under its id.
    pub tasks: BTreeMap<TaskId, PersistedTaskMeta>,
}

impl Serialize for TaskStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| {
            de::Error::unknown_variant(&text, &["running", "completed", "failed", "cancelled"])
        })
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
