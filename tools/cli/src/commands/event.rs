//! `taskledger event`: one event, whole.

use super::common::seq;
use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
    exit::Exit,
    output::Out,
    paint::Paint,
    shown::line::{Around, line as shown},
    time,
};
use anyhow::Result;
use serde_json::Value;
use taskledger::{event::PartKind, ids::Seq, time::Millis};
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        let question = EventQuestion { seq: self.seq };
        if let Passed::No = source.pass(app, &question)? {
            let line = source.ask(app, &question)?;
            let name = self.seq.get().to_string();
            app.out.document(&line, Some(&name), |out, line| {
                human(out, line, |_| ERASED.to_owned())
            })?;
        }
        Ok(Exit::Ok)
    }
}

/// Shows an event whole; `missing` is said of a text of this kind that is not there.
pub fn human(out: &mut Out, line: &EventLine, missing: impl Fn(PartKind) -> String) -> Result<()> {
    let look = out.look;
    out.line(&shown(line, Around::Nothing, &look))?;
    let mut field = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{:<20}", look.safe(name)), &look);
        if value.is_empty() { Ok(()) } else { out.line(&format!("{name} {}", look.safe(value))) }
    };
    field("occurred", &time::show(Millis(line.occurred_ms.unwrap_or_default()), &look))?;
    field("recorded", &time::show(Millis(line.recorded_ms.unwrap_or_default()), &look))?;
    for (name, value) in plain(line)? {
        field(&name, &value)?;
    }
    for kind in PartKind::ALL {
        if let Some(text) = line.texts.get(kind.as_str()) {
            field(kind.as_str(), &text.clone().unwrap_or_else(|| missing(kind)))?;
        }
    }
    Ok(())
}

/// The fields that no other line shows, those of objects named after them.
fn plain(line: &EventLine) -> Result<Vec<(String, String)>> {
    const SHOWN: [&str; 7] =
        ["schema", "seq", "occurred_ms", "recorded_ms", "action", "texts", "withheld"];
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
