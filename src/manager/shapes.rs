//! The values that users of a manager hold, and their JSON, which never changes.
//!
//! Knows no ledger. The event types at the core are not serializable by themselves: this module
//! decides the form of the JSON.

use crate::{event::TaskStatus, ids::TaskId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::collections::BTreeMap;

/// The return value of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskResult {
    /// The task did its work.
    Success(Value),
    /// The task could not do its work, for this reason.
    Failed(String),
    /// The task was stopped.
    Cancelled,
}

impl TaskResult {
    /// The status of a task that returned this.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        match self {
            Self::Success(_) => TaskStatus::Completed,
            Self::Failed(_) => TaskStatus::Failed,
            Self::Cancelled => TaskStatus::Cancelled,
        }
    }
}

/// The lineage of a task. A value that is `None` is filled from the surroundings of the spawn.
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
    /// Says whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An event of a task, as an inbox gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskEvent {
    /// The task did its work.
    Completed {
        /// The task.
        task_id: TaskId,
        /// Its result; older JSON may leave it out.
        #[serde(default)]
        result: Value,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// The task could not do its work.
    Failed {
        /// The task.
        task_id: TaskId,
        /// The error.
        error: String,
        /// The cause, if the task did not give the error itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<FailureReason>,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// The task was stopped.
    Cancelled {
        /// The task.
        task_id: TaskId,
        /// The ledger's event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// Progress of a task, or a message to an agent (`agent_message`).
    Custom {
        /// The task that reports, or the agent that gets the message.
        task_id: TaskId,
        /// The kind of event.
        event_type: String,
        /// The progress, or the message.
        payload: Value,
        /// The ledger's event, if it was recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
}

impl TaskEvent {
    /// The form in an inbox.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Strings and JSON values cannot fail.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// The cause of an end that the task could not report itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Its manager was gone.
    Orphaned,
}

/// A short form of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Its id.
    pub task_id: TaskId,
    /// Its type.
    pub task_type: String,
    /// Its description.
    pub description: String,
    /// Its status.
    pub status: TaskStatus,
    /// The error with which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The time at which it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// The time at which it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
    /// Its lineage.
    #[serde(default, skip_serializing_if = "TaskParentContext::is_empty")]
    pub parent_context: TaskParentContext,
}

/// A task in the form of older stores, which [`restore_for_thread`] takes.
///
/// [`restore_for_thread`]: super::BackgroundTaskManager::restore_for_thread
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersistedTaskMeta {
    /// Its id.
    pub task_id: TaskId,
    /// The thread that owns it; empty in old records.
    #[serde(default)]
    pub owner_thread_id: String,
    /// Its type.
    pub task_type: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its description.
    pub description: String,
    /// Its status.
    pub status: TaskStatus,
    /// The error with which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The time at which it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// The time at which it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
    /// Its lineage.
    #[serde(default)]
    pub parent_context: TaskParentContext,
}

/// Tasks in the form of older stores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackgroundTaskStateSnapshot {
    /// The tasks, each under its id.
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
