//! `taskledger why`: the chain that led to a task.

use crate::{
    app::{self, App},
    exit::Exit,
    json::LinkItem,
    output::{Format, Item},
    paint::{Paint, shape},
    table::{Cell, Column},
    tasks::title,
    term::Look,
    time,
};
use anyhow::Result;
use taskledger::{
    ids::TaskId,
    query::{self, Chain, ChainEnd, Link, Scope},
};

/// Say who started a task, and why: task, call, run and agent, up to the root.
///
/// Each link names the event that is its evidence: `taskledger event SEQ` shows it, and
/// `taskledger prove SEQ` proves it. Requests to stop the task are named too.
///
/// Example:
///   taskledger why bg_7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The task
    task: TaskId,
}

/// Says it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let position = app.position(&opened.reader)?;
    let chain = query::why(&opened.reader, &args.task, position)?;
    if !app.out.for_programs() && app.out.format != Format::Wide {
        return human(app, &chain);
    }
    let view = app.view(&opened.reader, Scope::Task(&args.task))?;
    app.out.list(&app::at(&view), items(&chain).into_iter().map(Ok))?;
    Ok(Exit::Ok)
}

fn human(app: &mut App, chain: &Chain) -> Result<Exit> {
    let look = app.out.look;
    let mut text = |indent: usize, text: &str| {
        let indent = " ".repeat(indent);
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()));
        app.out
            .line(&format!("{indent}{}", crate::escape::cut(&look.safe(text), room, look.charset)))
    };
    for (nth, link) in chain.links.iter().enumerate() {
        let task = &link.task;
        let shape = shape(task.status, look.charset);
        let spawned = if nth == 0 { "" } else { "spawned by " };
        text(0, &format!("{spawned}{shape} {}", title(task)))?;
        let when = time::show(link.spawned, &look);
        text(4, &format!("event {}, {when}", task.first_seq))?;
        if let Some(why) = task.description.kept().filter(|why| !why.is_empty()) {
            text(4, &format!("for: {why}"))?;
        }
        for (kind, id) in origins(link) {
            text(4, &format!("{kind} {id}"))?;
        }
        if link.linked != task.first_seq {
            text(4, &format!("its parent was changed by event {}", link.linked))?;
        }
        for cancel in &link.cancels {
            let reason = cancel.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            text(4, &format!("a stop was asked for by event {}{reason}", cancel.seq))?;
        }
    }
    let end = match end(&chain.end) {
        (None, _) => format!("spawned by no task: it is a root of thread {}", thread(chain)),
        (Some(id), detail) => format!("spawned by {id}: {detail}"),
    };
    text(0, &end)?;
    Ok(Exit::Ok)
}

fn thread(chain: &Chain) -> String {
    chain.links.last().map(|link| link.task.thread.to_string()).unwrap_or_default()
}

/// The call, run and agent that spawned a task, where they are known.
fn origins(link: &Link) -> Vec<(&'static str, String)> {
    let record = &link.task.record;
    let call = record.call.as_ref().map(ToString::to_string);
    let run = record.run.as_ref().map(ToString::to_string);
    let agent = record.agent.as_ref().map(ToString::to_string);
    let all = [("call", call), ("run", run), ("agent", agent)];
    all.into_iter().filter_map(|(kind, id)| Some((kind, id?))).collect()
}

fn end(end: &ChainEnd) -> (Option<String>, String) {
    match end {
        ChainEnd::Root => (None, String::new()),
        ChainEnd::External { ledger: Some(ledger), task } => {
            (Some(task.to_string()), format!("a task of ledger {ledger}"))
        }
        ChainEnd::External { ledger: None, task } => {
            (Some(task.to_string()), "a task that this ledger does not hold".to_owned())
        }
        ChainEnd::Absent { task } => {
            (Some(task.to_string()), "a task that did not exist by then".to_owned())
        }
        ChainEnd::Cycle { task } => {
            (Some(task.to_string()), "a task below it: the log is not sound".to_owned())
        }
    }
}

fn items(chain: &Chain) -> Vec<LinkItem> {
    let mut items = Vec::new();
    for link in &chain.links {
        let task = &link.task;
        let item = |kind: &str, id: String, seq, detail| LinkItem {
            kind: kind.to_owned(),
            id,
            seq: Some(seq),
            task_id: Some(task.id.to_string()),
            detail,
        };
        let why = task.description.kept().map(ToString::to_string);
        items.push(item("task", task.id.to_string(), link.linked.get(), why));
        for (kind, id) in origins(link) {
            items.push(item(kind, id, task.first_seq.get(), None));
        }
        for cancel in &link.cancels {
            let by = cancel.cause.agent.as_ref().map(ToString::to_string).unwrap_or_default();
            let reason = cancel.reason.as_ref().map(ToString::to_string);
            items.push(item("cancel", by, cancel.seq.get(), reason));
        }
    }
    if let (Some(id), detail) = end(&chain.end) {
        let detail = Some(detail);
        items.push(LinkItem { kind: "external".into(), id, seq: None, task_id: None, detail });
    }
    items
}

impl Item for LinkItem {
    const SCHEMA: &'static str = "taskledger.why/v1";
    const FIELDS: &'static [&'static str] = &["kind", "id", "seq", "task_id", "detail"];
    const COLUMNS: &'static [Column] = &[
        Column::new("LINK"),
        Column::new("ID"),
        Column::new("SEQ").right(),
        Column::new("OF TASK"),
        Column::new("DETAIL").flexible(),
    ];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        vec![
            Cell { text: self.kind.clone(), paint: Some(Paint::Strong) },
            self.id.clone().into(),
            self.seq.map(|seq| seq.to_string()).unwrap_or_default().into(),
            self.task_id.clone().unwrap_or_default().into(),
            self.detail.clone().unwrap_or_default().into(),
        ]
    }

    fn name(&self) -> String {
        self.id.clone()
    }
}
