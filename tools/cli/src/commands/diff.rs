//! `taskledger diff`: what changed between two moments.

use crate::{
    app::App,
    command::{Command, Moment},
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
    event::{Entry, Parent, PartKind, TaskStatus},
    ids::{Seq, TaskId, ThreadId},
    ledger::{ReadError, Reader},
    query::{self, Change, Field, Point, QueryError, Texts, Value},
    state::LedgerState,
};
use taskledger_contract::{
    answers::{ChangeItem, DiffCounts, part_of},
    escape,
    questions::DiffQuestion,
    shapes::shape,
    words,
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

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("name the two moments with --from and --to")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let asked = app.asked(&opened.reader)?;
        let question = DiffQuestion {
            thread: self.thread.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            stat: self.stat,
        };
        let compared = question.compare(&asked)?;
        let changes = &compared.diff.changes;
        let rows = matches!(app.out.format, Format::Csv | Format::Name);
        if rows && self.stat {
            return Err(Problem::usage("--stat has no rows").hint("use -o json or table").into());
        }
        let body = question.answer(&asked, &compared)?;
        if rows {
            app.out.list(&body.to, body.items.into_iter().map(Ok))?;
        } else {
            app.out.single(body, None, |out, body| {
                if self.stat {
                    tell(out, &body.stat)
                } else {
                    human(out, changes, &compared.to.state, &opened.reader)
                }
            })?;
        }
        Ok(if !changes.is_empty() && self.exit_code { Exit::Finding } else { Exit::Ok })
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

fn human(out: &mut Out, changes: &[Change], after: &LedgerState, reader: &Reader) -> Result<()> {
    let look = out.look;
    let mut texts = query::texts(reader);
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
        let told = match change {
            Change::Spawned { task } | Change::Vanished { task } => {
                let why = texts.settled(&task.description, PartKind::Description)?;
                let why = words::text(&why);
                format!("{}{}{why}", words::title(task), if why.is_empty() { "" } else { "  " })
            }
            Change::Ended { task, from, to } => {
                let error = after.task(task).and_then(|task| task.error.as_ref());
                let error = error.map(|error| texts.settled(error, PartKind::Error)).transpose()?;
                let error =
                    error.map(|error| format!(": {}", words::text(&error))).unwrap_or_default();
                format!("{task} {} -> {}{error}", from.as_str(), to.as_str())
            }
            Change::Reparented { task, from, to } => {
                let of = |parent: &Option<Parent>| {
                    parent.as_ref().map_or("none".to_owned(), |parent| parent.id().to_string())
                };
                format!("{task} parent_task_id: {} -> {}", of(from), of(to))
            }
            Change::Changed { task, field, from, to } => {
                let mut of = |value: &Option<Value>| {
                    let settled = value.as_ref().map(|value| settled(value, *field, &mut texts));
                    let said = settled.transpose()?.as_ref().map(words::value);
                    Ok::<_, QueryError>(said.unwrap_or_else(|| "none".to_owned()))
                };
                format!("{task} {}: {} -> {}", field.as_str(), of(from)?, of(to)?)
            }
        };
        let head = format!("{mark} {:<10} ", ChangeItem::kind(change));
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(head.len()));
        let told = escape::cut(&look.safe(&told), room, look.charset);
        let head = status.map_or(head.clone(), |status| Paint::Status(status).on(&head, &look));
        out.line(&format!("{head}{told}"))?;
    }
    Ok(())
}

/// A value in which no text stands on the word of a snapshot.
fn settled<R>(value: &Value, field: Field, texts: &mut Texts<R>) -> Result<Value, QueryError>
where
    R: FnMut(Seq) -> Result<Entry, ReadError>,
{
    match (value, part_of(field)) {
        (Value::Text(text), Some(kind)) => texts.settled(text, kind).map(Value::Text),
        (value, _) => Ok(value.clone()),
    }
}

/// Whether a change only says what came with the end of its task.
fn is_part_of_an_end(change: &Change, ended: &BTreeSet<&TaskId>) -> bool {
    let Change::Changed { task, field, .. } = change else { return false };
    matches!(field, Field::Error | Field::Result | Field::Completed) && ended.contains(task)
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
