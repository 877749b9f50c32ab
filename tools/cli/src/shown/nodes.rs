//! Tasks as nodes of a tree.

use crate::{forest, time};
use taskledger::{
    event::TaskStatus,
    ledger::Reader,
    query::{Forest, Position, QueryError},
    state::Task,
};
use taskledger_contract::{answers::notes, words};

/// The nodes of a forest, ready to be drawn.
pub fn nodes(forest: &Forest) -> Vec<forest::Node> {
    forest.nodes.iter().map(|node| drawn(&node.task, node.depth)).collect()
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

fn drawn(task: &Task, depth: usize) -> forest::Node {
    let took = task.completed.map(|end| end.0.saturating_sub(task.record.created.0));
    let took = took.map(|ms| format!("  {}", time::span(ms))).unwrap_or_default();
    let error = task.error.as_ref().filter(|_| task.status != TaskStatus::Completed);
    let said = [Some(&task.description), error].into_iter().flatten().map(words::text);
    let said: Vec<String> = said.filter(|text| !text.is_empty()).collect();
    forest::Node {
        depth: depth.saturating_sub(1),
        status: task.status,
        title: format!("{}{took}", words::title(task)),
        detail: said.join(": "),
        hidden: 0,
    }
}
