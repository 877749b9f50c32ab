//! `taskledger diff`: what changed between two moments.

use crate::{
    app::{self, App},
    events::{ERASED, json_or_text},
    exit::{Exit, Problem},
    json::{ChangeItem, DiffBody, DiffCounts},
    output::{Format, Item, Out},
    paint::{Paint, shape},
    table::{Cell, Column},
    tasks::{count, title, told},
    term::Look,
    time,
};
use anyhow::Result;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use taskledger::{
    event::{Parent, PartKind, TaskStatus},
    ids::{TaskId, ThreadId},
    ledger::Reader,
    query::{self, Change, Field, Point, Scope, Value, View},
    state::{LedgerState, Text},
};

/// Compare two moments of a thread.
///
/// Tells which tasks were spawned, ended, changed or got another parent between them.
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

/// Compares them.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let reader = &opened.reader;
    let view = |point: &Point| -> Result<View> {
        let position = app.resolve(point, reader)?;
        Ok(query::as_of(reader, Scope::Thread(&args.thread), position)?)
    };
    let (from, to) = (view(&args.from)?, view(&args.to)?);
    let diff = query::diff(&from.state, &to.state, Some(&args.thread));
    let differs = !diff.changes.is_empty();
    let rows = matches!(app.out.format, Format::Csv | Format::Name);
    if rows && args.stat {
        return Err(Problem::usage("--stat has no rows").hint("use -o json or table").into());
    }
    let items = if args.stat {
        Vec::new()
    } else {
        diff.changes.iter().map(|change| item(change, reader)).collect::<Result<_>>()?
    };
    let stat = counts(diff.stat());
    let body = DiffBody { from: app::at(&from), to: app::at(&to), stat, items };
    if rows {
        app.out.list(&app::at(&to), body.items.into_iter().map(Ok))?;
    } else {
        app.out.single("taskledger.diff/v1", body, None, |out, body| {
            if args.stat { tell(out, &body.stat) } else { human(out, &diff.changes, &to.state) }
        })?;
    }
    Ok(if differs && args.exit_code { Exit::Finding } else { Exit::Ok })
}

fn counts(stat: query::DiffStat) -> DiffCounts {
    DiffCounts {
        spawned: count(stat.spawned),
        gone: count(stat.vanished),
        ended: count(stat.ended),
        reparented: count(stat.reparented),
        changed: count(stat.changed),
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

fn human(out: &mut Out, changes: &[Change], after: &LedgerState) -> Result<()> {
    let look = out.look;
    if changes.is_empty() {
        return out.line("no differences");
    }
    let ended = changes.iter().filter_map(|change| match change {
        Change::Ended { task, .. } => Some(task),
        Change::Spawned { .. }
        | Change::Vanished { .. }
        | Change::Reparented { .. }
        | Change::Changed { .. } => None,
    });
    let ended: BTreeSet<&TaskId> = ended.collect();
    for change in changes.iter().filter(|change| !is_part_of_an_end(change, &ended)) {
        let (mark, status) = match change {
            Change::Spawned { .. } => ("+".to_owned(), Some(TaskStatus::Running)),
            Change::Vanished { .. } => ("<".to_owned(), None),
            Change::Ended { to, .. } => (shape(*to, look.charset).to_string(), Some(*to)),
            Change::Reparented { .. } => ("^".to_owned(), None),
            Change::Changed { .. } => ("*".to_owned(), None),
        };
        let words = match change {
            Change::Spawned { task } | Change::Vanished { task } => {
                let why = told(&task.description);
                format!("{}{}{why}", title(task), if why.is_empty() { "" } else { "  " })
            }
            Change::Ended { task, from, to } => {
                let error = after.task(task).and_then(|task| task.error.as_ref());
                let error = error.map(|error| format!(": {}", told(error))).unwrap_or_default();
                format!("{task} {} -> {}{error}", from.as_str(), to.as_str())
            }
            Change::Reparented { task, from, to } => {
                let of = |parent: &Option<Parent>| {
                    parent.as_ref().map_or("none".to_owned(), |parent| parent.id().to_string())
                };
                format!("{task} parent_task_id: {} -> {}", of(from), of(to))
            }
            Change::Changed { task, field, from, to } => {
                let of =
                    |value: &Option<Value>| value.as_ref().map_or_else(|| "none".to_owned(), words);
                format!("{task} {}: {} -> {}", field.as_str(), of(from), of(to))
            }
        };
        let head = format!("{mark} {:<10} ", name(change));
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(head.len()));
        let words = crate::escape::cut(&look.safe(&words), room, look.charset);
        let head = status.map_or(head.clone(), |status| Paint::Status(status).on(&head, &look));
        out.line(&format!("{head}{words}"))?;
    }
    Ok(())
}

/// Whether a change only says what came with the end of its task.
fn is_part_of_an_end(change: &Change, ended: &BTreeSet<&TaskId>) -> bool {
    let Change::Changed { task, field, .. } = change else { return false };
    matches!(field, Field::Error | Field::Result | Field::Completed) && ended.contains(task)
}

fn name(change: &Change) -> &'static str {
    match change {
        Change::Spawned { .. } => "spawned",
        Change::Vanished { .. } => "gone",
        Change::Ended { .. } => "ended",
        Change::Reparented { .. } => "reparented",
        Change::Changed { .. } => "changed",
    }
}

fn item(change: &Change, reader: &Reader) -> Result<ChangeItem> {
    let of = |task: &TaskId, field: Option<&str>, before: Json, after: Json| ChangeItem {
        change: name(change).to_owned(),
        task_id: task.to_string(),
        field: field.map(str::to_owned),
        before,
        after,
    };
    let parent = |parent: &Option<Parent>| {
        parent.as_ref().map_or(Json::Null, |parent| parent.id().as_str().into())
    };
    Ok(match change {
        Change::Spawned { task } | Change::Vanished { task } => {
            of(&task.id, None, Json::Null, Json::Null)
        }
        Change::Ended { task, from, to } => {
            of(task, Some("status"), from.as_str().into(), to.as_str().into())
        }
        Change::Reparented { task, from, to } => {
            of(task, Some("parent_task_id"), parent(from), parent(to))
        }
        Change::Changed { task, field, from, to } => {
            let json = |value: &Option<Value>| match value {
                Some(value) => json(value, *field, reader),
                None => Ok(Json::Null),
            };
            of(task, Some(field.as_str()), json(from)?, json(to)?)
        }
    })
}

/// A value as the fields of a task have it.
fn json(value: &Value, field: Field, reader: &Reader) -> Result<Json> {
    Ok(match value {
        Value::Time(at) => at.0.into(),
        Value::Seq(seq) => seq.get().into(),
        Value::Text(text) => match exact(text, field, reader)? {
            Some(text) if field == Field::Result => json_or_text(&text),
            Some(text) => text.into(),
            None => Json::Null,
        },
        Value::Word(_) | Value::Host(_) => words(value).into(),
    })
}

/// All of a text; `None` once it is erased.
fn exact(text: &Text, field: Field, reader: &Reader) -> Result<Option<String>> {
    if let Some(kept) = text.kept() {
        return Ok(Some(kept.to_string()));
    }
    let kinds = [
        (Field::Description, PartKind::Description),
        (Field::Error, PartKind::Error),
        (Field::Result, PartKind::Result),
    ];
    let Some((_, kind)) = kinds.into_iter().find(|(of, _)| *of == field) else { return Ok(None) };
    Ok(reader.entry(text.seq)?.text(kind).map(ToString::to_string))
}

fn words(value: &Value) -> String {
    match value {
        Value::Word(word) => word.to_string(),
        Value::Text(text) => match text.kept() {
            Some(kept) => kept.to_string(),
            None if text.body == taskledger::state::TextBody::Erased => ERASED.to_owned(),
            None => format!("({} bytes of event {})", text.len, text.seq),
        },
        Value::Time(at) => time::iso(*at),
        Value::Seq(seq) => seq.to_string(),
        Value::Host(host) => format!("{host:?}"),
    }
}

impl Item for ChangeItem {
    const SCHEMA: &'static str = "taskledger.diff/v1";
    const FIELDS: &'static [&'static str] = &["change", "task_id", "field", "before", "after"];
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

    fn name(&self) -> String {
        self.task_id.clone()
    }
}
