//! `taskledger show`: one task and what happened to it.

use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
    exit::Exit,
    output::Out,
    paint::Paint,
    shown::line::{Around, line},
    time,
};
use anyhow::Result;
use taskledger::{event::PartKind, ids::TaskId, time::Millis};
use taskledger_contract::{
    answers::ShowBody, questions::ShowQuestion, shapes::shape_and_word, words::ERASED,
};

/// Show one task, and every event about it.
///
/// What it was asked, how it stands, what it returned, who its relatives are.
///
/// Example:
///   taskledger show bg_3
///   taskledger show bg_3 --at spawn:bg_3
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
        let question = ShowQuestion { task: self.task.clone() };
        if let Passed::No = source.pass(app, &question)? {
            let body = source.ask(app, &question)?;
            app.out.single(body, Some(self.task.as_str()), human)?;
        }
        Ok(Exit::Ok)
    }
}

fn human(out: &mut Out, body: &ShowBody) -> Result<()> {
    let look = out.look;
    let task = &body.task;
    let status = task.status.into();
    let shape = shape_and_word(status, look.charset);
    out.line(&format!(
        "{} {}  {}",
        Paint::Strong.on(&look.safe(&task.task_id), &look),
        look.safe(&task.task_type),
        Paint::Status(status).on(&shape, &look)
    ))?;
    let mut field = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{name:<12}"), &look);
        if value.is_empty() { Ok(()) } else { out.line(&format!("{name} {}", look.safe(value))) }
    };
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    field("name", &of(&task.name))?;
    field("thread", &task.thread_id)?;
    for kind in [PartKind::Description, PartKind::Error, PartKind::Result] {
        field(kind.as_str(), &task.told(kind))?;
    }
    field("created", &time::show(Millis(task.created_at_ms), &look))?;
    if let Some(end) = task.completed_at_ms {
        let took = time::span(end.saturating_sub(task.created_at_ms));
        field("completed", &format!("{} after {took}", time::show(Millis(end), &look)))?;
    }
    for note in &task.notes {
        field("note", note)?;
    }
    field("parent", &of(&task.parent_task_id))?;
    field("ancestors", &body.ancestors.join(" < "))?;
    field("children", &body.children.join(" "))?;
    field("run", &of(&task.run_id))?;
    field("call", &of(&task.call_id))?;
    field("agent", &of(&task.agent_id))?;
    if let Some(process) = &body.process {
        let facts = process.facts.as_ref().map_or_else(|| ERASED.to_owned(), ToString::to_string);
        field("process", &facts)?;
    }
    out.line("")?;
    for event in &body.history {
        out.line(&line(event, Around::Thread, &look))?;
    }
    Ok(())
}
