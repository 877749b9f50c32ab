//! `taskledger stats`: figures about the ledger.

use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
    exit::Exit,
    output::Out,
    paint::Paint,
    progress,
};
use anyhow::Result;
use taskledger::event::TaskStatus;
use taskledger_contract::{answers::StatsBody, questions::StatsQuestion, shapes::shape_and_word};

/// Count events, threads, tasks by status and type, and bytes on disk.
///
/// Example:
///   taskledger stats
///   taskledger stats --at @-1000 -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        if let Passed::No = source.pass(app, &StatsQuestion)? {
            let body = source.ask(app, &StatsQuestion)?;
            let name = body.ledger.clone();
            app.out.single(body, Some(&name), human)?;
        }
        Ok(Exit::Ok)
    }
}

fn human(out: &mut Out, stats: &StatsBody) -> Result<()> {
    let look = out.look;
    let mut figure = |name: &str, value: String| {
        let name = Paint::Dim.on(&format!("{name:<12}"), &look);
        out.line(&format!("{name} {value}"))
    };
    figure("ledger", look.safe(&stats.ledger))?;
    if let Some(node) = &stats.node {
        figure("node", look.safe(node))?;
    }
    figure("events", stats.events.to_string())?;
    if let Some(root) = &stats.root {
        figure("root", look.safe(root))?;
    }
    figure("time", look.safe(stats.at.time.as_deref().unwrap_or_default()))?;
    figure("writers", stats.incarnation.to_string())?;
    figure("threads", stats.threads.to_string())?;
    figure("tasks", format!("{}, {} deep", stats.tasks, stats.depth))?;
    let counts = [stats.running, stats.completed, stats.failed, stats.cancelled];
    for (status, count) in TaskStatus::ALL.into_iter().zip(counts) {
        figure("", format!("{count:>8} {}", shape_and_word(status, look.charset)))?;
    }
    for (kind, count) in &stats.types {
        figure("", format!("{count:>8} {}", look.safe(kind)))?;
    }
    figure("redacted", format!("{} events", stats.redacted))?;
    if let Some(waiting) = stats.spooled.filter(|waiting| *waiting > 0) {
        figure("spooled", format!("{waiting} batches wait to be recorded"))?;
    }
    figure("on disk", progress::bytes(stats.disk_bytes))
}
