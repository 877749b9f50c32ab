//! What an event, a task or a value says, in a few words for people.
//!
//! Names, descriptions and errors come from tasks: what is returned here may be hostile, and is
//! escaped where it is shown.

use taskledger::{
    event::{
        Action, Began, CancelScope, Delivery, Entry, Outcome, PartKind, PartSet, Restored,
        TaskRecord, TaskStatus,
    },
    query::{Value, format_time},
    state::{Task, Text, TextBody},
};

/// The words in place of a text that was erased.
pub const ERASED: &str = "(erased)";

/// The words in place of a text that is stored, but is not the one that was recorded.
pub const WITHHELD: &str = "(withheld: not what was recorded)";

/// What an event says.
#[must_use]
pub fn event(entry: &Entry) -> String {
    let text = |kind| match entry.text(kind) {
        Some(text) => format!(": {text}"),
        None if entry.withheld.contains(kind) => format!(": {WITHHELD}"),
        None if entry.parts.iter().any(|part| part.kind == kind) => format!(": {ERASED}"),
        None => String::new(),
    };
    match &entry.event.action {
        Action::Upserted { record } => {
            format!("{}{}", spawned(record), text(PartKind::Description))
        }
        Action::Terminated { outcome, .. } => {
            format!("{}{}", status_of(*outcome).as_str(), text(PartKind::Error))
        }
        Action::Restored { why: Restored::Snapshot { record, status, .. } } => {
            format!("{} {}{}", record.task_type, status.as_str(), text(PartKind::Description))
        }
        Action::Restored { why: Restored::Orphaned { .. } } => {
            format!("failed, its manager is gone{}", text(PartKind::Error))
        }
        Action::CancelRequested { scope: CancelScope::Run(run), .. } => {
            format!("run {run}{}", text(PartKind::Reason))
        }
        Action::CancelRequested { scope, .. } => {
            format!("{}{}", scope_name(scope), text(PartKind::Reason))
        }
        Action::Messaged { from, delivery: Delivery::Delivered } => {
            format!("from {from}{}", text(PartKind::Content))
        }
        Action::Messaged { from, delivery } => {
            format!("from {from}, {}{}", delivery_name(*delivery), text(PartKind::Content))
        }
        Action::Emitted { event_type } => format!("{event_type}{}", text(PartKind::Content)),
        Action::Redacted { seq, parts } => {
            format!("{} of {seq}{}", part_names(*parts).join(", "), text(PartKind::Reason))
        }
        Action::Began { why, incarnation, version, .. } => {
            format!("{} writer {incarnation}, version {version}", began_name(why))
        }
    }
}

fn spawned(record: &TaskRecord) -> String {
    let name = record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let parent = record.parent.as_ref();
    let below = parent.map(|parent| format!(" below {}", parent.id())).unwrap_or_default();
    format!("{}{name}{below}", record.task_type)
}

/// One task in a line: id, type, name.
#[must_use]
pub fn title(task: &Task) -> String {
    let name = task.record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} {}{name}", task.id, task.record.task_type)
}

/// A text of a task.
#[must_use]
pub fn text(text: &Text) -> String {
    said(text).unwrap_or_else(|| format!("({} bytes)", text.len))
}

/// What there is to say of a text that the state holds; `None` if it has to be read.
fn said(text: &Text) -> Option<String> {
    match &text.body {
        TextBody::Kept(kept) => Some(kept.to_string()),
        TextBody::Erased => Some(ERASED.to_owned()),
        TextBody::Withheld => Some(WITHHELD.to_owned()),
        TextBody::Saved(_) | TextBody::Stored => None,
    }
}

/// A value of a field that changed.
#[must_use]
pub fn value(value: &Value) -> String {
    match value {
        Value::Word(word) => word.to_string(),
        Value::Text(text) => {
            said(text).unwrap_or_else(|| format!("({} bytes of event {})", text.len, text.seq))
        }
        Value::Time(at) => format_time(*at),
        Value::Seq(seq) => seq.to_string(),
        Value::Host(host) => format!("{host:?}"),
    }
}

/// The names of the kinds in a set.
#[must_use]
pub fn part_names(parts: PartSet) -> Vec<&'static str> {
    PartKind::ALL.into_iter().filter(|kind| parts.contains(*kind)).map(PartKind::as_str).collect()
}

fn status_of(outcome: Outcome) -> TaskStatus {
    outcome.into()
}

fn scope_name(scope: &CancelScope) -> &'static str {
    match scope {
        CancelScope::Task => "task",
        CancelScope::Tree => "tree",
        CancelScope::Thread => "thread",
        CancelScope::Run(_) => "run",
    }
}

fn delivery_name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Delivered => "delivered",
        Delivery::InboxFull => "inbox_full",
        Delivery::InboxClosed => "inbox_closed",
    }
}

fn began_name(why: &Began) -> &'static str {
    match why {
        Began::Created => "created",
        Began::Opened => "opened",
        Began::Promoted => "promoted",
        Began::Forked(_) => "forked",
        Began::RestoredFrom(_) => "restored_from",
    }
}
