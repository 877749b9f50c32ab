//! `taskledger diff`: what changed between two moments.

use crate::{
    app::{self, App},
    exit::Exit,
    json::{ChangeItem, DiffBody},
    output::{Format, Item, Out},
    paint::{Paint, shape},
    table::{Cell, Column},
    tasks::title,
    term::Look,
    time,
};
use anyhow::Result;
use std::collections::BTreeSet;
use taskledger::{
    event::{Parent, TaskStatus},
    ids::{TaskId, ThreadId},
    query::{self, Change, Field, Point, Scope, Value, View},
    state::LedgerState,
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
    let items = diff.changes.iter().map(item).collect();
    let body = DiffBody { from: app::at(&from), to: app::at(&to), items };
    if matches!(app.out.format, Format::Csv | Format::Name) {
        app.out.list(&app::at(&to), body.items.into_iter().map(Ok))?;
    } else {
        app.out.single("taskledger.diff/v1", body, None, |out, _| {
            if args.stat { stat(out, diff.stat()) } else { human(out, &diff.changes, &to.state) }
        })?;
    }
    Ok(if differs && args.exit_code { Exit::Finding } else { Exit::Ok })
}

fn stat(out: &mut Out, stat: query::DiffStat) -> Result<()> {
    let counts = [
        (stat.spawned, "spawned"),
        (stat.vanished, "gone"),
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
        let item = item(change);
        let (mark, status) = match change {
            Change::Spawned { .. } => ("+".to_owned(), Some(TaskStatus::Running)),
            Change::Vanished { .. } => ("<".to_owned(), None),
            Change::Ended { to, .. } => (shape(*to, look.charset).to_string(), Some(*to)),
            Change::Reparented { .. } => ("^".to_owned(), None),
            Change::Changed { .. } => ("*".to_owned(), None),
        };
        let words = match change {
            Change::Spawned { task } | Change::Vanished { task } => {
                let why = task.description.kept().map(|why| format!("  {why}"));
                format!("{}{}", title(task), why.unwrap_or_default())
            }
            Change::Ended { task, from, to } => {
                let error = after.task(task).and_then(|task| task.error.as_ref()?.kept().cloned());
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                format!("{task} {} -> {}{error}", from.as_str(), to.as_str())
            }
            Change::Reparented { task, .. } | Change::Changed { task, .. } => format!(
                "{task} {}: {} -> {}",
                item.field.as_deref().unwrap_or_default(),
                item.before.as_deref().unwrap_or("none"),
                item.after.as_deref().unwrap_or("none")
            ),
        };
        let head = format!("{mark} {:<10} ", item.change);
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

fn item(change: &Change) -> ChangeItem {
    let of = |change: &str, task: &str, field: Option<&str>, before, after| ChangeItem {
        change: change.to_owned(),
        task_id: task.to_owned(),
        field: field.map(str::to_owned),
        before,
        after,
    };
    let parent = |parent: &Option<Parent>| parent.as_ref().map(|parent| parent.id().to_string());
    match change {
        Change::Spawned { task } => of("spawned", task.id.as_str(), None, None, None),
        Change::Vanished { task } => of("gone", task.id.as_str(), None, None, None),
        Change::Ended { task, from, to } => {
            let words = |status: &TaskStatus| Some(status.as_str().to_owned());
            of("ended", task.as_str(), Some("status"), words(from), words(to))
        }
        Change::Reparented { task, from, to } => {
            of("reparented", task.as_str(), Some("parent_task_id"), parent(from), parent(to))
        }
        Change::Changed { task, field, from, to } => {
            let words = |value: &Option<Value>| value.as_ref().map(words);
            of("changed", task.as_str(), Some(field.as_str()), words(from), words(to))
        }
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Word(word) => word.to_string(),
        Value::Text(text) => match text.kept() {
            Some(kept) => kept.to_string(),
            None if text.body == taskledger::state::TextBody::Erased => "(erased)".to_owned(),
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
        let or_empty = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
        vec![
            self.change.clone().into(),
            self.task_id.clone().into(),
            or_empty(&self.field),
            or_empty(&self.before),
            or_empty(&self.after),
        ]
    }

    fn name(&self) -> String {
        self.task_id.clone()
    }
}
