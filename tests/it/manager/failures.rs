//! B5, B16: a ledger that cannot record, and the end of a manager.

use super::support::*;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager,
    command::Batch,
    event::TaskStatus,
    ledger::AppendError,
    manager::{SpawnError, TaskParentContext, TaskResult, WaitError, inbox_channel},
    store::faulty::{Call, Effect, Fault, FaultyDisk},
};

async fn manager_on(disk: &FaultyDisk) -> Manager {
    BackgroundTaskManager::with_ledger(ledger_on(disk)).await.unwrap()
}

/// B5: on a full disk the outcome is kept and tried again; nothing is announced before.
#[tokio::test(start_paused = true)]
async fn on_a_full_disk_the_outcome_is_kept_and_tried_again() {
    let disk = FaultyDisk::new(1);
    let manager = manager_on(&disk).await;
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    disk.set_bytes_max(Some(disk.bytes()));
    end.send(TaskResult::Success(json!("kept"))).unwrap();
    until(|| manager.health().unrecorded == [id.clone()]).await;
    assert!(manager.health().degraded);
    assert_eq!(status(&manager, &id), TaskStatus::Running);
    assert!(inbox.is_empty(), "nothing is announced as done");
    disk.set_bytes_max(None);
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!("kept")));
    assert!(!manager.health().degraded);
    assert_eq!(of_kind(&inbox.drain(), "completed").len(), 1);
}

/// B5: on a halted ledger the wait is an error, nothing is announced, and after a restart the task
/// is an orphan, never a false success.
#[tokio::test]
async fn on_a_halted_ledger_the_wait_is_an_error_and_the_task_an_orphan() {
    let disk = FaultyDisk::new(1);
    let manager = manager_on(&disk).await;
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    disk.fail(Fault { call: Call::Write, after: 0, effect: Effect::FailsForGood });
    end.send(TaskResult::Success(json!("lost"))).unwrap();
    let error = manager.wait(&id).await.unwrap_err();
    let WaitError::State(error) = error else { panic!("{error}") };
    assert!(matches!(error, AppendError::OutcomeUnknown { .. } | AppendError::Halted));
    assert!(matches!(manager.wait(&id).await, Err(WaitError::State(_))), "and stays one");
    assert!(manager.health().degraded);
    assert_eq!(manager.health().unrecorded, std::slice::from_ref(&id));
    assert!(inbox.drain().is_empty());
    disk.repair();
    disk.cut_power();
    let again = manager_on(&disk).await;
    assert_eq!(status(&again, &id), TaskStatus::Failed);
}

/// B16: a shutdown asks, waits, drops what is left, records it, and closes the ledger.
#[tokio::test(start_paused = true)]
async fn a_shutdown_asks_waits_drops_records_and_closes() {
    let (manager, mut inbox) = told_manager().await;
    let good = spawn(&manager, until_cancelled).await;
    let bad = spawn(&manager, deaf).await;
    let _still = standstill();
    let ending = tokio::task::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.shutdown(Duration::from_secs(3)).await.unwrap() }
    });
    until(|| status(&manager, &good).is_terminal() && manager.health().live == 1).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    let report = ending.await.unwrap();
    assert_eq!((report.stopped, report.aborted, report.deaf.len()), (1, 1, 0));
    assert_eq!(status(&manager, &good), TaskStatus::Cancelled);
    let dropped = manager.get(&bad).unwrap();
    assert_eq!(dropped.status, TaskStatus::Cancelled);
    assert_eq!(dropped.error.as_deref(), Some("did not stop within 3s"));
    assert_eq!(of_kind(&inbox.drain(), "cancelled").len(), 2);
    let refused = spawn_on(&manager, "main", None, TaskParentContext::default(), succeed).await;
    assert!(matches!(refused, Err(SpawnError::ShutDown)));
    let ledger = manager.ledger().unwrap();
    assert!(matches!(ledger.append(Batch::new()).await, Err(AppendError::Halted)));
    assert_eq!(Arc::strong_count(&manager), 1, "every task was joined");
}

/// B16: a shutdown drops what still runs; what has ended, and could not be recorded, has stopped.
#[tokio::test(start_paused = true)]
async fn a_shutdown_counts_as_dropped_only_what_still_runs() {
    let disk = FaultyDisk::new(1);
    let manager = manager_on(&disk).await;
    let (end, body) = returning();
    let ended = spawn(&manager, body).await;
    spawn(&manager, deaf).await;
    disk.set_bytes_max(Some(disk.bytes()));
    end.send(TaskResult::Success(json!("kept"))).unwrap();
    until(|| manager.health().unrecorded == [ended.clone()]).await;
    let report = manager.shutdown(Duration::from_secs(3)).await.unwrap();
    assert_eq!((report.stopped, report.aborted, report.deaf.len()), (1, 1, 0));
}
