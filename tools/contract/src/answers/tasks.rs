//! Tasks and threads. Their fields follow those of the rows that `taskledger::query` answers with.

use super::{At, Body, EventLine, ProcessItem, Row, count, json_or_text, notes_in, process_of};
use crate::words::{ERASED, WITHHELD, part_names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use taskledger::{
    event::{Entry, PartKind, TaskStatus},
    query::{TaskRow, ThreadRow, View},
    state::{LedgerState, Task},
};

/// One task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskItem {
    /// Its id.
    pub task_id: String,
    /// The thread that owns it.
    pub thread_id: String,
    /// What kind of task.
    pub task_type: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for; null once it is erased, or while it is withheld.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it failed or was cancelled; null if nothing was said, once it is erased, or while it is
    /// withheld.
    pub error: Option<String>,
    /// What it returned: any JSON value, or a string if it was not JSON; null if nothing, once it
    /// is erased, or while it is withheld.
    pub result: Value,
    /// When it was created.
    pub created_at_ms: u64,
    /// When it ended.
    pub completed_at_ms: Option<u64>,
    /// The task that spawned it, in this ledger or elsewhere.
    pub parent_task_id: Option<String>,
    /// The agent run that spawned it.
    pub run_id: Option<String>,
    /// The tool call that spawned it.
    pub call_id: Option<String>,
    /// The agent that spawned it.
    pub agent_id: Option<String>,
    /// One more than the number of its ancestors in this ledger.
    pub depth: u64,
    /// The event that brought it here.
    pub first_seq: u64,
    /// Its newest event.
    pub last_seq: u64,
    /// Which of its texts were erased: `description`, `error`, `result`.
    pub erased: Vec<String>,
    /// Which of its stored texts are not what was recorded, so that they are not shown.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// What its recording leaves in doubt about it, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has no terminal event.
    Running,
    /// It did what it was asked to do.
    Completed,
    /// It could not.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// One thread.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ThreadItem {
    /// Its id.
    pub thread_id: String,
    /// How many tasks it has.
    pub tasks: u64,
    /// How many of them run.
    pub running: u64,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// The depth of its deepest task.
    pub depth: u64,
    /// When its first event happened.
    pub first_ms: u64,
    /// When its latest event happened.
    pub last_ms: u64,
}

/// One task and the events about it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShowBody {
    /// Which moment is shown.
    pub at: At,
    /// The task.
    pub task: TaskItem,
    /// Its ancestors, nearest first.
    pub ancestors: Vec<String>,
    /// Its direct children.
    pub children: Vec<String>,
    /// The process that runs it, if its spawn recorded one.
    #[serde(default)]
    pub process: Option<ProcessItem>,
    /// The events about it, oldest first.
    pub history: Vec<EventLine>,
}

impl From<TaskStatus> for Status {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Running => Self::Running,
            TaskStatus::Completed => Self::Completed,
            TaskStatus::Failed => Self::Failed,
            TaskStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Status> for TaskStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

// The rows are taken apart by name: a field that the query learns of stops the build here.
impl From<TaskRow> for TaskItem {
    fn from(row: TaskRow) -> Self {
        let TaskRow {
            task_id,
            thread_id,
            task_type,
            name,
            description,
            status,
            error,
            result,
            created_at_ms,
            completed_at_ms,
            parent_task_id,
            run_id,
            call_id,
            agent_id,
            depth,
            first_seq,
            last_seq,
            erased,
            withheld,
        } = row;
        let names = |kinds| part_names(kinds).into_iter().map(str::to_owned).collect();
        let text = |text: Arc<str>| text.to_string();
        Self {
            task_id: task_id.to_string(),
            thread_id: thread_id.to_string(),
            task_type: text(task_type),
            name: name.map(text),
            description: description.map(text),
            status: status.into(),
            error: error.map(text),
            result: result.map_or(Value::Null, |text| json_or_text(&text)),
            created_at_ms,
            completed_at_ms,
            parent_task_id: parent_task_id.map(|id| id.to_string()),
            run_id: run_id.map(|id| id.to_string()),
            call_id: call_id.map(|id| id.to_string()),
            agent_id: agent_id.map(|id| id.to_string()),
            depth: count(depth),
            first_seq,
            last_seq,
            erased: names(erased),
            withheld: names(withheld),
            notes: Vec::new(),
        }
    }
}

impl From<ThreadRow> for ThreadItem {
    fn from(row: ThreadRow) -> Self {
        let ThreadRow {
            thread_id,
            tasks,
            running,
            completed,
            failed,
            cancelled,
            depth,
            first_ms,
            last_ms,
        } = row;
        Self {
            thread_id: thread_id.to_string(),
            tasks,
            running,
            completed,
            failed,
            cancelled,
            depth: count(depth),
            first_ms,
            last_ms,
        }
    }
}

impl TaskItem {
    /// The same, with notes.
    #[must_use]
    pub fn noted(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// One of its texts for people: empty if there is none; `(erased)`, or that it is withheld.
    #[must_use]
    pub fn told(&self, kind: PartKind) -> String {
        if self.erased.iter().any(|erased| erased == kind.as_str()) {
            return ERASED.to_owned();
        }
        if self.withheld.iter().any(|withheld| withheld == kind.as_str()) {
            return WITHHELD.to_owned();
        }
        let text = match kind {
            PartKind::Description => self.description.clone(),
            PartKind::Error => self.error.clone(),
            PartKind::Result => (!self.result.is_null()).then(|| self.result.to_string()),
            PartKind::Content | PartKind::Reason => None,
        };
        text.unwrap_or_default()
    }
}

impl Row for TaskItem {
    const SCHEMA: &'static str = "taskledger.tasks/v1";
    const FIELDS: &'static [&'static str] = &[
        "task_id",
        "thread_id",
        "task_type",
        "name",
        "description",
        "status",
        "error",
        "result",
        "created_at_ms",
        "completed_at_ms",
        "parent_task_id",
        "run_id",
        "call_id",
        "agent_id",
        "depth",
        "first_seq",
        "last_seq",
        "erased",
        "withheld",
        "notes",
    ];

    fn name(&self) -> String {
        self.task_id.clone()
    }

    fn is_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }
}

impl Row for ThreadItem {
    const SCHEMA: &'static str = "taskledger.threads/v1";
    const FIELDS: &'static [&'static str] = &[
        "thread_id",
        "tasks",
        "running",
        "completed",
        "failed",
        "cancelled",
        "depth",
        "first_ms",
        "last_ms",
    ];

    fn name(&self) -> String {
        self.thread_id.clone()
    }
}

impl Body for ShowBody {
    const SCHEMA: &'static str = "taskledger.task/v1";
}

impl ShowBody {
    /// A task of `view` with its `history`; its relatives are those in `thread`, its whole thread.
    #[must_use]
    pub fn new(view: &View, thread: &LedgerState, task: TaskRow, history: &[Entry]) -> Self {
        let ids = |tasks: Vec<&Arc<Task>>| tasks.iter().map(|task| task.id.to_string()).collect();
        Self {
            at: At::from(view),
            ancestors: ids(thread.ancestors(&task.task_id)),
            children: ids(thread.children(&task.task_id).collect()),
            process: match history {
                [spawn, next, ..] => process_of(spawn, next),
                _ => None,
            },
            history: history.iter().map(EventLine::from).collect(),
            task: TaskItem::from(task).noted(notes_in(history)),
        }
    }
}
