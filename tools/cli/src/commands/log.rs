//! `taskledger log`: the events.

use super::tasks::Between;
use crate::{
    app::{App, at_head, at_position},
    events::{self, Around},
    exit::Exit,
    json::EventLine,
    output::{Out, json_text},
};
use anyhow::Result;
use clap::ValueEnum;
use std::ops::ControlFlow;
use taskledger::{
    event::Entry,
    ids::{TaskId, ThreadId},
    ledger::Reader,
    query::{self, EventFilter, History, Order, Point, Position, Scope},
    time::Millis,
};

/// List events: all, or those of a thread or task, oldest first.
///
/// With --at, up to that moment. -n gives the last so many.
///
/// Example:
///   taskledger log session-1 --oneline
///   taskledger log -n 20 --reverse --action terminated
///   taskledger log --task bg_3 -o jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Of this thread
    thread: Option<ThreadId>,
    /// The last so many
    #[arg(short = 'n', value_name = "COUNT")]
    count: Option<usize>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
    /// Occurred at this time or later; for a place in the log, that event or later ones
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    since: Option<Point>,
    /// Occurred at this time or earlier; for a place in the log, that event or earlier ones
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    until: Option<Point>,
    /// About this task
    #[arg(long, value_name = "TASK")]
    task: Option<TaskId>,
    /// With this action; several are separated by commas
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    action: Vec<ActionArg>,
    /// Shorter lines, without time and thread
    #[arg(long, conflicts_with = "raw")]
    oneline: bool,
    /// Every field, one JSON document on each line, with the hashes that bind the texts
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ActionArg {
    Upserted,
    Terminated,
    Restored,
    CancelRequested,
    Messaged,
    Emitted,
    Redacted,
    Began,
}

impl ActionArg {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upserted => "upserted",
            Self::Terminated => "terminated",
            Self::Restored => "restored",
            Self::CancelRequested => "cancel_requested",
            Self::Messaged => "messaged",
            Self::Emitted => "emitted",
            Self::Redacted => "redacted",
            Self::Began => "began",
        }
    }
}

/// Lists them.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let reader = &opened.reader;
    let between = Between::of(app, args.since.as_ref(), args.until.as_ref(), reader)?;
    let (first, last) = between.seqs.unwrap_or((0, u64::MAX));
    let (upto, until) = ends(app.position(reader)?, last, between.until);
    let wanted = History {
        scope: args.thread.as_ref().map_or(Scope::All, Scope::Thread),
        upto: Some(upto),
        filter: EventFilter {
            task: args.task.clone(),
            actions: args.action.iter().map(|action| action.as_str().to_owned()).collect(),
            since: between.since,
            until,
        },
        limit: args.count,
        order: if args.reverse { Order::NewestFirst } else { Order::OldestFirst },
    };
    let around = match (args.oneline, &args.thread) {
        (true, _) => Around::Nothing,
        (false, Some(_)) => Around::Thread,
        (false, None) => Around::Log,
    };
    list(&mut app.out, reader, &wanted, first, around, args.raw)?;
    Ok(Exit::Ok)
}

/// Where to end, if a last event was named besides the moment that is shown.
fn ends(at: Position, last: u64, until: Option<Millis>) -> (Position, Option<Millis>) {
    match at {
        _ if last == u64::MAX => (at, until),
        Position::Log(size) => (Position::Log(size.min(last)), until),
        Position::Occurred(time) => {
            (Position::Log(last), Some(until.map_or(time, |until| until.min(time))))
        }
    }
}

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
                fields.insert("parts".to_owned(), events::commitments(&entry));
            }
            out.line(&json_text(&event)?)
        });
    }
    if !out.for_programs() {
        return each(reader, wanted, shown, |entry| {
            let line = events::line(&entry, around, &out.look);
            out.line(&line)
        });
    }
    let at = match wanted.upto {
        Some(position) => at_position(position, reader)?,
        None => at_head(reader),
    };
    let mut list = out.begin::<EventLine>(&at)?;
    each(reader, wanted, shown, |entry| list.push(&EventLine::from(&entry)))?;
    list.end()
}

/// Visits the events that are wanted and `shown` until one cannot be written.
pub fn each(
    reader: &Reader,
    wanted: &History<'_>,
    shown: impl Fn(&Entry) -> bool,
    mut visit: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    let mut failed = Ok(());
    query::history(reader, wanted, |entry| {
        match if shown(&entry) { visit(entry) } else { Ok(()) } {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed
}
