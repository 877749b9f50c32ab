//! Tasks as nodes of a tree.

use crate::{forest, time};
use taskledger::{
    event::{PartKind, TaskStatus},
    ledger::Reader,
    query::{self, Forest, Node, Position, QueryError},
    state::{Task, Text},
};
use taskledger_contract::{answers::notes, words};

/// The nodes of a forest, ready to be drawn: one whose events were folded here.
pub fn nodes(forest: &Forest) -> Vec<forest::Node> {
    let said = |node: &Node| said(&node.task).map(|(_, text)| words::text(text)).collect();
    forest.nodes.iter().map(|node| drawn(&node.task, node.depth, said(node))).collect()
}

/// The nodes of any forest of a ledger, ready to be drawn. Reads what only a snapshot says.
pub fn nodes_of(forest: &Forest, reader: &Reader) -> Result<Vec<forest::Node>, QueryError> {
    let mut texts = query::texts(reader);
    let mut settled =
        |(kind, text): (PartKind, &Text)| texts.settled(text, kind).map(|text| words::text(&text));
    let node = |node: &Node| {
        let said = said(&node.task).map(&mut settled).collect::<Result<_, _>>()?;
        Ok(drawn(&node.task, node.depth, said))
    };
    forest.nodes.iter().map(node).collect()
}

/// The texts that a node shows.
fn said(task: &Task) -> impl Iterator<Item = (PartKind, &Text)> {
    let error = task.error.as_ref().filter(|_| task.status != TaskStatus::Completed);
    let error = error.map(|error| (PartKind::Error, error));
    std::iter::once((PartKind::Description, &task.description)).chain(error)
}

/// Puts what is in doubt about tasks in front of what is said of them.
pub fn note(
    nodes: &mut [forest::Node],
    forest: &Forest,
    reader: &Reader,
    upto: Position,
) -> Result<(), QueryError> {
    for (node, of) in nodes.iter_mut().zip(&forest.nodes) {
        node.detail = noted(&notes(reader, &of.task, upto)?, &node.detail);
    }
    Ok(())
}

/// A text with notes in front of it, where there are any.
pub fn noted(notes: &[String], text: &str) -> String {
    if notes.is_empty() {
        return text.to_owned();
    }
    format!("[note: {}] {text}", notes.join("; ")).trim_end().to_owned()
}

fn drawn(task: &Task, depth: usize, mut said: Vec<String>) -> forest::Node {
    let took = task.completed.map(|end| end.0.saturating_sub(task.record.created.0));
    let took = took.map(|ms| format!("  {}", time::span(ms))).unwrap_or_default();
    said.retain(|text| !text.is_empty());
    forest::Node {
        depth: depth.saturating_sub(1),
        status: task.status,
        title: format!("{}{took}", words::title(task)),
        detail: said.join(": "),
        hidden: 0,
    }
}
