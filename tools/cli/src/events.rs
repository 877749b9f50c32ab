//! Events as JSON and as one line for people.

use crate::{
    escape,
    json::EventLine,
    output::Item,
    paint::{Paint, shape},
    table::{Cell, Column},
    term::Look,
    time,
};
use serde_json::{Value, json};
use taskledger::{
    event::{
        Action, Began, CancelScope, Delivery, Entry, Outcome, PartKind, PartSet, Restored,
        TaskStatus,
    },
    ids::{TaskId, ThreadId},
};

/// What people are shown of a text that was erased.
pub const ERASED: &str = "(erased)";

/// A text that should be JSON, as a value; as a string if it is not.
pub fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The commitments of an event's texts, which `log --raw` adds.
pub fn commitments(entry: &Entry) -> Value {
    let parts = entry.event.parts.iter().zip(&entry.parts).map(|(promised, part)| {
        json!({
            "kind": promised.kind.as_str(),
            "len": promised.len,
            "digest": hex(&promised.digest),
            "salt": part.body.as_ref().map(|body| hex(&body.salt)),
        })
    });
    Value::Array(parts.collect())
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

/// The names of the kinds in a set.
pub fn part_names(parts: PartSet) -> Vec<&'static str> {
    PartKind::ALL.into_iter().filter(|kind| parts.contains(*kind)).map(PartKind::as_str).collect()
}

/// What an event says, in a few words; may be hostile.
pub fn words(entry: &Entry) -> String {
    let text = |kind| match entry.text(kind) {
        Some(text) => format!(": {text}"),
        None if entry.parts.iter().any(|part| part.kind == kind) => format!(": {ERASED}"),
        None => String::new(),
    };
    match &entry.event.action {
        Action::Upserted { record } => {
            let name = record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let parent = record.parent.as_ref();
            let below = parent.map(|parent| format!(" below {}", parent.id())).unwrap_or_default();
            format!("{}{name}{below}{}", record.task_type, text(PartKind::Description))
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

/// The shape that stands for an event: that of the status that it leads to.
pub fn status_after(action: &Action) -> Option<TaskStatus> {
    match action {
        Action::Upserted { .. } => Some(TaskStatus::Running),
        Action::Terminated { outcome, .. } => Some(status_of(*outcome)),
        Action::Restored { why: Restored::Snapshot { status, .. } } => Some(*status),
        Action::Restored { why: Restored::Orphaned { .. } } => Some(TaskStatus::Failed),
        Action::CancelRequested { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. }
        | Action::Redacted { .. }
        | Action::Began { .. } => None,
    }
}

/// On a terminal with fewer columns, times are left out.
const NARROW: usize = 72;

/// What the line of an event says besides the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// When it occurred, and in which thread.
    Log,
    /// When it occurred.
    Thread,
    /// Nothing.
    Nothing,
}

/// One event as one line, cut to the terminal's width.
pub fn line(entry: &Entry, around: Around, look: &Look) -> String {
    let event = &entry.event;
    let seq = format!("#{:<6}", event.seq.get());
    let status = status_after(&event.action);
    let shape = status.map_or(' ', |status| shape(status, look.charset)).to_string();
    let narrow = look.width.is_some_and(|width| width < NARROW);
    let when = match around {
        Around::Log | Around::Thread if !narrow => {
            format!("{}  ", time::show(event.occurred, look))
        }
        Around::Log | Around::Thread | Around::Nothing => String::new(),
    };
    let head = format!("{when}{:<16}", event.action.as_str());
    let thread = event.thread.as_ref().map(ThreadId::as_str);
    let thread = thread.filter(|_| around == Around::Log || event.task.is_none());
    let about = [thread, event.task.as_ref().map(TaskId::as_str)];
    let about: Vec<&str> = about.into_iter().flatten().collect();
    let gap = if about.is_empty() { "" } else { "  " };
    let rest = look.safe(&format!("{}{gap}{}", about.join(" "), words(entry)));
    let taken = seq.len() + 4 + escape::width(&head);
    let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(taken));
    let rest = escape::cut(&rest, room, look.charset);
    let shape = status.map_or(shape.clone(), |status| Paint::Status(status).on(&shape, look));
    let line = format!("{} {shape} {head} {rest}", Paint::Strong.on(&seq, look));
    line.trim_end().to_owned()
}

impl Item for EventLine {
    const SCHEMA: &'static str = "taskledger.log/v1";
    const FIELDS: &'static [&'static str] = &[
        "schema",
        "seq",
        "epoch",
        "recorded_ms",
        "occurred_ms",
        "thread_id",
        "task_id",
        "prev_in_thread",
        "prev_in_task",
        "cause",
        "key",
        "action",
        "record",
        "outcome",
        "status",
        "completed_at_ms",
        "why",
        "scope",
        "run_id",
        "deadline_ms",
        "from",
        "delivery",
        "event_type",
        "redacts",
        "ledger_id",
        "node_id",
        "version",
        "incarnation",
        "origin",
        "texts",
    ];
    // People are shown lines instead.
    const COLUMNS: &'static [Column] = &[];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        Vec::new()
    }

    fn name(&self) -> String {
        self.seq.unwrap_or(0).to_string()
    }
}
