//! `taskledger why`: the chain that led to a task.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::{Format, Item},
    paint::Paint,
    table::{Cell, Column},
    term::Look,
    time,
};
use anyhow::Result;
use taskledger::{ids::TaskId, query::Chain};
use taskledger_contract::{
    answers::{LinkItem, end_of_chain, origins},
    escape,
    questions::WhyQuestion,
    shapes::shape,
    words,
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

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let asked = app.asked(&opened.reader)?;
        let question = WhyQuestion { task: self.task.clone() };
        if !app.out.for_programs() && app.out.format != Format::Wide {
            let chain = question.chain(&asked)?;
            return human(app, &chain);
        }
        let links = question.answer(&asked)?;
        app.out.listed(links)?;
        Ok(Exit::Ok)
    }
}

fn human(app: &mut App, chain: &Chain) -> Result<Exit> {
    let look = app.out.look;
    let mut text = |indent: usize, text: &str| {
        let indent = " ".repeat(indent);
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()));
        app.out.line(&format!("{indent}{}", escape::cut(&look.safe(text), room, look.charset)))
    };
    for (nth, link) in chain.links.iter().enumerate() {
        let task = &link.task;
        let shape = shape(task.status, look.charset);
        let spawned = if nth == 0 { "" } else { "spawned by " };
        text(0, &format!("{spawned}{shape} {}", words::title(task)))?;
        let when = time::show(link.spawned, &look);
        text(4, &format!("event {}, {when}", task.first_seq))?;
        let why = words::text(&task.description);
        if !why.is_empty() {
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
    let end = match end_of_chain(&chain.end) {
        (None, _) => format!("spawned by no task: it is a root of thread {}", thread(chain)),
        (Some(id), detail) => format!("spawned by {id}: {detail}"),
    };
    text(0, &end)?;
    Ok(Exit::Ok)
}

fn thread(chain: &Chain) -> String {
    chain.links.last().map(|link| link.task.thread.to_string()).unwrap_or_default()
}

impl Item for LinkItem {
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
}
