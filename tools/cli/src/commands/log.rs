//! `taskledger log`: the events.

use super::common::{Follower, check_follow, list};
use crate::{
    app::{App, Opened},
    asking::Source,
    command::{Command, Moment, Server},
    exit::{Exit, Problem},
    output::Format,
    remote::Remote,
    shown::line::{Around, line},
};
use anyhow::Result;
use clap::ValueEnum;
use std::time::Duration;
use taskledger::{
    event::ActionKind,
    ids::{TaskId, ThreadId},
    query::{History, Point, Position},
};
use taskledger_contract::{
    answers::EventLine,
    questions::{Asked, LogQuestion, time},
    render::Form,
    safe_json,
};

/// List events: all, or those of a thread or task, oldest first.
///
/// With --at, up to that moment. -n gives the last so many. With -f it goes on with
/// each event that is recorded and survives loss of power, whoever records it,
/// until it is interrupted; it stops nobody.
///
/// Example:
///   taskledger log -f -n 0 --action terminated
///   taskledger log session-1 --oneline
///   taskledger log -n 20 --reverse --action terminated
///   taskledger log --task bg_3 -o jsonl
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
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
    /// Go on with new events; each is a line, also with --json
    #[arg(short = 'f', long, conflicts_with_all = ["reverse", "until"])]
    follow: bool,
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
    fn kind(self) -> ActionKind {
        match self {
            Self::Upserted => ActionKind::Upserted,
            Self::Terminated => ActionKind::Terminated,
            Self::Restored => ActionKind::Restored,
            Self::CancelRequested => ActionKind::CancelRequested,
            Self::Messaged => ActionKind::Messaged,
            Self::Emitted => ActionKind::Emitted,
            Self::Redacted => ActionKind::Redacted,
            Self::Began => ActionKind::Began,
        }
    }
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if self.follow {
            check_follow(app, &[Format::Json, Format::Jsonl])?;
            if app.out.format == Format::Json {
                app.out.format = Format::Jsonl;
            }
        }
        let question = LogQuestion {
            thread: self.thread.clone(),
            task: self.task.clone(),
            actions: self.action.iter().map(|action| action.kind()).collect(),
            since: self.since.clone(),
            until: self.until.clone(),
            count: self.count,
            reverse: self.reverse,
        };
        let around = match (self.oneline, &self.thread) {
            (true, _) => Around::Nothing,
            (false, Some(_)) => Around::Thread,
            (false, None) => Around::Log,
        };
        let opened = match app.source()? {
            Source::Here(opened) => opened,
            Source::There(remote) => return self.through(&remote, &question, around, app),
        };
        let reader = &opened.reader;
        let asked = Asked::new(reader, Some(&app.db), app.at.as_ref(), app.now())?;
        let upto = asked.position;
        let (wanted, first) = question.wanted(&asked)?;
        list(&mut app.out, reader, &wanted, first, around, self.raw)?;
        if self.follow {
            let wanted = wanted.limit(None);
            follow(app, &opened, wanted, upto, around, self.raw)?;
        }
        Ok(Exit::Ok)
    }
}

impl Args {
    /// The same by a server.
    fn through(
        &self,
        remote: &Remote,
        question: &LogQuestion,
        around: Around,
        app: &mut App,
    ) -> Result<Exit> {
        if self.raw {
            let problem = Problem::usage("--raw needs the directory of the ledger");
            return Err(problem.hint("a server tells no salts of texts but in a proof").into());
        }
        let source = Source::There(remote.clone());
        let mut seen = None;
        if self.follow {
            // The stream goes on where this answer ends.
            let answer = remote.bytes(&question.clone().into(), app.at.as_ref(), Form::Jsonl)?;
            seen = answer.size;
            for line in std::str::from_utf8(&answer.body)?.lines() {
                show(app, &serde_json::from_str(line)?, line, around)?;
            }
        } else if app.out.for_programs() {
            app.list(&source, question)?;
        } else {
            for event in source.ask(app, question)?.items {
                let shown = line(&event, around, &app.out.look);
                app.out.line(&shown)?;
            }
        }
        let Some(seen) = seen else { return Ok(Exit::Ok) };
        let since = question.since.as_ref().and_then(|at| time(at, app.now()).ok());
        let tail = remote.tail(question, seen, app.global.wait)?;
        loop {
            app.out.flush()?;
            let Some(next) = tail.next(app, Duration::MAX)? else { continue };
            if next.event.occurred_ms >= since.map(|since| since.0) {
                show(app, &next.event, &next.text, around)?;
            }
        }
    }
}

/// Shows an event on a line, as it came where programs read it.
fn show(app: &mut App, event: &EventLine, text: &str, around: Around) -> Result<()> {
    let shown = if app.out.for_programs() {
        safe_json::safe(text)
    } else {
        line(event, around, &app.out.look)
    };
    app.out.line(&shown)
}

/// Lists the events after those that were shown, as they become durable, until it is interrupted.
fn follow(
    app: &mut App,
    opened: &Opened,
    mut wanted: History<'_>,
    shown: Position,
    around: Around,
    raw: bool,
) -> Result<()> {
    let mut seen = shown.log_position()?;
    let mut follower = Follower::new(&opened.ledger, seen);
    loop {
        let size = follower.next(app, Duration::MAX)?;
        wanted.upto = Some(Position::Log(size));
        list(&mut app.out, &opened.reader, &wanted, seen.more(1).get(), around, raw)?;
        seen = size;
    }
}
