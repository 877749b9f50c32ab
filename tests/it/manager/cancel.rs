//! A15 to A18, B8: asking tasks to stop.

use super::support::*;
use serde_json::json;
use std::time::Duration;
use taskledger::{
    command::Cancel,
    event::{CancelScope, TaskStatus},
    ids::{RunId, Seq, TaskId, ThreadId},
    manager::{CancelOptions, TaskParentContext, TaskResult},
    store::faulty::{Call, Effect, Fault, FaultyDisk},
    time::Millis,
};

async fn stops(manager: &Manager, thread: &str, parent: TaskParentContext) -> TaskId {
    spawn_on(manager, thread, None, parent, until_cancelled).await.unwrap()
}

/// A15: a live task is signalled; an unknown or ended one is not.
#[tokio::test]
async fn a_live_task_is_signalled_and_no_other() {
    let manager = manager().await;
    assert!(!manager.cancel("bg_0").await);
    let id = stops(&manager, "main", TaskParentContext::default()).await;
    assert!(manager.cancel(&id).await);
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
    assert!(!manager.cancel(&id).await);
    assert!(!taskledger::BackgroundTaskManager::new().cancel("bg_0").await);
}

/// A16: root and descendants, through ended ones and across threads; what is elsewhere lives.
#[tokio::test]
async fn a_tree_is_cancelled_through_ended_tasks_and_across_threads() {
    let manager = manager().await;
    let (end, body) = returning();
    let root = spawn(&manager, body).await;
    let middle = stops(&manager, "b", child_of(&root)).await;
    let leaf = stops(&manager, "c", child_of(&middle)).await;
    let other = stops(&manager, "b", TaskParentContext::default()).await;
    manager.cancel(&middle).await;
    manager.wait(&middle).await.unwrap();
    end.send(TaskResult::Success(json!(1))).unwrap();
    manager.wait(&root).await.unwrap();
    assert_eq!(manager.cancel_tree("bg_99").await, 0);
    assert_eq!(manager.cancel_tree(&root).await, 1, "a live child under a finished root is found");
    assert_eq!(manager.wait(&leaf).await.unwrap().status, TaskStatus::Cancelled);
    assert_eq!(status(&manager, &other), TaskStatus::Running);
    assert_eq!(manager.cancel_tree(&root).await, 0);
}

/// A17: every live task of the thread, and no other.
#[tokio::test]
async fn all_live_tasks_of_a_thread_are_cancelled() {
    let manager = manager().await;
    let here = [
        stops(&manager, "a", TaskParentContext::default()).await,
        stops(&manager, "a", TaskParentContext::default()).await,
    ];
    let there = stops(&manager, "b", child_of(&here[0])).await;
    assert_eq!(manager.cancel_all("nowhere").await, 0);
    assert_eq!(manager.cancel_all("a").await, 2);
    for id in &here {
        assert_eq!(manager.wait(id).await.unwrap().status, TaskStatus::Cancelled);
    }
    assert_eq!(status(&manager, &there), TaskStatus::Running);
    assert_eq!(manager.cancel_all("a").await, 0);
    stops(&manager, "a", TaskParentContext::default()).await;
}

/// A18: the trees of a run are those whose root has the run and no parent task.
#[tokio::test]
async fn a_run_is_cancelled_with_all_that_its_trees_hold() {
    let manager = manager().await;
    let root = stops(&manager, "a", of_run("r")).await;
    let child = stops(&manager, "b", child_of(&root)).await;
    let other = stops(&manager, "a", of_run("other")).await;
    let nested = TaskParentContext { run_id: Some("r".into()), ..child_of(&other) };
    let nested = stops(&manager, "a", nested).await;
    assert_eq!(manager.cancel_descendants_for_run("none").await, 0);
    assert_eq!(manager.cancel_descendants_for_run(" r ").await, 2);
    for id in [&root, &child] {
        assert_eq!(manager.wait(id).await.unwrap().status, TaskStatus::Cancelled);
    }
    for id in [&other, &nested] {
        assert_eq!(status(&manager, id), TaskStatus::Running);
    }
}

/// B8: a request leaves a trace: scope, who asked, why, until when.
#[tokio::test]
async fn a_cancel_leaves_a_trace() {
    let manager = manager().await;
    let target = stops(&manager, "main", TaskParentContext::default()).await;
    let (inner, id) = (manager.clone(), target.clone());
    let canceller = spawn_on(&manager, "main", None, of_run("r"), async move |_| {
        let options = CancelOptions {
            reason: Some("too slow".into()),
            deadline: Some(Duration::from_mins(1)),
        };
        TaskResult::Success(json!(inner.cancel_with(&id, options).await))
    })
    .await
    .unwrap();
    assert_eq!(manager.wait(&canceller).await.unwrap().result, Some(json!(true)));
    manager.wait(&target).await.unwrap();
    let view = manager.view(&target).unwrap().unwrap().cancel.unwrap();
    assert_eq!(view.scope, CancelScope::Task);
    assert_eq!(view.reason.as_deref(), Some("too slow"));
    assert_eq!(view.cause.task, Some(canceller));
    assert_eq!(view.cause.run.unwrap().as_str(), "r");
    assert_eq!(view.deadline.unwrap().0, view.at.0 + 60_000);
}

/// B8: past the deadline a deaf task is dropped, and then recorded as Cancelled.
#[tokio::test(start_paused = true)]
async fn past_its_deadline_a_deaf_task_is_dropped_and_recorded_as_cancelled() {
    struct Dropped(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (manager, mut inbox) = told_manager().await;
    let (dropped, mut was_dropped) = tokio::sync::mpsc::unbounded_channel();
    let guard = Dropped(dropped);
    let id = spawn(&manager, async move |context| {
        let _guard = guard;
        deaf(context).await
    })
    .await;
    let _still = standstill();
    let (almost, rest) = (Duration::from_millis(1_499), Duration::from_millis(1));
    let wait = almost + rest;
    let options = CancelOptions { reason: None, deadline: Some(wait) };
    assert!(manager.cancel_with(&id, options).await);
    tokio::time::advance(almost).await;
    assert_eq!(status(&manager, &id), TaskStatus::Running);
    tokio::time::advance(rest).await;
    let ended = manager.wait(&id).await.unwrap();
    was_dropped.try_recv().expect("joined before it is recorded");
    assert_eq!(ended.status, TaskStatus::Cancelled);
    assert_eq!(ended.error.as_deref(), Some("did not stop within 1.5s"));
    assert_eq!(inbox.drain()[0]["kind"], "cancelled");
}

/// B8: a task that stops in time is not held against its deadline.
#[tokio::test(start_paused = true)]
async fn a_task_that_stops_in_time_is_not_dropped() {
    let manager = manager().await;
    let id = spawn(&manager, async |context| {
        context.cancelled().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        TaskResult::Success(json!("in time"))
    })
    .await;
    let deadline = Some(Duration::from_secs(2));
    manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await;
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Completed);
}

/// B8: code that never waits cannot be dropped, and is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_never_waits_is_named_by_health() {
    let manager = manager().await;
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let id = spawn(&manager, async move |_| {
        gone.recv().unwrap();
        TaskResult::Success(json!("at last"))
    })
    .await;
    let deadline = Some(Duration::ZERO);
    manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await;
    until(|| manager.health().deaf == [id.clone()]).await;
    assert!(manager.health().degraded);
    go.send(()).unwrap();
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Completed);
    until(|| !manager.health().degraded).await;
}

/// B8: the signal does not depend on the record.
#[tokio::test]
async fn a_task_is_signalled_even_if_the_request_cannot_be_recorded() {
    let disk = FaultyDisk::new(1);
    let ledger = ledger_on(&disk);
    let manager = taskledger::BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    let (told, was_told) = tokio::sync::oneshot::channel();
    let id = spawn(&manager, async move |context| {
        context.cancelled().await;
        told.send(()).unwrap();
        TaskResult::Cancelled
    })
    .await;
    disk.fail(Fault { call: Call::Any, after: 0, effect: Effect::FailsForGood });
    assert!(manager.cancel(&id).await);
    was_told.await.unwrap();
}

/// C1: a request that was recorded another way than by the manager reaches the tasks that were there
/// before it, with its deadline, and no others.
#[tokio::test]
async fn a_request_that_came_another_way_reaches_what_it_names() {
    let manager = manager().await;
    let ledger = manager.ledger().unwrap().clone();
    let record = async |request: Cancel| {
        let receipt = ledger.append(request.clone()).await.unwrap().remove(0);
        (request, receipt.seq)
    };
    let signal = |(request, seq): &(Cancel, Seq)| manager.signal_recorded(request, *seq);
    let root = spawn(&manager, deaf).await;
    let below = stops(&manager, "b", child_of(&root)).await;
    let ran = stops(&manager, "c", of_run("r")).await;
    let threaded = stops(&manager, "d", TaskParentContext::default()).await;
    let late = |request: Cancel| request.deadline(Millis(0));
    let ended = stops(&manager, "a", TaskParentContext::default()).await;
    manager.cancel(&ended).await;
    manager.wait(&ended).await.unwrap();
    assert_eq!(signal(&record(Cancel::task(&ended)).await), 0);
    assert_eq!(signal(&record(late(Cancel::tree(&root))).await), 2);
    assert_eq!(manager.wait(&root).await.unwrap().status, TaskStatus::Cancelled);
    assert_eq!(signal(&record(Cancel::run("r".parse::<RunId>().unwrap())).await), 1);
    let of_thread = record(Cancel::thread("d".parse::<ThreadId>().unwrap())).await;
    let after = stops(&manager, "d", TaskParentContext::default()).await;
    assert_eq!(signal(&of_thread), 1, "the thread goes on after the request");
    for id in [below, ran, threaded] {
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
    }
    assert_eq!(status(&manager, &after), TaskStatus::Running);
    assert_eq!(signal(&of_thread), 0);
}
