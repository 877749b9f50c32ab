//! What the record shows against those who act on it, shutdowns against one another, and news in the
//! order of the log.

use crate::support::*;
use std::time::Duration;
use taskledger_models::{
    event::{Action, TaskStatus},
    ids::Head,
    ledger::Followed,
    manager::{AgentTaskContext, CancelOptions, TaskParentContext, TaskResult, WaitError},
};

/// C2, F2: whoever follows the log can cancel each task as soon as it is shown, and write to an
/// agent.
#[test]
fn a_follower_against_a_registration() {
    explore(async || {
        let manager = manager().await;
        let follower = start({
            let manager = manager.clone();
            async move {
                let mut follow = manager.ledger().unwrap().follow(Head::EMPTY).unwrap();
                loop {
                    let Some(Followed::Event(entry)) = follow.next().await.unwrap() else {
                        continue;
                    };
                    if matches!(entry.event.action, Action::Upserted { .. }) {
                        let id = entry.event.task.unwrap();
                        let sent = manager.send_task_inbox_message(&id, "main", "me", "hi").await;
                        sent.unwrap();
                        assert!(manager.cancel(&id).await);
                        break id;
                    }
                }
            }
        });
        let waits = async |mut agent: AgentTaskContext| {
            agent.cancelled().await;
            agent.inbox_receiver.try_recv().map_or(TaskResult::Cancelled, TaskResult::Success)
        };
        let parent = TaskParentContext::default();
        let id = manager.spawn_agent_with_context("main", None, "", parent, waits).await.unwrap();
        let ended = manager.wait(&id).await.unwrap();
        assert_eq!(ended.result.unwrap()["payload"]["content"], "hi");
        assert_eq!(follower.await.unwrap(), id);
    });
}

/// C1, F1: of a cancel against a finish that it brings about, the trace comes first, with its
/// reason.
#[test]
fn a_cancel_against_the_finish_that_it_brings_about() {
    explore(async || {
        let manager = manager().await;
        let id =
            spawn(&manager, None, TaskParentContext::default(), until_cancelled).await.unwrap();
        let reason = Some("enough".to_owned());
        let canceller = start({
            let (manager, id) = (manager.clone(), id.clone());
            let options = CancelOptions { reason, deadline: None };
            async move { manager.cancel_with(&id, options).await }
        });
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
        let cancel = manager.view(&id).unwrap().unwrap().cancel.expect("it is on the record");
        assert_eq!(cancel.reason.as_deref(), Some("enough"));
        assert!(cancel.seq.get() < ends(manager.ledger().unwrap(), &id)[0]);
        assert!(canceller.await.unwrap());
    });
}

/// C8, F7: two shutdowns at once are both done, with everything recorded.
#[test]
fn a_shutdown_against_another() {
    explore(async || {
        let manager = manager().await;
        let id =
            spawn(&manager, None, TaskParentContext::default(), until_cancelled).await.unwrap();
        let other = start({
            let manager = manager.clone();
            async move { manager.shutdown(Duration::from_secs(1)).await }
        });
        let mine = manager.shutdown(Duration::from_secs(1)).await.unwrap();
        let other = other.await.unwrap().unwrap();
        assert!(mine.deaf.is_empty() && other.deaf.is_empty());
        assert_eq!(manager.get(&id).unwrap().status, TaskStatus::Cancelled);
        let cancel = manager.view(&id).unwrap().unwrap().cancel.unwrap();
        assert_eq!(cancel.reason.as_deref(), Some("shutdown"));
        manager.shutdown(Duration::ZERO).await.unwrap();
    });
}

/// C6, O3: news comes in the order of the log, whoever has to wait for whom.
#[test]
fn news_of_one_inbox_against_one_another() {
    explore(async || {
        let (manager, mut inbox) = told_manager().await;
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let body = async |context: taskledger_models::manager::TaskContext| {
                context.record("step", serde_json::json!(1)).await.unwrap();
                TaskResult::Cancelled
            };
            let parent = TaskParentContext::default();
            tasks.push(spawn(&manager, None, parent, body).await.unwrap());
        }
        for id in &tasks {
            match manager.wait(id).await {
                Ok(ended) => assert_eq!(ended.status, TaskStatus::Cancelled),
                Err(WaitError::State(error)) => panic!("{error}"),
                Err(other) => panic!("{other}"),
            }
        }
        let told: Vec<u64> =
            inbox.drain().iter().map(|told| told["seq"].as_u64().unwrap()).collect();
        assert_eq!(told.len(), 6);
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(manager.health().untold, 0);
    });
}
