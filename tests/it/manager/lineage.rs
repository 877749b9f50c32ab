//! A9, A10, B11, B12: where a task comes from.

use super::support::*;
use crate::support::options;
use serde_json::json;
use std::sync::Arc;
use taskledger::{
    BackgroundTaskManager, Ledger,
    event::Parent,
    manager::{
        SpawnError, TaskLineage, TaskParentContext, TaskResult, ToolLineageContext,
        current_background_task_id, scope_tool_lineage_context,
    },
    time::SeededEntropy,
};

fn tool(run: &str, call: &str, agent: &str) -> ToolLineageContext {
    ToolLineageContext { run_id: run.into(), call_id: call.into(), agent_id: agent.into() }
}

fn lineage(task: Option<&str>, run: &str, call: &str, agent: &str) -> TaskParentContext {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    TaskParentContext {
        task_id: task.map(str::to_owned),
        run_id: some(run),
        call_id: some(call),
        agent_id: some(agent),
    }
}

/// A9: what is left open is filled from the tool call around; an explicit field wins.
#[tokio::test]
async fn what_is_left_open_is_filled_from_the_tool_call_around() {
    let manager = manager().await;
    scope_tool_lineage_context(tool("r", "c", "a"), async {
        let open = spawn(&manager, deaf).await;
        assert_eq!(manager.get(&open).unwrap().parent_context, lineage(None, "r", "c", "a"));
        let explicit = lineage(Some("bg_0"), "R", "", "A");
        let id = spawn_on(&manager, "main", None, explicit, deaf).await.unwrap();
        assert_eq!(manager.get(&id).unwrap().parent_context, lineage(Some("bg_0"), "R", "c", "A"));
    })
    .await;
}

/// A9: an empty ambient value counts as absent.
#[tokio::test]
async fn an_empty_ambient_value_counts_as_absent() {
    let manager = manager().await;
    let id = scope_tool_lineage_context(tool("", "c", ""), spawn(&manager, deaf)).await;
    assert_eq!(manager.get(&id).unwrap().parent_context, lineage(None, "", "c", ""));
}

/// A9, A10: a task that is spawned by a task is its child and inherits its run, which goes before
/// the run of a tool call; a given parent inherits nothing.
#[tokio::test]
async fn a_child_inherits_the_run_of_its_ambient_parent_before_that_of_the_tool_call() {
    let manager = manager().await;
    let inner = Arc::clone(&manager);
    let parent = spawn_on(&manager, "main", None, of_run("outer"), async move |context| {
        assert_eq!(current_background_task_id(), Some(context.task_id.clone()));
        let (child, given) = scope_tool_lineage_context(tool("tool", "c", "a"), async {
            let other = child_of(&context.task_id);
            let child = spawn(&inner, deaf).await;
            (child, spawn_on(&inner, "main", None, other, deaf).await.unwrap())
        })
        .await;
        TaskResult::Success(json!([child, given]))
    })
    .await
    .unwrap();
    let ids = manager.wait(&parent).await.unwrap().result.unwrap();
    let from = |at: usize| manager.get(ids[at].as_str().unwrap()).unwrap().parent_context;
    assert_eq!(from(0), lineage(Some("bg_0"), "outer", "c", "a"));
    assert_eq!(from(1), lineage(Some("bg_0"), "tool", "c", "a"));
}

/// A10: ambience is task-local, and not there outside of a task.
#[tokio::test]
async fn ambience_ends_with_the_task() {
    assert_eq!(current_background_task_id(), None);
    let manager = manager().await;
    let id = spawn(&manager, async |_| {
        let elsewhere = tokio::task::spawn(async { current_background_task_id() });
        TaskResult::Success(json!(elsewhere.await.unwrap()))
    })
    .await;
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!(null)));
    assert_eq!(current_background_task_id(), None);
}

/// B12: a lineage is carried across `tokio::spawn` as a value.
#[tokio::test]
async fn lineage_is_carried_across_a_spawn_by_a_value() {
    let manager = manager().await;
    let inner = Arc::clone(&manager);
    let parent = spawn_on(&manager, "main", None, of_run("r"), async move |_| {
        let lineage = TaskLineage::current();
        let child = tokio::task::spawn(lineage.scope(async move { spawn(&inner, deaf).await }));
        TaskResult::Success(json!(child.await.unwrap()))
    })
    .await
    .unwrap();
    let child = manager.wait(&parent).await.unwrap().result.unwrap();
    let child = manager.get(child.as_str().unwrap()).unwrap();
    assert_eq!(child.parent_context, lineage(Some("bg_0"), "r", "", ""));
}

/// B11: an ambient parent of another ledger is an external reference, even if this ledger has a
/// task of the same id.
#[tokio::test]
async fn a_foreign_parent_is_never_taken_for_a_local_task() {
    let here = manager().await;
    let entropy = Arc::new(SeededEntropy::new(99));
    let there = Ledger::in_memory(options().entropy(entropy)).unwrap();
    let foreign = there.reader().ledger_id();
    let there = BackgroundTaskManager::with_ledger(there).await.unwrap();
    let same_id = spawn(&here, deaf).await;
    let target = Arc::clone(&here);
    let spawner =
        spawn(&there, async move |_| TaskResult::Success(json!(spawn(&target, deaf).await))).await;
    assert_eq!(same_id, spawner);
    let child = there.wait(&spawner).await.unwrap().result.unwrap();
    let view = here.view(child.as_str().unwrap()).unwrap().unwrap();
    assert_eq!(view.parent, Some(Parent::External { ledger: Some(foreign), id: spawner.clone() }));
    assert_eq!(view.cause.task, None);
    assert_eq!(here.task_tree_ids(&same_id), Some(vec![same_id]));
}

/// B11: no task is its own ancestor, and an id that cannot be one is refused at the door.
#[tokio::test]
async fn a_parent_that_cannot_be_one_makes_no_cycle() {
    let manager = manager().await;
    let next = TaskParentContext { task_id: Some("bg_0".into()), ..Default::default() };
    let id = spawn_on(&manager, "main", None, next, deaf).await.unwrap();
    let view = manager.view(&id).unwrap().unwrap();
    assert!(matches!(view.parent, Some(Parent::External { ledger: None, .. })), "its own id to be");
    assert_eq!(manager.task_tree_ids(&id).unwrap(), [id]);
    let empty = TaskParentContext { run_id: Some(String::new()), ..Default::default() };
    let refused = spawn_on(&manager, "main", None, empty, deaf).await.unwrap_err();
    assert!(matches!(refused, SpawnError::InvalidId { what: "run id", .. }));
    let refused = spawn_on(&manager, "", None, of_run("r"), deaf).await.unwrap_err();
    assert_eq!(refused.to_string(), "invalid owner thread id");
}

/// B11: names that look like an id, are empty, hold control characters or are too long.
#[tokio::test]
async fn names_that_cannot_be_told_from_ids_or_shown_are_refused() {
    let manager = manager().await;
    let long = "x".repeat(257);
    for name in ["bg_7", "", "a\u{1b}[2J", &long] {
        let refused =
            spawn_on(&manager, "main", Some(name), TaskParentContext::default(), deaf).await;
        assert!(matches!(refused, Err(SpawnError::InvalidName(_))), "{name:?}: {refused:?}");
    }
    let longest = "x".repeat(256);
    let named = spawn_on(&manager, "main", Some(&longest), TaskParentContext::default(), deaf);
    assert_eq!(named.await.unwrap().as_str(), "bg_0");
}
