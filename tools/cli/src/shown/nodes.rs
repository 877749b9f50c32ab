//! Tasks as nodes of a tree.

use crate::{forest, time};
use taskledger::{event::TaskStatus, query::Forest, state::Task};
use taskledger_contract::words;

/// The nodes of a forest, ready to be drawn.
pub fn nodes(forest: &Forest) -> Vec<forest::Node> {
    forest.nodes.iter().map(|node| drawn(&node.task, node.depth)).collect()
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
