//! `taskledger log`: the events.

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
    query::{self, EventFilter, History, Order, Point, Scope},
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
    /// Occurred at this moment or later
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    since: Option<Point>,
    /// Occurred at this moment or earlier
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
    let moment = |point: &Option<Point>| {
        point.as_ref().map(|point| super::tasks::moment(app, point, reader)).transpose()
    };
    let wanted = History {
        scope: args.thread.as_ref().map_or(Scope::All, Scope::Thread),
        upto: Some(app.position(reader)?),
        filter: EventFilter {
            task: args.task.clone(),
            actions: args.action.iter().map(|action| action.as_str().to_owned()).collect(),
            since: moment(&args.since)?,
            until: moment(&args.until)?,
        },
        limit: args.count,
        order: if args.reverse { Order::NewestFirst } else { Order::OldestFirst },
    };
    let around = match (args.oneline, &args.thread) {
        (true, _) => Around::Nothing,
        (false, Some(_)) => Around::Thread,
        (false, None) => Around::Log,
    };
    list(&mut app.out, reader, &wanted, around, args.raw)?;
    Ok(Exit::Ok)
}

/// Writes the events that are wanted, in whatever format was asked for, one by one.
pub fn list(
    out: &mut Out,
    reader: &Reader,
    wanted: &History<'_>,
    around: Around,
    raw: bool,
) -> Result<()> {
    if raw {
        return each(reader, wanted, |entry| {
            let mut event = serde_json::to_value(EventLine::from(&entry))?;
            if let Some(fields) = event.as_object_mut() {
                fields.insert("parts".to_owned(), events::commitments(&entry));
            }
            out.line(&json_text(&event)?)
        });
    }
    if !out.for_programs() {
        return each(reader, wanted, |entry| {
            let line = events::line(&entry, around, &out.look);
            out.line(&line)
        });
    }
    let at = match wanted.upto {
        Some(position) => at_position(position, reader)?,
        None => at_head(reader),
    };
    let mut list = out.begin::<EventLine>(&at)?;
    each(reader, wanted, |entry| list.push(&EventLine::from(&entry)))?;
    list.end()
}

/// Visits the events that are wanted until one cannot be written.
pub fn each(
    reader: &Reader,
    wanted: &History<'_>,
    mut visit: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    let mut failed = Ok(());
    query::history(reader, wanted, |entry| match visit(entry) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Err(error);
            ControlFlow::Break(())
        }
    })?;
    failed
}
