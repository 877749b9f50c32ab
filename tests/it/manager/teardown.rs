//! B4, B6, B8: futures that are dropped, runtimes that go away, runtimes without timers.

use super::support::*;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use taskledger::{
    BackgroundTaskManager,
    event::{Action, TaskStatus},
    manager::{CancelOptions, TaskParentContext, TaskResult},
    store::faulty::FaultyDisk,
};

/// Polls a future so many times, and drops it. Whether it was done.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let poll = std::future::poll_fn(|context| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        });
        if let Some(value) = poll.await {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// B4: whatever goes on when a runtime of several threads goes away, no task stays running: its end
/// is recorded, or the next binding finds it to be an orphan.
#[test]
fn when_a_runtime_of_many_threads_goes_away_no_task_stays_running() {
    for _ in 0..20 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (manager, first) = runtime.block_on(async {
            let manager = manager().await;
            let first = spawn(&manager, deaf).await;
            for n in 0..4 {
                let (manager, stop) = (Arc::clone(&manager), Arc::clone(&stop));
                drop(tokio::task::spawn(async move {
                    let thread = format!("t{n}");
                    let parent = TaskParentContext::default;
                    while !stop.load(Ordering::SeqCst) {
                        drop(spawn_on(&manager, &thread, None, parent(), deaf).await);
                        drop(spawn_on(&manager, &thread, None, parent(), succeed).await);
                    }
                }));
            }
            until(|| manager.health().live > 20).await;
            (manager, first)
        });
        drop(runtime); // with spawns on their way
        stop.store(true, Ordering::SeqCst);
        let ledger = manager.ledger().unwrap().clone();
        let again = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ended = again.block_on(manager.wait(&first)).unwrap();
        assert_eq!(ended.error.as_deref(), Some("task dropped: its runtime was shut down"));
        assert_eq!((manager.health().live, Arc::strong_count(&manager)), (0, 1));
        drop(manager);
        let next = again.block_on(BackgroundTaskManager::with_ledger(ledger)).unwrap();
        let counts = next.ledger().unwrap().reader().state().unwrap().counts();
        assert_eq!((counts.running, counts.cancelled), (0, 0));
    }
}

/// B4: the last handle of a manager may go while its runtime does.
#[test]
fn a_manager_and_its_runtime_may_go_in_any_order() {
    for manager_first in [true, false] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (manager, ledger) = runtime.block_on(async {
            let manager = manager().await;
            let ledger = manager.ledger().unwrap().clone();
            for _ in 0..50 {
                spawn(&manager, deaf).await;
            }
            (manager, ledger)
        });
        if manager_first {
            drop(manager);
            drop(runtime);
        } else {
            drop(runtime);
            drop(manager);
        }
        let again = tokio::runtime::Builder::new_current_thread().build().unwrap();
        again.block_on(BackgroundTaskManager::with_ledger(ledger.clone())).unwrap();
        assert_eq!(ledger.reader().state().unwrap().counts().failed, 50);
    }
}

/// B9: dropped at any await, a cancel of a tree that was begun leaves its mark and signals all.
#[tokio::test]
async fn a_cancel_of_a_tree_that_is_dropped_goes_on() {
    for polls in 1..6 {
        let manager = manager().await;
        let root = spawn(&manager, until_cancelled).await;
        let child = spawn_on(&manager, "b", None, child_of(&root), until_cancelled).await.unwrap();
        dropped_after(polls, manager.cancel_tree(&root)).await;
        for id in [&root, &child] {
            assert_eq!(manager.wait(id).await.unwrap().status, TaskStatus::Cancelled);
        }
        let marked =
            || manager.ledger().unwrap().reader().state().unwrap().tree_mark(&root).is_some();
        until(marked).await;
    }
}

/// B8: dropped at any await, a cancel with a deadline that was begun signals, and keeps to it.
#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_dropped_has_signalled_and_keeps_its_deadline() {
    for polls in 1..4 {
        let manager = manager().await;
        let id = spawn(&manager, deaf).await;
        let deadline = Some(Duration::from_secs(1));
        let options = CancelOptions { reason: None, deadline };
        dropped_after(polls, manager.cancel_with(&id, options)).await;
        let ended = manager.wait(&id).await.unwrap();
        assert_eq!(ended.error.as_deref(), Some("did not stop within 1s"));
    }
}

/// B13: dropped at any await, a message that was begun is recorded and delivered.
#[tokio::test]
async fn a_message_that_is_dropped_is_recorded_and_delivered() {
    for polls in 1..6 {
        let manager = manager().await;
        let parent = TaskParentContext::default();
        let reads = async |mut agent: taskledger::manager::AgentTaskContext| {
            let message = agent.inbox_receiver.recv_or_cancel(None).await.unwrap();
            TaskResult::Success(message["seq"].clone())
        };
        let agent = manager.spawn_agent_with_context("main", None, "", parent, reads).await;
        let agent = agent.unwrap();
        dropped_after(polls, manager.send_task_inbox_message(&agent, "main", "root", "go")).await;
        let seq = manager.wait(&agent).await.unwrap().result.unwrap().as_u64().unwrap();
        let entry = entries(&manager).into_iter().find(|entry| entry.event.seq.get() == seq);
        assert!(matches!(entry.unwrap().event.action, Action::Messaged { .. }));
    }
}

/// B16: dropped at any await, a wait loses nothing.
#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let manager = manager().await;
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    for polls in 0..3 {
        assert!(dropped_after(polls, manager.wait(&id)).await.is_none());
    }
    end.send(TaskResult::Success(json!(1))).unwrap();
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Completed);
}

/// B5, B8: a runtime without timers will do, for deadlines and for second tries.
#[test]
fn a_runtime_without_timers_keeps_deadlines_and_tries_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let disk = FaultyDisk::new(1);
    runtime.block_on(async {
        let manager = BackgroundTaskManager::with_ledger(ledger_on(&disk)).await.unwrap();
        let id = spawn(&manager, deaf).await;
        let deadline = Some(Duration::from_millis(5));
        assert!(manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await);
        let ended = manager.wait(&id).await.unwrap();
        assert_eq!(ended.error.as_deref(), Some("did not stop within 5ms"));

        let (end, body) = returning();
        let id = spawn(&manager, body).await;
        disk.set_bytes_max(Some(disk.bytes()));
        end.send(TaskResult::Success(json!("kept"))).unwrap();
        until(|| manager.health().degraded).await;
        disk.set_bytes_max(None);
        assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!("kept")));
        spawn(&manager, deaf).await;
        let report = manager.shutdown(Duration::from_millis(5)).await.unwrap();
        assert_eq!(report.aborted, 1);
    });
}
