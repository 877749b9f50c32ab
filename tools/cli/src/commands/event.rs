//! `taskledger event`: one event, whole.

use crate::{
    app::App,
    events::{self, Around},
    exit::Exit,
    json::EventLine,
    output::Out,
    paint::Paint,
    time,
};
use anyhow::Result;
use serde_json::Value;
use taskledger::{event::Entry, ids::Seq};

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

/// An event's number, with or without `#`.
pub fn seq(text: &str) -> Result<Seq, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse().ok();
    number.and_then(Seq::new).ok_or_else(|| "expected the number of an event, from 1".to_owned())
}

/// Shows it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let entry = opened.reader.entry(args.seq)?;
    let line = EventLine::from(&entry);
    let name = args.seq.get().to_string();
    app.out.document(&line, Some(&name), |out, line| human(out, line, &entry))?;
    Ok(Exit::Ok)
}

fn human(out: &mut Out, line: &EventLine, entry: &Entry) -> Result<()> {
    let look = out.look;
    out.line(&events::line(entry, Around::Nothing, &look))?;
    let mut field = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{name:<20}"), &look);
        if value.is_empty() { Ok(()) } else { out.line(&format!("{name} {}", look.safe(value))) }
    };
    field("occurred", &time::show(entry.event.occurred, &look))?;
    field("recorded", &time::show(entry.event.recorded, &look))?;
    for (name, value) in plain(line)? {
        field(&name, &value)?;
    }
    for part in &entry.parts {
        let text = part.body.as_ref().map_or(events::ERASED, |body| &body.text);
        field(part.kind.as_str(), text)?;
    }
    Ok(())
}

/// The fields that no other line shows, those of objects named after them.
fn plain(line: &EventLine) -> Result<Vec<(String, String)>> {
    const SHOWN: [&str; 6] = ["schema", "seq", "occurred_ms", "recorded_ms", "action", "texts"];
    let Value::Object(fields) = serde_json::to_value(line)? else { return Ok(Vec::new()) };
    let mut plain = Vec::new();
    for (name, value) in fields.into_iter().filter(|(name, _)| !SHOWN.contains(&name.as_str())) {
        if let Value::Object(inner) = value {
            let inner = inner.into_iter().filter(|(_, value)| !value.is_null());
            plain.extend(inner.map(|(inner, value)| (format!("{name}.{inner}"), text(&value))));
        } else {
            plain.push((name, text(&value)));
        }
    }
    Ok(plain)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
