//! Names that several spawns want at once, and one that comes free at that moment.

use crate::support::*;
use serde_json::json;
use taskledger_models::{
    event::{Action, TaskStatus},
    manager::{SpawnError, TaskParentContext, TaskResult},
};

/// At no point of the log do two tasks of a name run.
fn check_one_at_a_time(manager: &Manager) {
    let mut running = 0;
    for entry in entries(manager.ledger().unwrap()) {
        match entry.event.action {
            Action::Upserted { .. } => running += 1,
            Action::Terminated { .. } => running -= 1,
            _ => {}
        }
        assert!((0..=1).contains(&running), "at {}", entry.event.seq);
    }
}

/// B3: of three spawns of a name one wins.
#[test]
fn spawns_against_one_another_for_a_name() {
    explore(async || {
        let manager = manager().await;
        let racers: Vec<_> = (0..3)
            .map(|_| {
                let manager = manager.clone();
                start(async move {
                    let parent = TaskParentContext::default();
                    spawn(&manager, Some("n"), parent, until_cancelled).await
                })
            })
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(id) => won.push(id),
                Err(error) => assert!(matches!(error, SpawnError::DuplicateName(_)), "{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        check_one_at_a_time(&manager);
        manager.cancel(&won[0]).await;
        manager.wait(&won[0]).await.unwrap();
    });
}

/// B3: a spawn that wants the name of a task that ends is refused before the end, and taken after
/// it.
#[test]
fn a_spawn_against_the_end_of_the_task_that_has_its_name() {
    explore(async || {
        let manager = manager().await;
        let ends = async |_| {
            yield_now().await;
            TaskResult::Success(json!(1))
        };
        let parent = TaskParentContext::default;
        let first = spawn(&manager, Some("n"), parent(), ends).await.unwrap();
        let second = start({
            let manager = manager.clone();
            async move { spawn(&manager, Some("n"), parent(), ends).await }
        });
        manager.wait(&first).await.unwrap();
        if let Ok(second) = second.await.unwrap() {
            assert_eq!(manager.wait(&second).await.unwrap().status, TaskStatus::Completed);
        }
        check_one_at_a_time(&manager);
        let third = spawn(&manager, Some("n"), parent(), ends).await.expect("the name is free");
        manager.wait(&third).await.unwrap();
    });
}
