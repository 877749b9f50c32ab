//! Tasks and threads under the contract, as rows and as trees.

use crate::{
    events::{ERASED, json_or_text, part_names},
    forest,
    json::{Status, TaskItem, ThreadItem},
    output::Item,
    table::{Cell, Column},
    term::Look,
    time,
};
use clap::ValueEnum;
use taskledger::{
    event::{PartKind, TaskStatus},
    query::{self, Forest, TaskRow, ThreadRow},
    state::{Task, Text, TextBody},
    time::Millis,
};

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

/// A status as an option takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// It has no terminal event
    Running,
    /// It did what it was asked to do
    Completed,
    /// It could not
    Failed,
    /// It was stopped
    Cancelled,
}

impl From<StatusArg> for TaskStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Running => Self::Running,
            StatusArg::Completed => Self::Completed,
            StatusArg::Failed => Self::Failed,
            StatusArg::Cancelled => Self::Cancelled,
        }
    }
}

impl From<TaskRow> for TaskItem {
    fn from(row: TaskRow) -> Self {
        Self {
            task_id: row.task_id.to_string(),
            thread_id: row.thread_id.to_string(),
            task_type: row.task_type.to_string(),
            name: row.name.map(|text| text.to_string()),
            description: row.description.map(|text| text.to_string()),
            status: row.status.into(),
            error: row.error.map(|text| text.to_string()),
            result: row.result.map_or(serde_json::Value::Null, |text| json_or_text(&text)),
            created_at_ms: row.created_at_ms,
            completed_at_ms: row.completed_at_ms,
            parent_task_id: row.parent_task_id.map(|id| id.to_string()),
            run_id: row.run_id.map(|id| id.to_string()),
            call_id: row.call_id.map(|id| id.to_string()),
            agent_id: row.agent_id.map(|id| id.to_string()),
            depth: count(row.depth),
            first_seq: row.first_seq,
            last_seq: row.last_seq,
            erased: part_names(row.erased).into_iter().map(str::to_owned).collect(),
        }
    }
}

impl From<ThreadRow> for ThreadItem {
    fn from(row: ThreadRow) -> Self {
        Self {
            thread_id: row.thread_id.to_string(),
            tasks: row.tasks,
            running: row.running,
            completed: row.completed,
            failed: row.failed,
            cancelled: row.cancelled,
            depth: count(row.depth),
            first_ms: row.first_ms,
            last_ms: row.last_ms,
        }
    }
}

/// A number of things for JSON.
pub fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

impl TaskItem {
    /// One of its texts for people: empty if there is none, `(erased)` if it is erased.
    pub fn told(&self, kind: PartKind) -> String {
        if self.erased.iter().any(|erased| erased == kind.as_str()) {
            return ERASED.to_owned();
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

impl Item for TaskItem {
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
    ];
    const COLUMNS: &'static [Column] = &[
        Column::new("TASK"),
        Column::new("STATUS"),
        Column::new("TYPE").spare(3),
        Column::new("NAME").flexible().spare(1),
        Column::new("THREAD").flexible().wide(),
        Column::new("PARENT").wide(),
        Column::new("DEPTH").right().spare(5),
        Column::new("CREATED").spare(4),
        Column::new("TOOK").right().spare(2),
        Column::new("FIRST").right().wide(),
        Column::new("LAST").right().wide(),
        Column::new("RUN").wide(),
        Column::new("CALL").wide(),
        Column::new("AGENT").wide(),
        Column::new("DESCRIPTION").flexible(),
        Column::new("ERROR").flexible().wide(),
        Column::new("RESULT").flexible().wide(),
    ];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        let or_empty = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
        let took = self.completed_at_ms.map(|end| end.saturating_sub(self.created_at_ms));
        vec![
            self.task_id.clone().into(),
            Cell::status(self.status.into(), look),
            self.task_type.clone().into(),
            or_empty(&self.name),
            self.thread_id.clone().into(),
            or_empty(&self.parent_task_id),
            self.depth.to_string().into(),
            Cell::dim(time::show(Millis(self.created_at_ms), look)),
            Cell::dim(took.map(time::span).unwrap_or_default()),
            self.first_seq.to_string().into(),
            self.last_seq.to_string().into(),
            or_empty(&self.run_id),
            or_empty(&self.call_id),
            or_empty(&self.agent_id),
            self.told(PartKind::Description).into(),
            self.told(PartKind::Error).into(),
            self.told(PartKind::Result).into(),
        ]
    }

    fn name(&self) -> String {
        self.task_id.clone()
    }
}

impl Item for ThreadItem {
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
    const COLUMNS: &'static [Column] = &[
        Column::new("THREAD"),
        Column::new("TASKS").right(),
        Column::new("RUNNING").right(),
        Column::new("COMPLETED").right(),
        Column::new("FAILED").right(),
        Column::new("CANCELLED").right(),
        Column::new("DEPTH").right().spare(2),
        Column::new("FIRST").spare(3),
        Column::new("LAST").spare(1),
    ];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        vec![
            self.thread_id.clone().into(),
            self.tasks.to_string().into(),
            figure(self.running, TaskStatus::Running),
            figure(self.completed, TaskStatus::Completed),
            figure(self.failed, TaskStatus::Failed),
            figure(self.cancelled, TaskStatus::Cancelled),
            self.depth.to_string().into(),
            Cell::dim(time::show(Millis(self.first_ms), look)),
            Cell::dim(time::show(Millis(self.last_ms), look)),
        ]
    }

    fn name(&self) -> String {
        self.thread_id.clone()
    }
}

fn figure(count: u64, status: TaskStatus) -> Cell {
    let paint = (count > 0).then_some(crate::paint::Paint::Status(status));
    Cell { text: count.to_string(), paint }
}

/// The nodes of a forest, ready to be drawn.
pub fn nodes(forest: &Forest) -> Vec<forest::Node> {
    forest.nodes.iter().map(|node| drawn(&node.task, node.depth)).collect()
}

fn drawn(task: &Task, depth: usize) -> forest::Node {
    let took = task.completed.map(|end| end.0.saturating_sub(task.record.created.0));
    let took = took.map(|ms| format!("  {}", time::span(ms))).unwrap_or_default();
    let name = task.record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let error = task.error.as_ref().filter(|_| task.status != TaskStatus::Completed);
    let said = [Some(&task.description), error].into_iter().flatten().map(told);
    let said: Vec<String> = said.filter(|text| !text.is_empty()).collect();
    forest::Node {
        depth: depth.saturating_sub(1),
        status: task.status,
        title: format!("{} {}{name}{took}", task.id, task.record.task_type),
        detail: said.join(": "),
        hidden: 0,
    }
}

/// A text of a task for people.
pub fn told(text: &Text) -> String {
    match text.kept() {
        Some(kept) => kept.to_string(),
        None if text.body == TextBody::Erased => ERASED.to_owned(),
        None => format!("({} bytes)", text.len),
    }
}

/// One task in a line: id, type, name.
pub fn title(task: &Task) -> String {
    let name = task.record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} {}{name}", task.id, task.record.task_type)
}

/// All tasks of a state that pass, as items.
pub fn items(
    source: &impl query::Source,
    state: &taskledger::state::LedgerState,
    filter: &query::TaskFilter,
    sort: query::Sort,
    limit: Option<usize>,
) -> anyhow::Result<Vec<TaskItem>> {
    let rows = query::tasks(source, state, filter, sort, limit)?;
    Ok(rows.into_iter().map(TaskItem::from).collect())
}
