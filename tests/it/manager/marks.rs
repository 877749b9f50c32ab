//! B3, B9: what was cancelled stays cancelled, and one of many wins a name.

use super::support::*;
use std::time::Duration;
use taskledger::{
    BackgroundTaskManager,
    event::TaskStatus,
    manager::{SpawnError, TaskParentContext},
    store::MemStore,
};

/// B9: nothing is spawned in a cancelled tree or by a cancelled run, also after a restart.
#[tokio::test]
async fn nothing_is_spawned_under_a_cancelled_tree_or_run_even_after_a_restart() {
    let store = MemStore::new();
    let manager = BackgroundTaskManager::with_ledger(ledger_over(&store, 1)).await.unwrap();
    let root = spawn(&manager, until_cancelled).await;
    let child = spawn_on(&manager, "b", None, child_of(&root), until_cancelled).await.unwrap();
    assert_eq!(manager.cancel_tree(&root).await, 2);
    manager.wait(&root).await.unwrap();
    manager.wait(&child).await.unwrap();
    assert_eq!(manager.cancel_descendants_for_run("r").await, 0, "it has spawned nothing so far");
    for round in 0..2 {
        let store = if round == 0 { store.clone() } else { store.reopen() };
        let manager = if round == 0 {
            manager.clone()
        } else {
            BackgroundTaskManager::with_ledger(ledger_over(&store, 2)).await.unwrap()
        };
        let under = spawn_on(&manager, "c", None, child_of(&child), deaf).await.unwrap_err();
        assert!(matches!(&under, SpawnError::ParentCancelled(id) if *id == root), "{under}");
        let by_run = spawn_on(&manager, "c", None, of_run(" r"), deaf).await.unwrap_err();
        assert!(matches!(by_run, SpawnError::ParentRunCancelled(_)));
        let by_run = spawn_on(&manager, "c", None, of_run("r"), deaf).await.unwrap_err();
        assert_eq!(by_run.to_string(), "parent run 'r' has already been cancelled");
        spawn_on(&manager, "c", None, of_run("r2"), deaf).await.unwrap();
    }
}

/// B9: `cancel` and `cancel_all` only signal.
#[tokio::test]
async fn cancelling_one_task_or_a_thread_leaves_no_mark() {
    let manager = manager().await;
    let root = spawn(&manager, until_cancelled).await;
    manager.cancel(&root).await;
    let child = spawn_on(&manager, "main", None, child_of(&root), until_cancelled).await.unwrap();
    assert_eq!(
        manager.cancel_all("main").await,
        usize::from(status(&manager, &root) == TaskStatus::Running) + 1
    );
    manager.wait(&child).await.unwrap();
    spawn_on(&manager, "main", None, child_of(&child), deaf).await.unwrap();
}

/// B9: a spawn that races the sweep is refused or signalled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawn_that_races_the_sweep_is_refused_or_signalled() {
    for _ in 0..40 {
        let manager = manager().await;
        let root = spawn(&manager, until_cancelled).await;
        let spawner = {
            let (manager, root) = (manager.clone(), root.clone());
            tokio::task::spawn(async move {
                let mut started = Vec::new();
                loop {
                    let child =
                        spawn_on(&manager, "main", None, child_of(&root), until_cancelled).await;
                    match child {
                        Ok(id) => started.push(id),
                        Err(SpawnError::ParentCancelled(_)) => return started,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        };
        until(|| manager.health().live > 3).await;
        manager.cancel_tree(&root).await;
        for id in spawner.await.unwrap() {
            let ended = tokio::time::timeout(Duration::from_secs(10), manager.wait(&id)).await;
            let ended = ended.expect("it was not signalled").unwrap();
            assert_eq!(ended.status, TaskStatus::Cancelled);
        }
    }
}

/// B3: of many racing spawns of one name, one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_racing_spawns_of_one_name_one_wins() {
    let manager = manager().await;
    let racers: Vec<_> = (0..32)
        .map(|_| {
            let manager = manager.clone();
            tokio::task::spawn(async move {
                spawn_on(&manager, "main", Some("n"), TaskParentContext::default(), deaf).await
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, SpawnError::DuplicateName(_)), "{error}"),
        }
    }
    assert_eq!((won, manager.list("main").len()), (1, 1));
}
