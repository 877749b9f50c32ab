//! A24, B2, B10: the records of a snapshot.

use super::support::*;
use crate::support::{START, task};
use serde_json::{Value, json};
use taskledger::{
    event::{Parent, TaskStatus},
    manager::{
        BackgroundTaskStateSnapshot, ORPHANED, RestoreError, RestoreOptions, RestoreReport,
        TaskParentContext,
    },
    state::Rejection,
};

fn snapshot(tasks: &Value) -> BackgroundTaskStateSnapshot {
    serde_json::from_value(json!({ "tasks": tasks })).unwrap()
}

fn meta(id: &str, owner: &str, status: &str) -> Value {
    json!({
        "task_id": id, "owner_thread_id": owner, "task_type": "shell", "description": "d",
        "status": status, "created_at_ms": 5, "parent_context": {}
    })
}

async fn refused(manager: &Manager, snapshot: &BackgroundTaskStateSnapshot) -> RestoreError {
    let before = manager.ledger().unwrap().reader().head();
    let error = manager.restore_for_thread("main", snapshot).await.unwrap_err();
    assert_eq!(manager.ledger().unwrap().reader().head(), before, "nothing was written");
    error
}

/// A24: a running record becomes Failed, a terminal one stays, an id that is there is skipped, and
/// the counter is lifted. Restoring twice is restoring once.
#[tokio::test]
async fn a_snapshot_is_brought_in_once() {
    let manager = manager().await;
    let mine = spawn(&manager, deaf).await;
    let mut done = meta("bg_7", "main", "completed");
    done["result"] = json!({ "pages": 3 });
    done["completed_at_ms"] = json!(9);
    done["name"] = json!("n");
    done["parent_context"] = json!({ "task_id": "bg_8", "run_id": "r" });
    let mut cancelled = meta("x-1", "", "cancelled");
    cancelled["error"] = json!("stopped");
    let snapshot = snapshot(&json!({
        "bg_0": meta("bg_0", "main", "failed"),
        "bg_7": done,
        "bg_8": meta("bg_8", "main", "running"),
        "x-1": cancelled,
    }));
    let report = manager.restore_for_thread("main", &snapshot).await.unwrap();
    assert_eq!(report, RestoreReport { restored: 3, orphaned: 1, skipped: 1 });
    assert_eq!(status(&manager, &mine), TaskStatus::Running, "what is there is unchanged");
    let kept = manager.get("bg_7").unwrap();
    assert_eq!((kept.status, kept.created_at_ms), (TaskStatus::Completed, 5));
    assert_eq!((kept.result, kept.completed_at_ms), (Some(json!({ "pages": 3 })), Some(9)));
    let view = manager.view("bg_7").unwrap().unwrap();
    assert_eq!(view.parent, Some(Parent::Local(task("bg_8"))), "its parent came before it");
    assert_eq!(view.name.as_deref(), Some("n"));
    let orphan = manager.get("bg_8").unwrap();
    assert_eq!((orphan.status, orphan.error.as_deref()), (TaskStatus::Failed, Some(ORPHANED)));
    assert_eq!(orphan.completed_at_ms, Some(START.0));
    assert_eq!(manager.get("x-1").unwrap().error.as_deref(), Some("stopped"));
    let before = manager.ledger().unwrap().reader().head();
    let again = manager.restore_for_thread("main", &snapshot).await.unwrap();
    assert_eq!(again, RestoreReport { restored: 0, orphaned: 0, skipped: 4 });
    assert_eq!(manager.ledger().unwrap().reader().head(), before);
    assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_9");
}

/// B10: a record under another id than its own is refused with the whole snapshot.
#[tokio::test]
async fn a_record_under_another_id_refuses_the_whole_snapshot() {
    let manager = manager().await;
    let tasks =
        json!({ "bg_1": meta("bg_1", "main", "failed"), "bg_2": meta("bg_3", "main", "failed") });
    let error = refused(&manager, &snapshot(&tasks)).await;
    assert!(matches!(error, RestoreError::KeyMismatch { .. }));
    assert_eq!(error.to_string(), "the record under 'bg_2' is that of task 'bg_3'");
}

/// B10: tasks of another thread are refused, unless both threads are named.
#[tokio::test]
async fn tasks_of_another_thread_need_both_threads_to_be_named() {
    let manager = manager().await;
    let theirs = snapshot(&json!({
        "bg_1": meta("bg_1", "main", "failed"), "bg_2": meta("bg_2", "other", "failed")
    }));
    let error = refused(&manager, &theirs).await;
    assert!(matches!(error, RestoreError::OtherThread { .. }));
    let wrong = RestoreOptions { adopt_from: Some("third".into()) };
    manager.restore_for_thread_with("main", &theirs, &wrong).await.unwrap_err();
    let named = RestoreOptions { adopt_from: Some("other".into()) };
    let report = manager.restore_for_thread_with("main", &theirs, &named).await.unwrap();
    assert_eq!(report.restored, 2);
    assert_eq!(manager.list("main").len(), 2);
}

/// B2: a number of 2^53 or more is refused at the door.
#[tokio::test]
async fn a_number_that_json_cannot_hold_is_refused_at_the_door() {
    let manager = manager().await;
    let id = "bg_9007199254740992";
    let tasks = json!({ "bg_1": meta("bg_1", "main", "failed"), id: meta(id, "main", "failed") });
    let error = refused(&manager, &snapshot(&tasks)).await;
    assert!(matches!(error, RestoreError::Rejected(Rejection::BadNumber { .. })));
    assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_0");
}

/// B11: records that are below themselves are refused whole.
#[tokio::test]
async fn records_that_are_below_themselves_are_refused() {
    let manager = manager().await;
    let mut a = meta("a", "main", "failed");
    let mut b = meta("b", "main", "failed");
    a["parent_context"] = json!({ "task_id": "b" });
    b["parent_context"] = json!({ "task_id": "a" });
    let error = refused(&manager, &snapshot(&json!({ "a": a.clone(), "b": b }))).await;
    assert!(matches!(error, RestoreError::Rejected(Rejection::Cycle { .. })), "{error}");
    a["parent_context"] = json!({ "task_id": "a" });
    let error = refused(&manager, &snapshot(&json!({ "a": a }))).await;
    assert!(matches!(error, RestoreError::Rejected(Rejection::Cycle { .. })), "{error}");
}

/// A24: more records than one batch holds, the youngest of them roots of the oldest.
#[tokio::test]
async fn more_records_than_one_batch_are_brought_in() {
    let manager = manager().await;
    let tasks: serde_json::Map<String, Value> = (0..5_000)
        .map(|n| {
            let mut meta = meta(&format!("bg_{n}"), "main", "completed");
            if n < 4_990 {
                meta["parent_context"] = json!({ "task_id": format!("bg_{}", 4_990 + n % 10) });
            }
            (format!("bg_{n}"), meta)
        })
        .collect();
    let snapshot = snapshot(&Value::Object(tasks));
    let report = manager.restore_for_thread("main", &snapshot).await.unwrap();
    assert_eq!(report.restored, 5_000);
    assert_eq!(manager.task_tree_ids("bg_4990").unwrap().len(), 500);
    let unnamed = TaskParentContext::default();
    let next = spawn_on(&manager, "main", None, unnamed, deaf).await.unwrap();
    assert_eq!(next.as_str(), "bg_5000");
}

/// Without a store there is nothing to restore into.
#[tokio::test]
async fn without_a_store_nothing_is_restored() {
    let manager = taskledger::BackgroundTaskManager::new();
    let error = manager.restore_for_thread("main", &snapshot(&json!({}))).await.unwrap_err();
    assert!(matches!(error, RestoreError::StoreNotConfigured));
}
