//! Events as JSON and as one line for people.

use crate::{
    json::{CauseItem, EventItem},
    output::Item,
    paint::{Paint, shape},
    table::{Cell, Column},
    term::Look,
    time,
};
use serde_json::{Map, Value, json};
use taskledger::{
    event::{
        Action, Began, CancelScope, Cause, Delivery, Entry, Host, Origin, Outcome, PartKind,
        PartSet, Restored, TaskRecord, TaskStatus,
    },
    ids::{Seq, TaskId},
    time::Millis,
};

/// An event under the contract.
pub fn item(entry: &Entry) -> EventItem {
    let event = &entry.event;
    EventItem {
        seq: event.seq.get(),
        recorded_ms: event.recorded.0,
        occurred_ms: event.occurred.0,
        thread_id: event.thread.as_ref().map(ToString::to_string),
        task_id: event.task.as_ref().map(ToString::to_string),
        action: event.action.as_str().to_owned(),
        data: data(&event.action),
        texts: texts(entry),
        cause: cause(&event.cause),
        epoch: event.epoch.to_string(),
        prev_in_thread: event.prev_in_thread.map(Seq::get),
        prev_in_task: event.prev_in_task.map(Seq::get),
        key: event.key.as_ref().map(ToString::to_string),
    }
}

/// A text that should be JSON, as a value; as a string if it is not.
pub fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn cause(cause: &Cause) -> CauseItem {
    CauseItem {
        task_id: cause.task.as_ref().map(ToString::to_string),
        run_id: cause.run.as_ref().map(ToString::to_string),
        call_id: cause.call.as_ref().map(ToString::to_string),
        agent_id: cause.agent.as_ref().map(ToString::to_string),
    }
}

fn texts(entry: &Entry) -> Value {
    let texts: Map<String, Value> = entry
        .parts
        .iter()
        .map(|part| {
            let text = part.body.as_ref().map_or(Value::Null, |body| match part.kind {
                PartKind::Result => json_or_text(&body.text),
                PartKind::Description | PartKind::Error | PartKind::Content | PartKind::Reason => {
                    Value::String(body.text.to_string())
                }
            });
            (part.kind.as_str().to_owned(), text)
        })
        .collect();
    Value::Object(texts)
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

fn data(action: &Action) -> Value {
    match action {
        Action::Upserted { record } => record_data(record),
        Action::Terminated { outcome, completed } => {
            json!({ "status": status_of(*outcome).as_str(), "completed_at_ms": completed.0 })
        }
        Action::Restored { why: Restored::Snapshot { record, status, completed } } => json!({
            "why": "snapshot",
            "record": record_data(record),
            "status": status.as_str(),
            "completed_at_ms": completed.map(|at| at.0),
        }),
        Action::Restored { why: Restored::Orphaned { completed } } => {
            json!({ "why": "orphaned", "completed_at_ms": completed.0 })
        }
        Action::CancelRequested { scope, deadline } => {
            let run = match scope {
                CancelScope::Run(run) => Some(run.as_str()),
                CancelScope::Task | CancelScope::Tree | CancelScope::Thread => None,
            };
            let deadline = deadline.map(|at| at.0);
            json!({ "scope": scope_name(scope), "run_id": run, "deadline_ms": deadline })
        }
        Action::Messaged { from, delivery } => {
            json!({ "from": &**from, "delivery": delivery_name(*delivery) })
        }
        Action::Emitted { event_type } => json!({ "event_type": &**event_type }),
        Action::Redacted { seq, parts } => {
            json!({ "seq": seq.get(), "parts": part_names(*parts) })
        }
        Action::Began { ledger, node, version, incarnation, why } => json!({
            "ledger": ledger.to_string(),
            "node": node.to_string(),
            "version": &**version,
            "incarnation": incarnation,
            "why": began_name(why),
            "origin": origin_of(why).map(|origin| json!({
                "ledger": origin.ledger.to_string(),
                "at": origin.at.map(Seq::get),
                "root": origin.root.to_string(),
            })),
        }),
    }
}

fn record_data(record: &TaskRecord) -> Value {
    let (host, incarnation, manager) = match record.host {
        Host::Managed { incarnation, manager } => ("managed", Some(incarnation), Some(manager)),
        Host::External => ("external", None, None),
        Host::Imported => ("imported", None, None),
    };
    json!({
        "task_type": &*record.task_type,
        "name": record.name.as_deref(),
        "parent_task_id": record.parent.as_ref().map(|parent| parent.id().as_str()),
        "run_id": record.run.as_ref().map(|id| id.as_str()),
        "call_id": record.call.as_ref().map(|id| id.as_str()),
        "agent_id": record.agent.as_ref().map(|id| id.as_str()),
        "created_at_ms": record.created.0,
        "host": host,
        "incarnation": incarnation,
        "manager": manager,
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

fn origin_of(why: &Began) -> Option<&Origin> {
    match why {
        Began::Forked(origin) | Began::RestoredFrom(origin) => Some(origin),
        Began::Created | Began::Opened | Began::Promoted => None,
    }
}

/// The names of the kinds in a set.
pub fn part_names(parts: PartSet) -> Vec<&'static str> {
    PartKind::ALL.into_iter().filter(|kind| parts.contains(*kind)).map(PartKind::as_str).collect()
}

/// What an event says, in a few words; may be hostile.
pub fn words(entry: &Entry) -> String {
    let text = |kind| entry.text(kind).map(|text| format!(": {text}")).unwrap_or_default();
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

/// One event as one line, cut to the terminal's width. `short` leaves out time and thread.
pub fn line(entry: &Entry, short: bool, look: &Look) -> String {
    let event = &entry.event;
    let seq = format!("#{:<6}", event.seq.get());
    let mark = status_after(&event.action);
    let shape = mark.map_or(' ', |status| shape(status, look.charset)).to_string();
    let when =
        if short { String::new() } else { format!("{}  ", time::show(event.occurred, look)) };
    let task = event.task.as_ref().map(TaskId::as_str).unwrap_or_default();
    let thread = event.thread.as_ref().map(ToString::to_string).unwrap_or_default();
    let about = match (short || thread.is_empty(), task.is_empty()) {
        (_, true) => thread,
        (true, false) => task.to_owned(),
        (false, false) => format!("{thread} {task}"),
    };
    let about = if about.is_empty() { String::new() } else { format!("{about}  ") };
    let head = format!("{when}{:<16}", event.action.as_str());
    let rest = look.safe(&format!("{about}{}", words(entry)));
    let taken = seq.len() + 4 + crate::escape::width(&head);
    let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(taken));
    let rest = crate::escape::cut(&rest, room, look.charset);
    let shape = mark.map_or(shape.clone(), |status| Paint::Status(status).on(&shape, look));
    let line = format!("{} {shape} {head} {rest}", Paint::Strong.on(&seq, look));
    line.trim_end().to_owned()
}

impl Item for EventItem {
    const SCHEMA: &'static str = "taskledger.log/v1";
    const FIELDS: &'static [&'static str] = &[
        "seq",
        "recorded_ms",
        "occurred_ms",
        "thread_id",
        "task_id",
        "action",
        "data",
        "texts",
        "cause",
        "epoch",
        "prev_in_thread",
        "prev_in_task",
        "key",
    ];
    const COLUMNS: &'static [Column] = &[
        Column::new("SEQ").right(),
        Column::new("OCCURRED"),
        Column::new("ACTION"),
        Column::new("THREAD").flexible(),
        Column::new("TASK").flexible(),
        Column::new("RECORDED").wide(),
        Column::new("DATA").flexible(),
        Column::new("TEXTS").flexible(),
    ];
    fn cells(&self, look: &Look) -> Vec<Cell> {
        vec![
            self.seq.to_string().into(),
            Cell::dim(time::show(Millis(self.occurred_ms), look)),
            self.action.clone().into(),
            self.thread_id.clone().unwrap_or_default().into(),
            self.task_id.clone().unwrap_or_default().into(),
            Cell::dim(time::show(Millis(self.recorded_ms), look)),
            self.data.to_string().into(),
            self.texts.to_string().into(),
        ]
    }
    fn name(&self) -> String {
        self.seq.to_string()
    }
}
