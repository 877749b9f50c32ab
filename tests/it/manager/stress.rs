//! Many of everything at once on several threads: every task ends once, whatever races.

use super::support::*;
use serde_json::json;
use std::collections::BTreeMap;
use taskledger::{
    event::Action,
    ids::TaskId,
    manager::{TaskParentContext, TaskResult},
};

/// B3, B4, B9, B10, A12: spawns, cancels, panics and messages race; one terminal event each, each
/// told once, and no handle is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_once_whatever_races() {
    let (manager, mut inbox) = told_manager().await;
    let workers: Vec<_> = (0..8).map(|n| tokio::task::spawn(work(manager.clone(), n))).collect();
    let reader = tokio::task::spawn(async move {
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(told) = inbox.recv_or_cancel(None).await {
            if told["kind"] != "custom" {
                *ends.entry(told["task_id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        ends
    });
    for worker in workers {
        worker.await.unwrap();
    }
    until(|| manager.health().live == 0 && manager.health().untold == 0).await;
    let ended = entries(&manager)
        .iter()
        .filter(|entry| matches!(entry.event.action, Action::Terminated { .. }))
        .count();
    let spawned = manager.ledger().unwrap().reader().state().unwrap().tasks_len();
    drop(manager);
    let ends = reader.await.unwrap();
    assert_eq!((spawned, ended, ends.len()), (640, 640, 640));
    assert!(ends.values().all(|count| *count == 1));
}

async fn work(manager: Manager, worker: usize) {
    let thread = format!("t{worker}");
    let mut root: Option<TaskId> = None;
    for round in 0..80 {
        let parent = match &root {
            Some(root) if round % 8 != 0 => child_of(root),
            _ => TaskParentContext::default(),
        };
        let id = spawn_on(&manager, &thread, None, parent, async move |context| {
            context.emit("progress", json!(round));
            match round % 4 {
                0 => until_cancelled(context).await,
                1 => panic!("round {round}"),
                2 => TaskResult::Failed("no".into()),
                _ => TaskResult::Success(json!(round)),
            }
        })
        .await
        .unwrap();
        if round % 8 == 0 {
            root = Some(id.clone());
        }
        match round % 8 {
            4 => drop(manager.cancel(&id).await),
            7 => drop(manager.cancel_tree(root.as_ref().unwrap()).await),
            _ => {}
        }
    }
}
