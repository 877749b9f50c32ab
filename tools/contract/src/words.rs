//! What an event, a task or a value says, in a few words for people.
//!
//! Names, descriptions and errors come from tasks: what is returned here may be hostile, and is
//! escaped where it is shown.

use taskledger::{
    event::{PartKind, PartSet},
    query::{Value, format_time},
    state::{Task, Text, TextBody},
};
use taskledger_interop::jsonl::{EventLine, RecordLine};

/// The words in place of a text that was erased.
pub const ERASED: &str = "(erased)";

/// The words in place of a text that is stored, but is not the one that was recorded.
pub const WITHHELD: &str = "(withheld: not what was recorded)";

/// What an event says.
#[must_use]
pub fn event(line: &EventLine) -> String {
    let text = |kind: PartKind| match line.texts.get(kind.as_str()) {
        Some(Some(text)) => format!(": {text}"),
        Some(None) if line.withheld.iter().any(|word| word == kind.as_str()) => {
            format!(": {WITHHELD}")
        }
        Some(None) => format!(": {ERASED}"),
        None => String::new(),
    };
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let record = line.record.as_ref();
    match (line.action.as_str(), line.why.as_deref()) {
        ("upserted", _) => {
            format!("{}{}", record.map(spawned).unwrap_or_default(), text(PartKind::Description))
        }
        ("terminated", _) => format!("{}{}", of(&line.outcome), text(PartKind::Error)),
        ("restored", Some("orphaned")) => {
            format!("failed, its manager is gone{}", text(PartKind::Error))
        }
        ("restored", _) => {
            let kind = record.map(|record| record.task_type.clone()).unwrap_or_default();
            format!("{kind} {}{}", of(&line.status), text(PartKind::Description))
        }
        ("cancel_requested", _) => match &line.run_id {
            Some(run) => format!("run {run}{}", text(PartKind::Reason)),
            None => format!("{}{}", of(&line.scope), text(PartKind::Reason)),
        },
        ("messaged", _) => match line.delivery.as_deref() {
            Some("delivered") | None => {
                format!("from {}{}", of(&line.from), text(PartKind::Content))
            }
            Some(other) => format!("from {}, {other}{}", of(&line.from), text(PartKind::Content)),
        },
        ("emitted", _) => format!("{}{}", of(&line.event_type), text(PartKind::Content)),
        ("redacted", _) => {
            let (parts, seq) = line
                .redacts
                .as_ref()
                .map_or((String::new(), 0), |redacts| (redacts.parts.join(", "), redacts.seq));
            format!("{parts} of #{seq}{}", text(PartKind::Reason))
        }
        ("began", why) => {
            let incarnation = line.incarnation.unwrap_or_default();
            let why = why.unwrap_or_default();
            format!("{why} writer {incarnation}, version {}", of(&line.version))
        }
        // Of a later version.
        (_, why) => why.unwrap_or_default().to_owned(),
    }
}

fn spawned(record: &RecordLine) -> String {
    let name = record.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let parent = record.parent.as_ref();
    let below = parent.map(|parent| format!(" below {}", parent.task_id)).unwrap_or_default();
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
