//! `taskledger event`: one event, whole.

use crate::{
    app::{App, at_head},
    events,
    exit::Exit,
    json::{At, EventItem},
    output::Out,
    paint::Paint,
    time,
};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use taskledger::{
    event::{Entry, PartKind},
    ids::Seq,
    time::Millis,
};

/// Show one event with all its fields and texts.
///
/// Example:
///   taskledger event 12
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The event's number
    #[arg(value_parser = seq)]
    seq: Seq,
}

/// One event and the moment at which it was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventBody {
    /// Which moment is shown.
    pub at: At,
    /// The event.
    pub event: EventItem,
}

/// An event's number, with or without `#`.
pub fn seq(text: &str) -> Result<Seq, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse().ok();
    number.and_then(Seq::new).ok_or_else(|| "expected the number of an event, from 1".to_owned())
}

/// Shows it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let entry = opened.reader.entry(args.seq)?;
    let body = EventBody { at: at_head(&opened.reader), event: events::item(&entry) };
    let name = args.seq.get().to_string();
    app.out.single("taskledger.event/v1", body, Some(&name), |out, body| {
        human(out, &body.event, &entry)
    })?;
    Ok(Exit::Ok)
}

fn human(out: &mut Out, item: &EventItem, entry: &Entry) -> Result<()> {
    let look = out.look;
    out.line(&events::line(entry, true, &look))?;
    let mut field = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{name:<15}"), &look);
        if value.is_empty() { Ok(()) } else { out.line(&format!("{name} {}", look.safe(value))) }
    };
    field("thread", item.thread_id.as_deref().unwrap_or_default())?;
    field("task", item.task_id.as_deref().unwrap_or_default())?;
    field("occurred", &time::show(Millis(item.occurred_ms), &look))?;
    field("recorded", &time::show(Millis(item.recorded_ms), &look))?;
    field("epoch", &item.epoch)?;
    field("key", item.key.as_deref().unwrap_or_default())?;
    let links = [("prev in thread", item.prev_in_thread), ("prev in task", item.prev_in_task)];
    for (name, seq) in links {
        field(name, &seq.map(|seq| format!("#{seq}")).unwrap_or_default())?;
    }
    let cause = &item.cause;
    let causes = [
        ("by task", &cause.task_id),
        ("by run", &cause.run_id),
        ("by call", &cause.call_id),
        ("by agent", &cause.agent_id),
    ];
    for (name, id) in causes {
        field(name, id.as_deref().unwrap_or_default())?;
    }
    for (name, value) in item.data.as_object().into_iter().flatten() {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        field(name, &value)?;
    }
    for kind in PartKind::ALL {
        if let Some(part) = entry.parts.iter().find(|part| part.kind == kind) {
            let text = part.body.as_ref().map_or("(erased)", |body| &body.text);
            field(kind.as_str(), text)?;
        }
    }
    Ok(())
}
