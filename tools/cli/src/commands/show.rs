//! `taskledger show`: one task and what happened to it.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::Out,
    paint::Paint,
    shown::line::{Around, line},
    time,
};
use anyhow::Result;
use taskledger::{
    event::{Entry, PartKind},
    ids::TaskId,
    time::Millis,
};
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

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let question = ShowQuestion { task: self.task.clone() };
        let (body, history) = question.answer(&app.asked(&opened.reader)?)?;
        let name = self.task.to_string();
        app.out.single(body, Some(&name), |out, body| human(out, body, &history))?;
        Ok(Exit::Ok)
    }
}

fn human(out: &mut Out, body: &ShowBody, history: &[Entry]) -> Result<()> {
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
    for entry in history {
        out.line(&line(entry, Around::Thread, &look))?;
    }
    Ok(())
}
