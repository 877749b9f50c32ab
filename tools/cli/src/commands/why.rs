//! `taskledger why`: the chain that led to a task.

use crate::{
    app::App,
    command::{Command, Moment, Server},
    exit::Exit,
    output::{Format, Item},
    paint::Paint,
    table::{Cell, Column},
    term::Look,
    time,
};
use anyhow::Result;
use taskledger::{
    event::TaskStatus,
    ids::{Seq, TaskId},
    time::Millis,
};
use taskledger_contract::{
    answers::LinkItem,
    escape,
    questions::WhyQuestion,
    shapes::shape,
    words::{ERASED, WITHHELD},
};

/// Say who started a task, and why: task, call, run and agent, up to the root.
///
/// Each link names the event that is its evidence: `taskledger event SEQ` shows it,
/// and `taskledger prove SEQ` proves it. Requests to stop the task are named too.
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        let question = WhyQuestion { task: self.task.clone() };
        if app.out.for_programs() || app.out.format == Format::Wide {
            app.list(&source, &question)?;
            return Ok(Exit::Ok);
        }
        let links = source.ask(app, &question)?;
        human(app, &links.items)
    }
}

fn human(app: &mut App, links: &[LinkItem]) -> Result<Exit> {
    let look = app.out.look;
    let mut text = |indent: usize, text: &str| {
        let indent = " ".repeat(indent);
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()));
        app.out.line(&format!("{indent}{}", escape::cut(&look.safe(text), room, look.charset)))
    };
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let seq = |seq: Option<u64>| Seq::new(seq.unwrap_or_default()).unwrap_or(Seq::FIRST);
    let mut end = None;
    for (nth, link) in links.iter().enumerate() {
        match link.kind.as_str() {
            "task" => {
                let status = link.status.map_or(TaskStatus::Running, TaskStatus::from);
                let name = link.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                let shape = shape(status, look.charset);
                let spawned = if nth == 0 { "" } else { "spawned by " };
                text(0, &format!("{spawned}{shape} {} {}{name}", link.id, of(&link.task_type)))?;
                let when = time::show(Millis(link.spawned_ms.unwrap_or_default()), &look);
                text(4, &format!("event {}, {when}", seq(link.spawned_seq)))?;
                let why = told(link);
                if !why.is_empty() {
                    text(4, &format!("for: {why}"))?;
                }
                end = Some(format!(
                    "spawned by no task: it is a root of thread {}",
                    of(&link.thread_id)
                ));
            }
            "cancel" => {
                let reason = link.detail.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                text(4, &format!("a stop was asked for by event {}{reason}", seq(link.seq)))?;
            }
            "external" => end = Some(format!("spawned by {}: {}", link.id, of(&link.detail))),
            kind => text(4, &format!("{kind} {}", link.id))?,
        }
        // The last word on a task's origin, after its call, run and agent.
        let origin = matches!(link.kind.as_str(), "task" | "call" | "run" | "agent");
        let goes_on = links
            .get(nth + 1)
            .is_some_and(|next| matches!(next.kind.as_str(), "call" | "run" | "agent"));
        let task = links.get(..=nth).unwrap_or_default().iter().rev().find(|it| it.kind == "task");
        if origin
            && !goes_on
            && let Some(task) = task
            && task.seq != task.spawned_seq
        {
            text(4, &format!("its parent was changed by event {}", seq(task.seq)))?;
        }
    }
    text(0, &end.unwrap_or_default())?;
    Ok(Exit::Ok)
}

/// The description of a task, or why there is none.
fn told(link: &LinkItem) -> String {
    match (&link.detail, link.erased, link.withheld) {
        (Some(text), _, _) => text.clone(),
        (None, true, _) => ERASED.to_owned(),
        (None, _, true) => WITHHELD.to_owned(),
        (None, false, false) => String::new(),
    }
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
