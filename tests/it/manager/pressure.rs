//! B5, B8, B9, B10: what becomes of ends and requests that the ledger refuses for now.

use super::{jam::*, support::*};
use crate::support::finish_with;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use taskledger::{
    event::{Action, CancelScope, Outcome, TaskStatus},
    manager::{ManagerOptions, TaskParentContext, TaskResult, WaitError, inbox_channel},
    store::faulty::FaultyDisk,
};

fn cancels(manager: &Manager) -> Vec<CancelScope> {
    let requests = entries(manager).into_iter().filter_map(|entry| {
        let Action::CancelRequested { scope, .. } = entry.event.action else { return None };
        Some(scope)
    });
    requests.collect()
}

/// B5: an end that finds the queue full again and again is kept, and announced once it is taken.
#[tokio::test(start_paused = true)]
async fn an_end_that_finds_the_queue_full_is_kept_and_tried_again() {
    let (manager, hold) = manager_that_jams(&FaultyDisk::new(1), 1).await;
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let (end, body) = returning();
    let id = spawn_on(&manager, "main", Some("n"), TaskParentContext::default(), body);
    let id = id.await.unwrap();
    let jam = Jam::full(&manager, &hold);
    end.send(TaskResult::Success(json!("kept"))).unwrap();
    until(|| manager.health().unrecorded == [id.clone()]).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(5)).await; // some tries later
        assert!(manager.health().degraded);
        assert_eq!(status(&manager, &id), TaskStatus::Running);
        assert!(inbox.is_empty(), "nothing is announced as done");
    }
    jam.release().await;
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!("kept")));
    assert!(!manager.health().degraded);
    assert_eq!(of_kind(&inbox.drain(), "completed").len(), 1);
}

/// B4, B5: an end that cannot even be handed over when its runtime goes is an error for those who
/// wait, not a wait without end.
#[test]
fn an_end_that_cannot_be_handed_over_is_an_error_for_those_who_wait() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let disk = FaultyDisk::new(1);
    let first = runtime();
    let (manager, hold, id) = first.block_on(async {
        let (manager, hold) = manager_that_jams(&disk, 1).await;
        let id = spawn(&manager, deaf).await;
        (manager, hold, id)
    });
    let jam = Jam::full(&manager, &hold);
    drop(first);
    runtime().block_on(async {
        assert!(matches!(manager.wait(&id).await, Err(WaitError::State(_))));
        assert_eq!(manager.health().unrecorded, std::slice::from_ref(&id));
        jam.release().await;
        // Somebody else records an end after all: nothing is wrong any more.
        let ledger = manager.ledger().unwrap();
        ledger.append([finish_with(id.as_str(), Outcome::Failed, None)]).await.unwrap();
        assert!(!manager.health().degraded);
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Failed);
    });
}

/// B5, B10: an end that was refused because of another one is tried again if that one came to
/// nothing. Both are in one group, and the disk has no room for it.
#[tokio::test(start_paused = true)]
async fn an_end_that_lost_against_one_that_was_never_written_is_recorded() {
    let disk = FaultyDisk::new(1);
    let (manager, hold) = manager_that_jams(&disk, 16).await;
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    let jam = Jam::held(&manager, &hold);
    let ledger = manager.ledger().unwrap().clone();
    let other = [finish_with(id.as_str(), Outcome::Failed, Some("declared dead"))];
    let other = tokio::task::spawn(async move { ledger.append(other).await });
    tokio::task::yield_now().await;
    disk.set_bytes_max(Some(disk.bytes()));
    end.send(TaskResult::Success(json!("alive"))).unwrap();
    for _ in 0..16 {
        tokio::task::yield_now().await; // the end is in the queue, behind the other
    }
    jam.release().await;
    other.await.unwrap().unwrap_err();
    until(|| manager.health().unrecorded == [id.clone()]).await;
    disk.set_bytes_max(None);
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!("alive")));
    assert_eq!(of_kind(&inbox.drain(), "completed").len(), 1);
}

/// B8: a request that could not be recorded is recorded later, with who asked and why.
#[tokio::test(start_paused = true)]
async fn a_request_that_could_not_be_recorded_is_recorded_later() {
    let disk = FaultyDisk::new(1);
    let manager = taskledger::BackgroundTaskManager::with_ledger(ledger_on(&disk)).await.unwrap();
    let target = spawn(&manager, async |context| {
        context.cancelled().await;
        std::future::pending().await
    })
    .await;
    let inner = Arc::clone(&manager);
    let canceller = spawn(&manager, {
        let (disk, target) = (disk.clone(), target.clone());
        async move |_| {
            disk.set_bytes_max(Some(disk.bytes()));
            let options = taskledger::manager::CancelOptions {
                reason: Some("too slow".into()),
                deadline: None,
            };
            let signalled = inner.cancel_with(&target, options).await;
            disk.set_bytes_max(None);
            TaskResult::Success(json!(signalled))
        }
    })
    .await;
    assert_eq!(manager.wait(&canceller).await.unwrap().result, Some(json!(true)));
    until(|| cancels(&manager) == [CancelScope::Task]).await;
    let cancel = manager.view(&target).unwrap().unwrap().cancel.unwrap();
    assert_eq!((cancel.cause.task, cancel.reason.as_deref()), (Some(canceller), Some("too slow")));
}

/// B9: what is spawned in a tree after it was cancelled, but before that is on the record, is
/// signalled when it is. So it is for a run.
#[tokio::test(start_paused = true)]
async fn what_is_spawned_before_the_mark_is_recorded_is_signalled_when_it_is() {
    for by_run in [false, true] {
        let (manager, hold) = manager_that_jams(&FaultyDisk::new(1), 1).await;
        let root = spawn_on(&manager, "main", None, of_run("r"), deaf).await.unwrap();
        let still = standstill();
        let jam = Jam::full(&manager, &hold);
        let signalled = if by_run {
            manager.cancel_descendants_for_run("r").await
        } else {
            manager.cancel_tree(&root).await
        };
        assert_eq!(signalled, 1);
        jam.release().await;
        let late = spawn_on(&manager, "main", None, child_of(&root), until_cancelled).await;
        let late = late.expect("nothing on the record forbids it yet");
        assert!(cancels(&manager).is_empty(), "time stands still");
        drop(still);
        assert_eq!(manager.wait(&late).await.unwrap().status, TaskStatus::Cancelled);
        assert_eq!(cancels(&manager).len(), 1);
    }
}

/// B14: recorded progress that finds the queue full is recorded later, still before the end.
#[tokio::test(start_paused = true)]
async fn progress_that_finds_the_queue_full_is_recorded_before_the_end() {
    let (jammed, hold) = manager_that_jams(&FaultyDisk::new(1), 1).await;
    let limits = ManagerOptions { record_emits: true, ..Default::default() };
    let manager = Arc::new(taskledger::BackgroundTaskManager::with_options(limits));
    manager.set_store(jammed.ledger().unwrap().clone()).await.unwrap();
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let id = spawn(&manager, async move |context| {
        gone.await.unwrap();
        TaskResult::Success(json!(context.emit("step", json!(1))))
    })
    .await;
    let jam = Jam::full(&manager, &hold);
    go.send(()).unwrap();
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
    assert!(inbox.is_empty());
    jam.release().await;
    manager.wait(&id).await.unwrap();
    let told = inbox.drain();
    assert_eq!((&told[0]["payload"], &told[1]["kind"]), (&json!(1), &json!("completed")));
    assert!(told[0]["seq"].as_u64().unwrap() < told[1]["seq"].as_u64().unwrap());
}

/// B16: a task that is on its way while a shutdown begins is asked to stop as well.
#[tokio::test(start_paused = true)]
async fn a_task_on_its_way_while_a_shutdown_begins_is_asked_to_stop() {
    let (manager, hold) = manager_that_jams(&FaultyDisk::new(1), 16).await;
    let jam = Jam::held(&manager, &hold);
    let spawning = tokio::task::spawn({
        let manager = Arc::clone(&manager);
        async move { spawn(&manager, until_cancelled).await }
    });
    for _ in 0..16 {
        tokio::task::yield_now().await; // its spawn is in the queue
    }
    let ending = tokio::task::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.shutdown(Duration::from_hours(1)).await.unwrap() }
    });
    for _ in 0..16 {
        tokio::task::yield_now().await; // the shutdown waits for what runs
    }
    let still = standstill();
    jam.release().await;
    let id = spawning.await.unwrap();
    until(|| status(&manager, &id).is_terminal()).await;
    drop(still);
    let report = ending.await.unwrap();
    assert_eq!((report.aborted, report.deaf.len()), (0, 0));
    let ended = manager.get(&id).unwrap();
    assert_eq!((ended.status, ended.error), (TaskStatus::Cancelled, None));
}
