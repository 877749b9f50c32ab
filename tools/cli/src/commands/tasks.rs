//! `taskledger tasks`: tasks that match.

use super::common::{StatusArg, draw};
use crate::{
    app::App,
    asking::Source,
    command::{Command, Moment, Server},
    exit::Exit,
    output::Format,
    paint::Paint,
    shown::nodes::nodes_of,
};
use anyhow::Result;
use clap::ValueEnum;
use std::collections::BTreeSet;
use taskledger::{
    event::TaskStatus,
    ids::{AgentId, CallId, RunId, TaskId, ThreadId},
    query::{Point, SortKey},
};
use taskledger_contract::questions::{TasksQuestion, TreeQuestion};

/// List tasks, of all threads or of those that match.
///
/// Example:
///   taskledger tasks --thread session-1 --status failed
///   taskledger tasks --status running --sort duration --reverse -n 10 -o json
///   taskledger tasks --status failed --ended-since -24h
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Of this thread
    #[arg(long, value_name = "THREAD")]
    thread: Option<ThreadId>,
    /// With this status; several are separated by commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<StatusArg>,
    /// Of this kind; several are separated by commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Spawned by this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    /// Spawned by this run of an agent
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Spawned by this tool call
    #[arg(long, value_name = "CALL")]
    call: Option<CallId>,
    /// Spawned by this task
    #[arg(long, value_name = "TASK")]
    parent: Option<TaskId>,
    /// Created at this time or later; for a place in the log, spawned by that event or later
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    since: Option<Point>,
    /// Created at this time or earlier; for a place in the log, spawned by that event or earlier
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    until: Option<Point>,
    /// Ended at this time or later
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ended_since: Option<Point>,
    /// Ended at this time or earlier
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ended_until: Option<Point>,
    /// What to sort by
    #[arg(long, value_name = "KEY", default_value = "seq")]
    sort: Key,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// The first so many
    #[arg(short = 'n', value_name = "COUNT")]
    count: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    /// The order of the log
    Seq,
    Created,
    Completed,
    /// The newest event
    Activity,
    /// How long it ran, or has run so far
    Duration,
    Task,
    Thread,
    Type,
    Name,
    Status,
}

impl From<Key> for SortKey {
    fn from(key: Key) -> Self {
        match key {
            Key::Seq => Self::Seq,
            Key::Created => Self::Created,
            Key::Completed => Self::Completed,
            Key::Activity => Self::Activity,
            Key::Duration => Self::Duration,
            Key::Task => Self::Task,
            Key::Thread => Self::Thread,
            Key::Type => Self::Type,
            Key::Name => Self::Name,
            Key::Status => Self::Status,
        }
    }
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
        let question = self.question();
        if app.out.format == Format::Tree {
            return trees(app, &source, &question);
        }
        app.list(&source, &question)?;
        Ok(Exit::Ok)
    }
}

impl Args {
    fn question(&self) -> TasksQuestion {
        TasksQuestion {
            thread: self.thread.clone(),
            status: self.status.iter().copied().map(TaskStatus::from).collect(),
            types: self.types.clone(),
            agent: self.agent.clone(),
            run: self.run.clone(),
            call: self.call.clone(),
            parent: self.parent.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            ended_since: self.ended_since.clone(),
            ended_until: self.ended_until.clone(),
            sort: self.sort.into(),
            reverse: self.reverse,
            count: self.count,
        }
    }
}

/// The trees of the threads in which a task matches; what matches stands out.
fn trees(app: &mut App, source: &Source, question: &TasksQuestion) -> Result<Exit> {
    // All of them, in any order.
    let question = TasksQuestion { count: None, sort: SortKey::default(), ..question.clone() };
    let found = source.ask(app, &question)?;
    let passing: BTreeSet<&str> = found.items.iter().map(|item| item.task_id.as_str()).collect();
    let threads: BTreeSet<&str> = found.items.iter().map(|item| item.thread_id.as_str()).collect();
    for thread in threads {
        let look = app.out.look;
        app.out.line(&Paint::Strong.on(&look.safe(thread), &look))?;
        let thread = thread.parse()?;
        let question = TreeQuestion { thread, depth: None, without_results: true };
        let tree = source.tree(app, &question, &found.at)?;
        let mut drawn = nodes_of(&tree.items);
        for (item, drawn) in tree.items.iter().zip(&mut drawn) {
            if !passing.contains(item.task_id.as_str()) {
                drawn.detail.clear();
            }
        }
        draw(&mut app.out, &drawn)?;
    }
    Ok(Exit::Ok)
}
