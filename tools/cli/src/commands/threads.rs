//! `taskledger threads`: the threads.

use super::common::{check_follow, draw, watch};
use crate::{
    app::App,
    asking::Source,
    command::{Command, Moment, Server},
    exit::Exit,
    output::{Format, Out},
    paint::Paint,
    shown::nodes::nodes_of,
};
use anyhow::Result;
use taskledger_contract::{
    answers::ThreadItem,
    questions::{Listed, LogQuestion, ThreadsQuestion, TreeQuestion},
};

/// List the threads, and how their tasks stand.
///
/// A thread is a conversation, a session or a run. With -f they are drawn anew each
/// time they have changed, whoever records; without a terminal they are written
/// again below.
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if self.follow {
            check_follow(app, &[Format::Json])?;
        }
        let source = app.source()?;
        if self.follow {
            let human = |app: &App, out: &mut Out, listed: &Listed<ThreadItem>| {
                shown(app, out, &source, listed.clone())
            };
            let all = LogQuestion::default();
            return watch(app, &source, "threads", &ThreadsQuestion, &all, human);
        }
        if app.out.format != Format::Tree {
            app.list(&source, &ThreadsQuestion)?;
            return Ok(Exit::Ok);
        }
        let listed = source.ask(app, &ThreadsQuestion)?;
        let (mut kept, text) = Out::kept(app.out.look, app.out.format);
        shown(app, &mut kept, &source, listed)?;
        app.out.raw(text.take().as_bytes())?;
        Ok(Exit::Ok)
    }
}

/// Writes the threads as a table, or as their trees.
fn shown(app: &App, out: &mut Out, source: &Source, listed: Listed<ThreadItem>) -> Result<()> {
    if out.format != Format::Tree {
        return out.listed(listed);
    }
    for thread in &listed.items {
        let title = out.look.safe(&thread.thread_id);
        out.line(&Paint::Strong.on(&title, &out.look))?;
        let thread = thread.thread_id.parse()?;
        let question = TreeQuestion { thread, depth: None, without_results: true };
        let tree = source.tree(app, &question, &listed.at)?;
        draw(out, &nodes_of(&tree.items))?;
    }
    Ok(())
}
