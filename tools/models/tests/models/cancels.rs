//! Spawns against those who end whole trees, runs, threads and managers.

use crate::support::*;
use std::{pin::pin, task::Poll, time::Duration};
use taskledger_models::{
    event::TaskStatus,
    ids::TaskId,
    manager::{SpawnError, TaskParentContext},
};

/// Whoever got in is told to stop: else this waits for ever, which is a deadlock.
async fn stopped(manager: &Manager, spawned: impl IntoIterator<Item = TaskId>) {
    for id in spawned {
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
    }
}

/// B9: a child, and a child of the child, are spawned while the tree is cancelled: each is refused
/// or signalled.
#[test]
fn a_spawn_against_a_cancel_of_its_tree() {
    explore(async || {
        let manager = manager().await;
        let root = spawn(&manager, None, TaskParentContext::default(), until_cancelled).await;
        let root = root.unwrap();
        let spawner = start({
            let (manager, root) = (manager.clone(), root.clone());
            async move {
                let mut spawned: Vec<TaskId> = Vec::new();
                for _ in 0..2 {
                    let parent = child_of(spawned.last().unwrap_or(&root));
                    match spawn(&manager, None, parent, until_cancelled).await {
                        Ok(id) => spawned.push(id),
                        Err(SpawnError::ParentCancelled(id)) => assert_eq!(id, root),
                        Err(other) => panic!("{other}"),
                    }
                }
                spawned
            }
        });
        let signalled = manager.cancel_tree(&root).await;
        assert!((1..=3).contains(&signalled));
        let inside = spawner.await.unwrap();
        stopped(&manager, inside.into_iter().chain([root])).await;
        assert_eq!(manager.health().live, 0);
    });
}

/// B9: the same for all that a run has spawned.
#[test]
fn a_spawn_against_a_cancel_of_its_run() {
    explore(async || {
        let manager = manager().await;
        let spawner = start({
            let manager = manager.clone();
            async move {
                let root = spawn(&manager, None, of_run("r"), until_cancelled).await.ok()?;
                let child = spawn(&manager, None, child_of(&root), until_cancelled).await.ok();
                Some((root, child))
            }
        });
        manager.cancel_descendants_for_run("r").await;
        if let Some((root, child)) = spawner.await.unwrap() {
            stopped(&manager, std::iter::once(root).chain(child)).await;
        }
        let late = spawn(&manager, None, of_run("r"), until_cancelled).await;
        assert!(matches!(late, Err(SpawnError::ParentRunCancelled(_))));
    });
}

/// B16: a spawn while the manager is shut down is refused, or asked to stop and recorded.
#[test]
fn a_spawn_against_a_shutdown() {
    explore(async || {
        let manager = manager().await;
        let spawner = start({
            let manager = manager.clone();
            async move { spawn(&manager, None, TaskParentContext::default(), until_cancelled).await }
        });
        yield_now().await;
        let report = manager.shutdown(Duration::from_secs(1)).await.unwrap();
        assert_eq!((report.aborted, report.deaf.len()), (0, 0));
        match spawner.await.unwrap() {
            Ok(id) => assert_eq!(manager.get(&id).unwrap().status, TaskStatus::Cancelled),
            Err(SpawnError::ShutDown | SpawnError::State(_)) => {}
            Err(other) => panic!("{other}"),
        }
    });
}

/// B6: a spawn that nobody waits for any more leaves no task, or one that can be cancelled, and
/// that sees the request in its first statement or later.
#[test]
fn a_spawn_that_is_dropped() {
    explore(async || {
        let manager = manager().await;
        let parent = TaskParentContext::default();
        let mut spawning = Box::pin(spawn(&manager, None, parent, until_cancelled));
        let once = std::future::poll_fn(|context| Poll::Ready(spawning.as_mut().poll(context)));
        drop(pin!(once).await);
        yield_now().await;
        drop(spawning);
        let id = loop {
            if let Some(task) = manager.list("main").pop() {
                break task.task_id;
            }
            yield_now().await;
        };
        while manager.health().live == 0 {
            yield_now().await;
        }
        assert!(manager.cancel(&id).await);
        stopped(&manager, [id]).await;
    });
}
