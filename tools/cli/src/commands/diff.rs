//! `taskledger diff`: what changed between two moments.

use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
    exit::{Exit, Problem},
    output::{Format, Item, Out},
    paint::Paint,
    table::{Cell, Column},
    term::Look,
};
use anyhow::Result;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use taskledger::{
    event::TaskStatus,
    ids::ThreadId,
    query::{Point, format_time},
    time::Millis,
};
use taskledger_contract::{
    answers::{ChangeItem, DiffCounts},
    escape,
    questions::DiffQuestion,
    shapes::shape,
    words::{ERASED, WITHHELD},
};

/// Compare two moments of a thread.
///
/// Tells which tasks were spawned, ended, changed or got another parent between
/// them.
///
/// Example:
///   taskledger diff session-1 --from spawn:bg_3 --to @
///   taskledger diff session-1 --from @-5 --to @ --stat --exit-code
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The thread
    thread: ThreadId,
    /// The first moment
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    from: Point,
    /// The second moment
    #[arg(long, value_name = "POS", allow_hyphen_values = true, default_value = "@")]
    to: Point,
    /// Only how many changes of each kind there are
    #[arg(long)]
    stat: bool,
    /// End with 4 if there are differences
    #[arg(long)]
    exit_code: bool,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("name the two moments with --from and --to")
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let rows = matches!(app.out.format, Format::Csv | Format::Name);
        if rows && self.stat {
            return Err(Problem::usage("--stat has no rows").hint("use -o json or table").into());
        }
        let source = app.source()?;
        let question = DiffQuestion {
            thread: self.thread.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            stat: self.stat,
        };
        let passed = source.pass(app, &question)?;
        let (is_passed, body) = match passed {
            Passed::Whole(body) => (true, body),
            Passed::No | Passed::Lines => (false, source.ask(app, &question)?),
        };
        let DiffCounts { spawned, gone, ended, reparented, changed } = body.stat;
        let differs = spawned + gone + ended + reparented + changed > 0;
        if rows {
            app.out.list(&body.to, body.items.into_iter().map(Ok))?;
        } else if !is_passed {
            app.out.single(body, None, |out, body| {
                if self.stat { tell(out, &body.stat) } else { human(out, &body.items) }
            })?;
        }
        Ok(if differs && self.exit_code { Exit::Finding } else { Exit::Ok })
    }
}

fn tell(out: &mut Out, stat: &DiffCounts) -> Result<()> {
    let counts = [
        (stat.spawned, "spawned"),
        (stat.gone, "gone"),
        (stat.ended, "ended"),
        (stat.reparented, "reparented"),
        (stat.changed, "changed"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    out.line(&if told.is_empty() { "no differences".to_owned() } else { told.join(", ") })
}

/// Writes changes for people, a line each.
pub(super) fn human(out: &mut Out, changes: &[ChangeItem]) -> Result<()> {
    let look = out.look;
    if changes.is_empty() {
        return out.line("no differences");
    }
    let ended = changes.iter().filter(|change| change.change == "ended");
    let ended: BTreeSet<&str> = ended.map(|change| change.task_id.as_str()).collect();
    for change in changes.iter().filter(|change| !is_part_of_an_end(change, &ended)) {
        let task = &change.task_id;
        let field = change.field.as_deref().unwrap_or_default();
        let [before, after] = [("before", &change.before), ("after", &change.after)]
            .map(|(name, value)| said(change, name, value));
        let status = status(change);
        let (mark, told) = match change.change.as_str() {
            "spawned" | "gone" => {
                let name = change.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                let kind = change.task_type.as_deref().unwrap_or_default();
                let why = text(change).map(|why| format!("  {why}")).unwrap_or_default();
                let mark = if change.change == "gone" { '<' } else { '+' };
                (mark, format!("{task} {kind}{name}{why}"))
            }
            "ended" => {
                let why = text(change).map(|why| format!(": {why}")).unwrap_or_default();
                let mark = status.map_or('*', |status| shape(status, look.charset));
                (mark, format!("{task} {before} -> {after}{why}"))
            }
            "reparented" => ('^', format!("{task} {field}: {before} -> {after}")),
            _ => ('*', format!("{task} {field}: {before} -> {after}")),
        };
        let head = format!("{mark} {:<10} ", look.safe(&change.change));
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(head.len()));
        let told = escape::cut(&look.safe(&told), room, look.charset);
        let head = status.map_or(head.clone(), |status| Paint::Status(status).on(&head, &look));
        out.line(&format!("{head}{told}"))?;
    }
    Ok(())
}

/// The status that a change leads to.
fn status(change: &ChangeItem) -> Option<TaskStatus> {
    match change.change.as_str() {
        "spawned" => Some(TaskStatus::Running),
        "ended" => TaskStatus::ALL.into_iter().find(|to| change.after == to.as_str()),
        _ => None,
    }
}

/// The words in place of what is erased or withheld.
fn missing(change: &ChangeItem, name: &str) -> Option<&'static str> {
    let among = |names: &[String]| names.iter().any(|among| among == name);
    if among(&change.erased) {
        return Some(ERASED);
    }
    among(&change.withheld).then_some(WITHHELD)
}

/// The description or the error of a change.
fn text(change: &ChangeItem) -> Option<String> {
    change.text.clone().or_else(|| missing(change, "text").map(str::to_owned))
}

/// A value for people.
fn said(change: &ChangeItem, name: &str, value: &Json) -> String {
    let is_time = change.field.as_deref().is_some_and(|field| field.ends_with("_ms"));
    match (missing(change, name), value) {
        (Some(missing), _) => missing.to_owned(),
        (None, Json::Null) => "none".to_owned(),
        (None, Json::String(text)) => text.clone(),
        (None, Json::Number(number)) if is_time => {
            format_time(Millis(number.as_u64().unwrap_or_default()))
        }
        (None, Json::Number(number)) if change.field.as_deref() == Some("cancel_requested") => {
            format!("#{number}")
        }
        (None, other) => other.to_string(),
    }
}

/// Whether a change only says what came with the end of its task.
fn is_part_of_an_end(change: &ChangeItem, ended: &BTreeSet<&str>) -> bool {
    let of_end = ["error", "result", "completed_at_ms"];
    let field = change.field.as_deref().unwrap_or_default();
    change.change == "changed" && of_end.contains(&field) && ended.contains(change.task_id.as_str())
}

impl Item for ChangeItem {
    const COLUMNS: &'static [Column] = &[
        Column::new("CHANGE"),
        Column::new("TASK"),
        Column::new("FIELD"),
        Column::new("BEFORE").flexible(),
        Column::new("AFTER").flexible(),
    ];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        let told = |value: &Json| match value {
            Json::Null => Cell::default(),
            Json::String(text) => text.clone().into(),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                value.to_string().into()
            }
        };
        vec![
            self.change.clone().into(),
            self.task_id.clone().into(),
            self.field.clone().unwrap_or_default().into(),
            told(&self.before),
            told(&self.after),
        ]
    }
}
