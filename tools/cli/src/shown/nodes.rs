//! Tasks as nodes of a tree.

use crate::{forest, time};
use taskledger::{
    event::{PartKind, TaskStatus},
    query::{Forest, Node},
    state::{Task, Text},
};
use taskledger_contract::{answers::TaskItem, words};

/// The nodes of a forest, ready to be drawn: one whose events were folded here.
pub fn nodes(forest: &Forest) -> Vec<forest::Node> {
    let said = |node: &Node| said(&node.task).map(words::text).collect();
    forest.nodes.iter().map(|node| drawn(&node.task, node.depth, said(node))).collect()
}

/// The nodes of a tree as it was answered, ready to be drawn.
pub fn nodes_of(items: &[TaskItem]) -> Vec<forest::Node> {
    items.iter().map(node_of).collect()
}

fn node_of(item: &TaskItem) -> forest::Node {
    let took = item.completed_at_ms.map(|end| end.saturating_sub(item.created_at_ms));
    let status = item.status.into();
    let error = (status != TaskStatus::Completed).then(|| item.told(PartKind::Error));
    let mut said: Vec<String> =
        std::iter::once(item.told(PartKind::Description)).chain(error).collect();
    said.retain(|text| !text.is_empty());
    forest::Node {
        depth: usize::try_from(item.depth).unwrap_or(usize::MAX).saturating_sub(1),
        status,
        title: format!("{}{}", title(item), took_text(took)),
        detail: noted(&item.notes, &said.join(": ")),
        hidden: 0,
    }
}

/// One task in a line: id, type, name.
pub fn title(item: &TaskItem) -> String {
    let name = item.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} {}{name}", item.task_id, item.task_type)
}

fn took_text(took: Option<u64>) -> String {
    took.map(|ms| format!("  {}", time::span(ms))).unwrap_or_default()
}

/// The texts that a node shows.
fn said(task: &Task) -> impl Iterator<Item = &Text> {
    let error = task.error.as_ref().filter(|_| task.status != TaskStatus::Completed);
    std::iter::once(&task.description).chain(error)
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
    said.retain(|text| !text.is_empty());
    forest::Node {
        depth: depth.saturating_sub(1),
        status: task.status,
        title: format!("{}{}", words::title(task), took_text(took)),
        detail: said.join(": "),
        hidden: 0,
    }
}
