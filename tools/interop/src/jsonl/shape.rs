//! What a line of the native format holds, and how an entry becomes one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Display, str::FromStr};
use taskledger::event::{
    Action, Began, CancelScope, Cause, Delivery, Entry, Host, Origin, Outcome, Parent, PartKind,
    PartSet, Restored, TaskRecord, TaskStatus,
};

/// What every line says it is.
pub const SCHEMA: &str = "taskledger.event/v1";

/// One event. What does not belong to its action is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventLine {
    /// [`SCHEMA`].
    pub schema: String,
    /// Its number in the ledger that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Which primary wrote it: `number/nonce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// When it was appended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_ms: Option<u64>,
    /// When it happened, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_ms: Option<u64>,
    /// The thread that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The task that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The event before it in its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_in_thread: Option<u64>,
    /// The event before it of its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_in_task: Option<u64>,
    /// Who did this.
    #[serde(skip_serializing_if = "CauseLine::is_empty")]
    pub cause: CauseLine,
    /// The idempotency key: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `upserted`, `terminated`, `restored`, `cancel_requested`, `messaged`, `emitted`, `redacted`
    /// or `began`.
    pub action: String,
    /// Of `upserted` and `restored`: the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordLine>,
    /// Of `terminated`: `completed`, `failed` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Of `restored`: where the task stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Of `terminated` and `restored`: when the task ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
    /// Of `restored`: `snapshot` or `orphaned`. Of `began`: `created`, `opened`, `promoted`,
    /// `forked` or `restored_from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of `cancel_requested`: `task`, `tree`, `thread` or `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Of `cancel_requested` with the scope `run`: the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Of `cancel_requested`: when to stop waiting, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Of `messaged`: the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of `messaged`: `delivered`, `inbox_full` or `inbox_closed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Of `emitted`: the kind of progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of `redacted`: what was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacts: Option<RedactsLine>,
    /// Of `began`: the ledger, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_id: Option<String>,
    /// Of `began`: the copy of it, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Of `began`: the version of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of `began`: which writer of this log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Of `began` by a fork or a restore: the copied history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginLine>,
    /// `description`, `error`, `result`, `content` and `reason`, those that the event has; null
    /// for one that is erased. A result is JSON text, as text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, Option<String>>,
    /// The kinds of its texts that are stored and are not what was recorded: null above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
}

/// Who did something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CauseLine {
    /// The task whose code did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The agent run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// A task as its spawn or update records it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecordLine {
    /// What kind of task.
    pub task_type: String,
    /// Its name.
    pub name: Option<String>,
    /// The task that spawned it.
    pub parent: Option<ParentLine>,
    /// The agent run that spawned it.
    pub run_id: Option<String>,
    /// The tool call that spawned it.
    pub call_id: Option<String>,
    /// The agent that spawned it.
    pub agent_id: Option<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_at_ms: Option<u64>,
    /// Who runs it.
    pub host: Option<HostLine>,
}

/// A parent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ParentLine {
    /// Its id.
    pub task_id: String,
    /// Whether the ledger did not hold it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The ledger that holds an external one, if known: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_id: Option<String>,
}

/// Who runs a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostLine {
    /// `managed`, `external` or `imported`.
    pub kind: String,
    /// Of `managed`: the writer's incarnation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Of `managed`: which manager of that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<u32>,
}

/// Texts that were erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RedactsLine {
    /// The event.
    pub seq: u64,
    /// The kinds of its texts.
    pub parts: Vec<String>,
}

/// A copied history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OriginLine {
    /// The ledger that was copied: 32 hexadecimal digits.
    pub ledger_id: String,
    /// Its last event that was copied.
    pub at: Option<u64>,
    /// Its root there: 64 hexadecimal digits.
    pub root: String,
}

impl CauseLine {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Entry> for EventLine {
    fn from(entry: &Entry) -> Self {
        let event = &entry.event;
        let texts = entry.parts.iter().map(|part| {
            let text = part.body.as_ref().map(|body| body.text.to_string());
            (part.kind.as_str().to_owned(), text)
        });
        let mut line = Self {
            schema: SCHEMA.to_owned(),
            seq: Some(event.seq.get()),
            epoch: Some(event.epoch.to_string()),
            recorded_ms: Some(event.recorded.0),
            occurred_ms: Some(event.occurred.0),
            thread_id: text(event.thread.as_ref()),
            task_id: text(event.task.as_ref()),
            prev_in_thread: event.prev_in_thread.map(taskledger::ids::Seq::get),
            prev_in_task: event.prev_in_task.map(taskledger::ids::Seq::get),
            cause: cause(&event.cause),
            key: text(event.key.as_ref()),
            action: event.action.as_str().to_owned(),
            texts: texts.collect(),
            withheld: part_words(entry.withheld),
            ..Self::default()
        };
        line.fill(&event.action);
        line
    }
}

impl EventLine {
    fn fill(&mut self, action: &Action) {
        match action {
            Action::Upserted { record: of } => self.record = Some(record(of)),
            Action::Terminated { outcome, completed } => {
                self.outcome = Some(TaskStatus::from(*outcome).as_str().to_owned());
                self.completed_at_ms = Some(completed.0);
            }
            Action::Restored { why } => self.fill_restored(why),
            Action::CancelRequested { scope, deadline } => {
                self.scope = Some(scope_word(scope).to_owned());
                self.deadline_ms = deadline.map(|at| at.0);
                self.run_id = match scope {
                    CancelScope::Run(run) => Some(run.to_string()),
                    CancelScope::Task | CancelScope::Tree | CancelScope::Thread => None,
                };
            }
            Action::Messaged { from, delivery } => {
                self.from = Some(from.to_string());
                self.delivery = Some(delivery_word(*delivery).to_owned());
            }
            Action::Emitted { event_type } => self.event_type = Some(event_type.to_string()),
            Action::Redacted { seq, parts } => {
                self.redacts = Some(RedactsLine { seq: seq.get(), parts: part_words(*parts) });
            }
            Action::Began { ledger, node, version, incarnation, why } => {
                self.ledger_id = Some(ledger.to_string());
                self.node_id = Some(node.to_string());
                self.version = Some(version.to_string());
                self.incarnation = Some(*incarnation);
                self.fill_began(why);
            }
        }
    }

    fn fill_restored(&mut self, why: &Restored) {
        match why {
            Restored::Snapshot { record: of, status, completed } => {
                self.why = Some("snapshot".to_owned());
                self.record = Some(record(of));
                self.status = Some(status.as_str().to_owned());
                self.completed_at_ms = completed.map(|at| at.0);
            }
            Restored::Orphaned { completed } => {
                self.why = Some("orphaned".to_owned());
                self.completed_at_ms = Some(completed.0);
            }
        }
    }

    fn fill_began(&mut self, why: &Began) {
        let (word, origin) = match why {
            Began::Created => ("created", None),
            Began::Opened => ("opened", None),
            Began::Promoted => ("promoted", None),
            Began::Forked(origin) => ("forked", Some(origin)),
            Began::RestoredFrom(origin) => ("restored_from", Some(origin)),
        };
        self.why = Some(word.to_owned());
        self.origin = origin.map(|Origin { ledger, at, root }| OriginLine {
            ledger_id: ledger.to_string(),
            at: at.map(taskledger::ids::Seq::get),
            root: root.to_string(),
        });
    }
}

fn text<T: Display>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

fn cause(of: &Cause) -> CauseLine {
    CauseLine {
        task_id: text(of.task.as_ref()),
        run_id: text(of.run.as_ref()),
        call_id: text(of.call.as_ref()),
        agent_id: text(of.agent.as_ref()),
    }
}

fn record(of: &TaskRecord) -> RecordLine {
    let parent = of.parent.as_ref().map(|parent| match parent {
        Parent::Local(id) => ParentLine { task_id: id.to_string(), ..ParentLine::default() },
        Parent::External { ledger, id } => {
            ParentLine { task_id: id.to_string(), external: true, ledger_id: text(ledger.as_ref()) }
        }
    });
    let (kind, incarnation, manager) = match of.host {
        Host::Managed { incarnation, manager } => ("managed", Some(incarnation), Some(manager)),
        Host::External => ("external", None, None),
        Host::Imported => ("imported", None, None),
    };
    RecordLine {
        task_type: of.task_type.to_string(),
        name: of.name.as_ref().map(ToString::to_string),
        parent,
        run_id: text(of.run.as_ref()),
        call_id: text(of.call.as_ref()),
        agent_id: text(of.agent.as_ref()),
        created_at_ms: Some(of.created.0),
        host: Some(HostLine { kind: kind.to_owned(), incarnation, manager }),
    }
}

fn scope_word(scope: &CancelScope) -> &'static str {
    match scope {
        CancelScope::Task => "task",
        CancelScope::Tree => "tree",
        CancelScope::Thread => "thread",
        CancelScope::Run(_) => "run",
    }
}

fn delivery_word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Delivered => "delivered",
        Delivery::InboxFull => "inbox_full",
        Delivery::InboxClosed => "inbox_closed",
    }
}

/// What the word of [`delivery_word`] says.
pub(super) fn delivery(word: &str) -> Option<Delivery> {
    [Delivery::Delivered, Delivery::InboxFull, Delivery::InboxClosed]
        .into_iter()
        .find(|delivery| delivery_word(*delivery) == word)
}

/// What the word of a status says.
pub(super) fn status(word: &str) -> Option<TaskStatus> {
    TaskStatus::ALL.into_iter().find(|status| status.as_str() == word)
}

/// What the word of an outcome says.
pub(super) fn outcome(word: &str) -> Option<Outcome> {
    match status(word)? {
        TaskStatus::Completed => Some(Outcome::Completed),
        TaskStatus::Failed => Some(Outcome::Failed),
        TaskStatus::Cancelled => Some(Outcome::Cancelled),
        TaskStatus::Running => None,
    }
}

/// 16 bytes from 32 hexadecimal digits.
pub(super) fn bytes16(hex: &str) -> Option<[u8; 16]> {
    // Signs are digits to nobody but the parser of numbers.
    let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// An identifier, if there is one.
pub(super) fn id<T: FromStr>(what: &'static str, text: Option<&String>) -> Result<Option<T>, String>
where
    T::Err: Display,
{
    let parse = |text: &String| text.parse().map_err(|error| format!("{what}: {error}"));
    text.map(parse).transpose()
}

fn part_words(parts: PartSet) -> Vec<String> {
    let kinds = PartKind::ALL.into_iter().filter(|kind| parts.contains(*kind));
    kinds.map(|kind| kind.as_str().to_owned()).collect()
}
