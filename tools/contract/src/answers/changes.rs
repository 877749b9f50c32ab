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
    state::{LedgerState, Text},
};

/// One difference between two moments of a thread.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
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
    /// Of a task that was spawned or is gone: what kind it is.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Of a task that was spawned or is gone: its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Of a task that was spawned or is gone its description, of one that ended its error; null if
    /// there is none, once it is erased, or while it is withheld.
    #[serde(default)]
    pub text: Option<String>,
    /// Which of `before`, `after` and `text` were erased.
    #[serde(default)]
    pub erased: Vec<String>,
    /// Which of them are not what was recorded, so that they are not shown.
    #[serde(default)]
    pub withheld: Vec<String>,
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
    /// A change, with its texts in full: those too long for a state are read from `source`. `after` is
    /// the state after it.
    ///
    /// # Errors
    /// [`QueryError::Read`] if a long text could not be read.
    pub fn new(
        change: &Change,
        after: &LedgerState,
        source: &impl Source,
    ) -> Result<Self, QueryError> {
        let of = |task: &TaskId, field: Option<&str>| Self {
            change: Self::kind(change).to_owned(),
            task_id: task.to_string(),
            field: field.map(str::to_owned),
            ..Self::default()
        };
        let parent = |parent: &Option<Parent>| {
            parent.as_ref().map_or(Value::Null, |parent| parent.id().as_str().into())
        };
        Ok(match change {
            Change::Spawned { task } | Change::Vanished { task } => {
                let mut item = of(&task.id, None);
                item.task_type = Some(task.record.task_type.to_string());
                item.name = task.record.name.as_ref().map(ToString::to_string);
                let text = item.told("text", &task.description, PartKind::Description, source)?;
                item.text = text.filter(|text| !text.is_empty());
                item
            }
            Change::Ended { task, from, to } => {
                let mut item = of(task, Some("status"));
                (item.before, item.after) = (from.as_str().into(), to.as_str().into());
                if let Some(error) = after.task(task).and_then(|task| task.error.as_ref()) {
                    item.text = item.told("text", error, PartKind::Error, source)?;
                }
                item
            }
            Change::Reparented { task, from, to } => {
                let (before, after) = (parent(from), parent(to));
                Self { before, after, ..of(task, Some("parent_task_id")) }
            }
            Change::Changed { task, field, from, to } => {
                let mut item = of(task, Some(field.as_str()));
                item.before = item.json("before", from.as_ref(), *field, source)?;
                item.after = item.json("after", to.as_ref(), *field, source)?;
                item
            }
        })
    }

    /// A text; none, with a word of why, if it is erased or withheld.
    fn told(
        &mut self,
        name: &str,
        text: &Text,
        kind: PartKind,
        source: &impl Source,
    ) -> Result<Option<String>, QueryError> {
        Ok(match query::texts(source).told(text, kind)? {
            Told::Text(text) => Some(text.to_string()),
            Told::Erased => {
                self.erased.push(name.to_owned());
                None
            }
            Told::Withheld => {
                self.withheld.push(name.to_owned());
                None
            }
        })
    }

    /// A value as the fields of a task have it.
    fn json(
        &mut self,
        name: &str,
        value: Option<&query::Value>,
        field: Field,
        source: &impl Source,
    ) -> Result<Value, QueryError> {
        Ok(match value {
            None => Value::Null,
            Some(query::Value::Time(at)) => at.0.into(),
            Some(query::Value::Seq(seq)) => seq.get().into(),
            Some(query::Value::Text(text)) => {
                let Some(kind) = part_of(field) else { return Ok(Value::Null) };
                match self.told(name, text, kind, source)? {
                    Some(text) if field == Field::Result => json_or_text(&text),
                    Some(text) => text.into(),
                    None => Value::Null,
                }
            }
            Some(value @ (query::Value::Word(_) | query::Value::Host(_))) => {
                words::value(value).into()
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

/// The text that a field holds, if it is one.
fn part_of(field: Field) -> Option<PartKind> {
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
    const FIELDS: &'static [&'static str] = &[
        "change",
        "task_id",
        "field",
        "before",
        "after",
        "task_type",
        "name",
        "text",
        "erased",
        "withheld",
    ];

    fn name(&self) -> String {
        self.task_id.clone()
    }

    fn is_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }
}

impl Body for DiffBody {
    const SCHEMA: &'static str = "taskledger.diff/v1";
}
