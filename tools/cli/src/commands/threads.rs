//! `taskledger threads`: the threads.

use crate::{
    app::{self, App},
    exit::Exit,
    forest,
    json::ThreadItem,
    output::Format,
    paint::Paint,
    tasks::nodes,
};
use anyhow::Result;
use taskledger::query::{self, Scope};

/// List the threads, and how their tasks stand.
///
/// A thread is a conversation, a session or a run.
///
/// Example:
///   taskledger threads
///   taskledger threads --at -1h -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Lists them.
pub fn run(_: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let view = app.view(&opened.reader, Scope::All)?;
    if app.out.format == Format::Tree {
        for thread in view.state.threads() {
            let title = app.out.look.safe(thread.id.as_str());
            app.out.line(&Paint::Strong.on(&title, &app.out.look))?;
            let nodes = nodes(&query::tree(&view.state, &thread.id));
            let look = app.out.look;
            for line in forest::draw(&nodes, &look) {
                app.out.line(&line)?;
            }
        }
        return Ok(Exit::Ok);
    }
    let rows = query::threads(&view.state).into_iter();
    app.out.list(&app::at(&view), rows.map(|row| Ok(ThreadItem::from(row))))?;
    Ok(Exit::Ok)
}
