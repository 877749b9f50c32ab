//! `taskledger tree`: who spawned whom.

use super::common::{StatusArg, check_follow, draw, watch};
use crate::{
    app::App,
    command::{Command, Moment, Server},
    exit::Exit,
    forest::Node,
    output::{Format, Out},
    shown::nodes::nodes_of,
};
use anyhow::Result;
use taskledger::{event::TaskStatus, ids::ThreadId};
use taskledger_contract::{
    answers::TaskItem,
    questions::{Listed, LogQuestion, TreeQuestion},
};

/// Draw the tree of a thread's tasks: who spawned whom, and how each stands.
///
/// Shapes stand for the statuses, so no colour is needed. With -o json the tasks
/// come in the order of the drawing, each with its depth. With -f the tree is drawn
/// anew each time it has changed, whoever records; without a terminal it is written
/// again below, and with --json on one line.
///
/// Example:
///   taskledger tree session-1
///   taskledger tree session-1 --at end:bg_3 --fold completed
///   taskledger tree session-1 -f
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The thread
    thread: ThreadId,
    /// Draw so many levels
    #[arg(long, value_name = "LEVELS", value_parser = levels)]
    depth: Option<usize>,
    /// Draw a tree of tasks that all have this status as one line
    #[arg(long, value_name = "STATUS")]
    fold: Option<StatusArg>,
    /// Show it again each time it has changed, until that is interrupted
    #[arg(short = 'f', long)]
    follow: bool,
}

fn levels(text: &str) -> Result<usize, String> {
    let levels = text.parse().ok().filter(|levels| *levels > 0);
    levels.ok_or_else(|| "expected a number of levels, from 1".to_owned())
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn default_format(&self) -> Format {
        Format::Tree
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
            let human = |_: &App, out: &mut Out, listed: &Listed<TaskItem>| self.shown(out, listed);
            let question = self.question(app.out.format);
            let of_thread =
                LogQuestion { thread: Some(self.thread.clone()), ..LogQuestion::default() };
            return watch(app, &source, self.thread.as_str(), &question, &of_thread, human);
        }
        let question = self.question(app.out.format);
        if app.out.format == Format::Tree {
            let listed = source.ask(app, &question)?;
            self.shown(&mut app.out, &listed)?;
        } else {
            app.list(&source, &question)?;
        }
        Ok(Exit::Ok)
    }
}

impl Args {
    /// A drawing shows no results, and says how many tasks are too deep for it.
    fn question(&self, format: Format) -> TreeQuestion {
        let draws = format == Format::Tree;
        let depth = self.depth.filter(|_| !draws);
        TreeQuestion { thread: self.thread.clone(), depth, without_results: draws }
    }

    /// Writes the tree as it was answered.
    fn shown(&self, out: &mut Out, listed: &Listed<TaskItem>) -> Result<()> {
        if out.format != Format::Tree {
            return out.listed(listed.clone());
        }
        let fold = self.fold.map(TaskStatus::from);
        draw(out, &folded(nodes_of(&listed.items), self.depth, fold))
    }
}

/// Leaves out what is too deep, and what is below a node whose whole tree has `fold`; the nodes
/// that stay say how many are hidden.
fn folded(nodes: Vec<Node>, levels: Option<usize>, fold: Option<TaskStatus>) -> Vec<Node> {
    let below = descendants(&nodes);
    let alike = alike(&nodes, &below, fold);
    let mut shown = Vec::new();
    let mut skip = 0;
    for ((mut node, below), alike) in nodes.into_iter().zip(below).zip(alike) {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if alike || levels.is_some_and(|levels| node.depth + 1 >= levels) {
            node.hidden = below;
            skip = below;
        }
        shown.push(node);
    }
    shown
}

/// How many nodes are below each: those that follow it and are deeper.
fn descendants(nodes: &[Node]) -> Vec<usize> {
    let mut below = vec![0; nodes.len()];
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut close = |place: usize, end: usize| {
        if let Some(below) = below.get_mut(place) {
            *below = end - place - 1;
        }
    };
    for (place, node) in nodes.iter().enumerate() {
        while let Some((_, above)) = open.pop_if(|(depth, _)| *depth >= node.depth) {
            close(above, place);
        }
        open.push((node.depth, place));
    }
    for (_, above) in open {
        close(above, nodes.len());
    }
    below
}

/// For each node, whether it and all below it have `status`.
fn alike(nodes: &[Node], below: &[usize], status: Option<TaskStatus>) -> Vec<bool> {
    let mut others_before = 0;
    // How many nodes up to each place have another status.
    let others: Vec<usize> = nodes
        .iter()
        .map(|node| {
            others_before += usize::from(Some(node.status) != status);
            others_before
        })
        .collect();
    let upto = |place: Option<usize>| place.and_then(|at| others.get(at)).copied().unwrap_or(0);
    let ends = below.iter().enumerate();
    ends.map(|(place, below)| {
        status.is_some() && upto(Some(place + below)) == upto(place.checked_sub(1))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(depth: usize, status: TaskStatus) -> Node {
        Node { depth, status, title: String::new(), detail: String::new(), hidden: 0 }
    }

    fn shown(nodes: &[Node]) -> Vec<(usize, usize)> {
        nodes.iter().map(|node| (node.depth, node.hidden)).collect()
    }

    fn forest() -> Vec<Node> {
        use TaskStatus::{Completed, Failed};
        vec![
            node(0, Completed),
            node(1, Completed),
            node(2, Completed),
            node(1, Failed),
            node(0, Completed),
            node(1, Completed),
        ]
    }

    #[test]
    fn a_tree_is_folded_only_if_all_of_it_has_the_status() {
        assert_eq!(
            shown(&folded(forest(), None, Some(TaskStatus::Completed))),
            [(0, 0), (1, 1), (1, 0), (0, 1)]
        );
    }

    #[test]
    fn what_is_too_deep_is_counted() {
        assert_eq!(shown(&folded(forest(), Some(1), None)), [(0, 3), (0, 1)]);
        assert_eq!(
            shown(&folded(forest(), Some(2), None)),
            [(0, 0), (1, 1), (1, 0), (0, 0), (1, 0)]
        );
        assert_eq!(shown(&folded(forest(), None, None)).len(), 6);
    }
}
