//! `taskledger threads`: the threads.

use super::common::{check_follow, draw, watch};
use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::{Format, Out},
    paint::Paint,
    shown::nodes::{nodes_of, note},
};
use anyhow::Result;
use taskledger::{
    ledger::Reader,
    query::{self, Position, Scope, View},
};
use taskledger_contract::{answers::ThreadItem, questions::ThreadsQuestion};

/// List the threads, and how their tasks stand.
///
/// A thread is a conversation, a session or a run. With -f they are drawn anew each time they have
/// changed, whoever records; without a terminal they are written again below.
///
/// Example:
///   taskledger threads
///   taskledger threads --at -1h -o json
///   taskledger threads -f --json | jq -c '[.at.seq, (.items | length)]'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Show them again each time they have changed, until that is interrupted
    #[arg(short = 'f', long)]
    follow: bool,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if self.follow {
            check_follow(app, &[Format::Json])?;
        }
        let opened = app.open()?;
        let reader = &opened.reader;
        if self.follow {
            let answer = |out: &mut Out, position| answer(out, reader, position);
            return watch::<ThreadItem>(app, &opened, "threads", answer);
        }
        let position = app.position(reader)?;
        answer(&mut app.out, reader, position)?;
        Ok(Exit::Ok)
    }
}

/// Writes the threads as they stood at a moment.
fn answer(out: &mut Out, reader: &Reader, position: Position) -> Result<View> {
    let view = query::as_of(reader, Scope::All, position)?;
    if out.format == Format::Tree {
        for thread in view.state.threads() {
            let title = out.look.safe(thread.id.as_str());
            out.line(&Paint::Strong.on(&title, &out.look))?;
            let grown = query::tree(&view.state, &thread.id);
            let mut nodes = nodes_of(&grown, reader)?;
            note(&mut nodes, &grown, reader, view.position)?;
            draw(out, &nodes)?;
        }
        return Ok(view);
    }
    out.listed(ThreadsQuestion.told(&view))?;
    Ok(view)
}
