//! `taskledger show`: one task and what happened to it.

use crate::{
    app::{self, App},
    events::{self, Around},
    exit::{Exit, Problem},
    json::{EventLine, ShowBody, TaskItem},
    output::Out,
    paint::{self, Paint},
    time,
};
use anyhow::Result;
use taskledger::{
    event::{Entry, PartKind},
    ids::TaskId,
    query::{self, Scope, View},
    time::Millis,
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

/// Shows it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let reader = &opened.reader;
    let view = app.view(reader, Scope::Task(&args.task))?;
    let Some(task) = view.state.task(&args.task) else {
        return Err(Problem::not_found(format!("task {:?} did not exist yet", args.task.as_str()))
            .hint(format!("--at spawn:{} is the first moment at which it did", args.task))
            .into());
    };
    // Relatives are not in the view of one task.
    let thread = app.view(reader, Scope::Thread(&task.thread))?;
    let item = TaskItem::from(query::task_row(reader, &thread.state, task)?);
    let history = query::history_of_task(reader, &args.task, view.position)?;
    let body = ShowBody {
        at: app::at(&view),
        task: item,
        ancestors: relatives(&thread, |state| state.ancestors(&args.task)),
        children: relatives(&thread, |state| state.children(&args.task).collect()),
        history: history.iter().map(EventLine::from).collect(),
    };
    let name = args.task.to_string();
    app.out
        .single("taskledger.task/v1", body, Some(&name), |out, body| human(out, body, &history))?;
    Ok(Exit::Ok)
}

fn relatives<'s>(
    view: &'s View,
    of: impl FnOnce(
        &'s taskledger::state::LedgerState,
    ) -> Vec<&'s std::sync::Arc<taskledger::state::Task>>,
) -> Vec<String> {
    of(&view.state).into_iter().map(|task| task.id.to_string()).collect()
}

fn human(out: &mut Out, body: &ShowBody, history: &[Entry]) -> Result<()> {
    let look = out.look;
    let task = &body.task;
    let status = task.status.into();
    let shape = paint::status(status, &look);
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
    field("parent", &of(&task.parent_task_id))?;
    field("ancestors", &body.ancestors.join(" < "))?;
    field("children", &body.children.join(" "))?;
    field("run", &of(&task.run_id))?;
    field("call", &of(&task.call_id))?;
    field("agent", &of(&task.agent_id))?;
    out.line("")?;
    for entry in history {
        out.line(&events::line(entry, Around::Thread, &look))?;
    }
    Ok(())
}
