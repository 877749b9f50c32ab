//! What changed between two moments.

use super::{At, Body, Row, count, json_or_text};
use crate::words;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taskledger::{
    event::{Parent, PartKind},
    ids::TaskId,
    query::{self, Change, DiffStat, Field, QueryError, Source, Told},
};

/// One difference between two moments of a thread.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChangeItem {
    /// What happened: `spawned`, `ended`, `changed`, `reparented` or `gone`.
    pub change: String,
    /// The task.
    pub task_id: String,
    /// The field that differs.
    pub field: Option<String>,
    /// What it was: of a time its milliseconds, of a result its JSON, of all else a text.
    pub before: Value,
    /// What it is, in the same way.
    pub after: Value,
}

/// How many changes of each kind there are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DiffCounts {
    /// Tasks that are new.
    pub spawned: u64,
    /// Tasks that are gone.
    pub gone: u64,
    /// Tasks that came to another status.
    pub ended: u64,
    /// Tasks that have another parent.
    pub reparented: u64,
    /// Other fields that differ.
    pub changed: u64,
}

/// The differences between two moments of a thread.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DiffBody {
    /// The first moment.
    pub from: At,
    /// The second moment.
    pub to: At,
    /// How many changes of each kind there are.
    pub stat: DiffCounts,
    /// What differs; empty with `--stat`.
    pub items: Vec<ChangeItem>,
}

impl ChangeItem {
    /// A change, with its texts in full: those too long for a state are read from `source`.
    ///
    /// # Errors
    /// [`QueryError::Read`] if a long text could not be read.
    pub fn new(change: &Change, source: &impl Source) -> Result<Self, QueryError> {
        let of = |task: &TaskId, field: Option<&str>, before: Value, after: Value| Self {
            change: Self::kind(change).to_owned(),
            task_id: task.to_string(),
            field: field.map(str::to_owned),
            before,
            after,
        };
        let parent = |parent: &Option<Parent>| {
            parent.as_ref().map_or(Value::Null, |parent| parent.id().as_str().into())
        };
        Ok(match change {
            Change::Spawned { task } | Change::Vanished { task } => {
                of(&task.id, None, Value::Null, Value::Null)
            }
            Change::Ended { task, from, to } => {
                of(task, Some("status"), from.as_str().into(), to.as_str().into())
            }
            Change::Reparented { task, from, to } => {
                of(task, Some("parent_task_id"), parent(from), parent(to))
            }
            Change::Changed { task, field, from, to } => {
                let json = |value: &Option<query::Value>| match value {
                    Some(value) => json(value, *field, source),
                    None => Ok(Value::Null),
                };
                of(task, Some(field.as_str()), json(from)?, json(to)?)
            }
        })
    }

    /// The word for what kind of change it is.
    #[must_use]
    pub const fn kind(change: &Change) -> &'static str {
        match change {
            Change::Spawned { .. } => "spawned",
            Change::Vanished { .. } => "gone",
            Change::Ended { .. } => "ended",
            Change::Reparented { .. } => "reparented",
            Change::Changed { .. } => "changed",
        }
    }
}

/// A value as the fields of a task have it.
fn json(value: &query::Value, field: Field, source: &impl Source) -> Result<Value, QueryError> {
    Ok(match value {
        query::Value::Time(at) => at.0.into(),
        query::Value::Seq(seq) => seq.get().into(),
        query::Value::Text(text) => {
            let Some(kind) = part_of(field) else { return Ok(Value::Null) };
            match query::texts(source).told(text, kind)? {
                Told::Text(text) if field == Field::Result => json_or_text(&text),
                Told::Text(text) => text.to_string().into(),
                Told::Erased | Told::Withheld => Value::Null,
            }
        }
        query::Value::Word(_) | query::Value::Host(_) => words::value(value).into(),
    })
}

/// The text that a field holds, if it is one.
#[must_use]
pub fn part_of(field: Field) -> Option<PartKind> {
    match field {
        Field::Description => Some(PartKind::Description),
        Field::Error => Some(PartKind::Error),
        Field::Result => Some(PartKind::Result),
        Field::Name
        | Field::Completed
        | Field::CancelRequested
        | Field::Thread
        | Field::Type
        | Field::Run
        | Field::Call
        | Field::Agent
        | Field::Created
        | Field::Host => None,
    }
}

impl From<DiffStat> for DiffCounts {
    fn from(stat: DiffStat) -> Self {
        let DiffStat { spawned, vanished, ended, reparented, changed } = stat;
        Self {
            spawned: count(spawned),
            gone: count(vanished),
            ended: count(ended),
            reparented: count(reparented),
            changed: count(changed),
        }
    }
}

impl Row for ChangeItem {
    const SCHEMA: &'static str = "taskledger.diff/v1";
    const FIELDS: &'static [&'static str] = &["change", "task_id", "field", "before", "after"];

    fn name(&self) -> String {
        self.task_id.clone()
    }
}

impl Body for DiffBody {
    const SCHEMA: &'static str = "taskledger.diff/v1";
}
