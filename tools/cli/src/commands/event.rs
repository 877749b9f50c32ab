//! `taskledger event`: one event, whole.

use super::common::seq;
use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::Out,
    paint::Paint,
    shown::line::{Around, line as shown},
    time,
};
use anyhow::Result;
use serde_json::Value;
use taskledger::{
    event::{Commitment, Entry},
    ids::Seq,
};
use taskledger_contract::{answers::EventLine, questions::EventQuestion, words::ERASED};

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

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("an event is the same at every moment")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let (line, entry) = EventQuestion { seq: self.seq }.answer(&app.asked(&opened.reader)?)?;
        let name = self.seq.get().to_string();
        app.out.document(&line, Some(&name), |out, line| {
            human(out, line, &entry, |_| ERASED.to_owned())
        })?;
        Ok(Exit::Ok)
    }
}

/// Shows an event whole; `missing` is said of a text that is not there.
pub fn human(
    out: &mut Out,
    line: &EventLine,
    entry: &Entry,
    missing: impl Fn(&Commitment) -> String,
) -> Result<()> {
    let look = out.look;
    out.line(&shown(entry, Around::Nothing, &look))?;
    let mut field = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{name:<20}"), &look);
        if value.is_empty() { Ok(()) } else { out.line(&format!("{name} {}", look.safe(value))) }
    };
    field("occurred", &time::show(entry.event.occurred, &look))?;
    field("recorded", &time::show(entry.event.recorded, &look))?;
    for (name, value) in plain(line)? {
        field(&name, &value)?;
    }
    for (part, promised) in entry.parts.iter().zip(&entry.event.parts) {
        let text =
            part.body.as_ref().map_or_else(|| missing(promised), |body| body.text.to_string());
        field(part.kind.as_str(), &text)?;
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
