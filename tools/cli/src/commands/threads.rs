//! `taskledger threads`: the threads.

use super::common::draw;
use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::Format,
    paint::Paint,
    shown::nodes::{nodes_of, note},
};
use anyhow::Result;
use taskledger::query::{self, Scope};
use taskledger_contract::answers::{At, ThreadItem};

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

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let view = app.view(&opened.reader, Scope::All)?;
        if app.out.format == Format::Tree {
            for thread in view.state.threads() {
                let title = app.out.look.safe(thread.id.as_str());
                app.out.line(&Paint::Strong.on(&title, &app.out.look))?;
                let grown = query::tree(&view.state, &thread.id);
                let mut nodes = nodes_of(&grown, &opened.reader)?;
                note(&mut nodes, &grown, &opened.reader, view.position)?;
                draw(app, &nodes)?;
            }
            return Ok(Exit::Ok);
        }
        let rows = query::threads(&view.state).into_iter();
        app.out.list(&At::from(&view), rows.map(|row| Ok(ThreadItem::from(row))))?;
        Ok(Exit::Ok)
    }
}
