//! Where a task comes from, and when it ran.

use super::{Row, Status, count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::iter;
use taskledger::{
    query::{Chain, ChainEnd, Link, Span},
    state::TextBody,
    time::Millis,
};

/// One link of the chain that led to a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkItem {
    /// What kind of link: `task`, `call`, `run`, `agent`, ..
    pub kind: String,
    /// The id of that task, call, run or agent.
    pub id: String,
    /// The event that says so.
    pub seq: Option<u64>,
    /// The task whose spawn names it.
    pub task_id: Option<String>,
    /// What is known of it in words.
    pub detail: Option<String>,
    /// Of a task: the thread that owns it.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// Of a task: what kind it is.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Of a task: its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Of a task: where it stands.
    #[serde(default)]
    pub status: Option<Status>,
    /// Of a task: the event that spawned it; `seq` is a later one if its parent was changed.
    #[serde(default)]
    pub spawned_seq: Option<u64>,
    /// Of a task: when it was spawned.
    #[serde(default)]
    pub spawned_ms: Option<u64>,
    /// Of a task: true if its description is erased.
    #[serde(default)]
    pub erased: bool,
    /// Of a task: true if its description is not what was recorded, so that it is not shown.
    #[serde(default)]
    pub withheld: bool,
}

/// One task on the line of time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpanItem {
    /// The task.
    pub task_id: String,
    /// Its depth.
    pub depth: u64,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub start_ms: u64,
    /// When it ended; null while it runs.
    pub end_ms: Option<u64>,
    /// The end of what is known of it: when it ended or, while it runs, the latest event of its thread.
    #[serde(default)]
    pub until_ms: u64,
    /// What its recording leaves in doubt about it, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl LinkItem {
    /// The links of a chain, from the task up to its root or to what is known no further. Each is made
    /// when it is asked for.
    pub fn of_chain(chain: &Chain) -> impl Iterator<Item = Self> + '_ {
        let end = end_of_chain(&chain.end);
        let end = end.0.map(|id| {
            let detail = Some(end.1);
            Self { kind: "external".into(), id, detail, ..Self::default() }
        });
        chain.links.iter().flat_map(Self::of_link).chain(end)
    }

    fn of_link(link: &Link) -> impl Iterator<Item = Self> + '_ {
        let task = &link.task;
        let item = move |kind: &str, id: String, seq, detail| Self {
            kind: kind.to_owned(),
            id,
            seq: Some(seq),
            task_id: Some(task.id.to_string()),
            detail,
            ..Self::default()
        };
        let why = task.description.kept().map(ToString::to_string);
        let first = Self {
            thread_id: Some(task.thread.to_string()),
            task_type: Some(task.record.task_type.to_string()),
            name: task.record.name.as_ref().map(ToString::to_string),
            status: Some(task.status.into()),
            spawned_seq: Some(task.first_seq.get()),
            spawned_ms: Some(link.spawned.0),
            erased: matches!(task.description.body, TextBody::Erased),
            withheld: matches!(task.description.body, TextBody::Withheld),
            ..item("task", task.id.to_string(), link.linked.get(), why)
        };
        let origins = origins(link).into_iter();
        let cancels = link.cancels.iter().map(move |cancel| {
            let by = cancel.cause.agent.as_ref().map(ToString::to_string).unwrap_or_default();
            let reason = cancel.reason.as_ref().map(ToString::to_string);
            item("cancel", by, cancel.seq.get(), reason)
        });
        iter::once(first)
            .chain(origins.map(move |(kind, id)| item(kind, id, task.first_seq.get(), None)))
            .chain(cancels)
    }
}

/// The call, run and agent that spawned a task, where they are known.
fn origins(link: &Link) -> Vec<(&'static str, String)> {
    let record = &link.task.record;
    let call = record.call.as_ref().map(ToString::to_string);
    let run = record.run.as_ref().map(ToString::to_string);
    let agent = record.agent.as_ref().map(ToString::to_string);
    let all = [("call", call), ("run", run), ("agent", agent)];
    all.into_iter().filter_map(|(kind, id)| Some((kind, id?))).collect()
}

/// The task that a chain leads to and does not hold, if there is one, and what is known of it.
fn end_of_chain(end: &ChainEnd) -> (Option<String>, String) {
    match end {
        ChainEnd::Root => (None, String::new()),
        ChainEnd::External { ledger: Some(ledger), task } => {
            (Some(task.to_string()), format!("a task of ledger {ledger}"))
        }
        ChainEnd::External { ledger: None, task } => {
            (Some(task.to_string()), "a task that this ledger does not hold".to_owned())
        }
        ChainEnd::Absent { task } => {
            (Some(task.to_string()), "a task that did not exist by then".to_owned())
        }
        ChainEnd::Cycle { task } => {
            (Some(task.to_string()), "a task below it: the log is not sound".to_owned())
        }
    }
}

impl Row for LinkItem {
    const SCHEMA: &'static str = "taskledger.why/v1";
    const FIELDS: &'static [&'static str] = &[
        "kind",
        "id",
        "seq",
        "task_id",
        "detail",
        "thread_id",
        "task_type",
        "name",
        "status",
        "spawned_seq",
        "spawned_ms",
        "erased",
        "withheld",
    ];

    fn name(&self) -> String {
        self.id.clone()
    }

    fn is_withheld(&self) -> bool {
        self.withheld
    }
}

impl SpanItem {
    /// When a task ran, its depth in the tree, and the notes on it; what runs is known `until` then.
    #[must_use]
    pub fn new(span: &Span, until: Millis, depth: usize, notes: Vec<String>) -> Self {
        Self {
            task_id: span.task.id.to_string(),
            depth: count(depth),
            status: span.task.status.into(),
            start_ms: span.start.0,
            end_ms: span.end.map(|end| end.0),
            until_ms: span.end.unwrap_or(until).max(span.start).0,
            notes,
        }
    }
}

impl Row for SpanItem {
    const SCHEMA: &'static str = "taskledger.timeline/v1";
    const FIELDS: &'static [&'static str] =
        &["task_id", "depth", "status", "start_ms", "end_ms", "until_ms", "notes"];

    fn name(&self) -> String {
        self.task_id.clone()
    }
}
