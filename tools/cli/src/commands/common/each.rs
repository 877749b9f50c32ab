//! Events, one by one, in whatever format was asked for.

use crate::{
    output::Out,
    shown::line::{Around, line},
};
use anyhow::Result;
use taskledger::{
    event::Entry,
    ledger::Reader,
    query::{self, History},
};
use taskledger_contract::{
    answers::{At, EventLine, commitments},
    safe_json,
};

/// Writes the events that are wanted from the number `first` on, in whatever format was asked for,
/// one by one.
pub fn list(
    out: &mut Out,
    reader: &Reader,
    wanted: &History<'_>,
    first: u64,
    around: Around,
    raw: bool,
) -> Result<()> {
    // The events before it are the oldest, so a limit counts none of them that it should not.
    let shown = |entry: &Entry| entry.event.seq.get() >= first;
    if raw {
        return each(reader, wanted, shown, |entry| {
            let mut event = serde_json::to_value(EventLine::from(&entry))?;
            if let Some(fields) = event.as_object_mut() {
                fields.insert("parts".to_owned(), commitments(&entry));
            }
            out.line(&safe_json::to_string(&event)?)
        });
    }
    if !out.for_programs() {
        return each(reader, wanted, shown, |entry| {
            let shown = line(&EventLine::from(&entry), around, &out.look);
            out.line(&shown)
        });
    }
    let at = match wanted.upto {
        Some(position) => At::position(position, reader)?,
        None => At::head(reader)?,
    };
    let mut list = out.begin::<EventLine>(&at)?;
    let done = each(reader, wanted, shown, |entry| list.push(&EventLine::from(&entry)));
    list.end(done)
}

/// Visits the events that are wanted and `shown` until one cannot be written.
pub fn each(
    reader: &Reader,
    wanted: &History<'_>,
    shown: impl Fn(&Entry) -> bool,
    mut visit: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    query::history(reader, wanted, |entry| if shown(&entry) { visit(entry) } else { Ok(()) })
}
