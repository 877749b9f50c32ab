//! B1, B2: tasks whose manager is gone, and ids after a restart.

use super::support::*;
use crate::support::{START, thread};
use serde_json::json;
use taskledger::{
    BackgroundTaskManager,
    command::Spawn,
    event::{Action, Host, Restored, TaskStatus},
    manager::{
        BindError, EndReason, ORPHANED, TaskParentContext, TaskResult, inbox_channel,
        inbox_channel_of,
    },
    store::MemStore,
};

/// Runs a manager in a process that dies with its tasks running.
fn die_with(tasks: usize) -> MemStore {
    let store = MemStore::new();
    let ledger = ledger_over(&store, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
        for n in 0..tasks {
            let thread = format!("t{n}");
            let named = Some("n");
            spawn_on(&manager, &thread, named, TaskParentContext::default(), deaf).await.unwrap();
        }
    });
    // From here on, what the old process would still write is refused.
    store.reopen()
}

fn orphan_events(manager: &BackgroundTaskManager) -> usize {
    let entries = crate::support::entries(manager.ledger().unwrap());
    let orphaned =
        |action: &Action| matches!(action, Action::Restored { why: Restored::Orphaned { .. } });
    entries.iter().filter(|entry| orphaned(&entry.event.action)).count()
}

/// B1: each running task of a dead process becomes Failed once, with text, time, reason and event;
/// binding again adds nothing; its name is free.
#[test]
fn tasks_of_a_dead_process_become_failed_once() {
    let store = die_with(3);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = ledger_over(&store, 2);
        let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
        let task = manager.get("bg_1").unwrap();
        assert_eq!(task.status, TaskStatus::Failed);
        assert_eq!(task.error.as_deref(), Some("task orphaned: runtime restarted while running"));
        assert_eq!(task.error.as_deref(), Some(ORPHANED));
        assert_eq!(task.completed_at_ms, Some(START.0));
        assert_eq!(manager.view("bg_1").unwrap().unwrap().end, Some(EndReason::Orphaned));
        let (sender, mut inbox) = inbox_channel();
        manager.set_owner_inbox(sender);
        let told = inbox.drain();
        assert_eq!(told.len(), 3);
        let seq = manager.view("bg_0").unwrap().unwrap().terminal_seq.unwrap().get();
        let expected = json!({
            "kind": "failed", "task_id": "bg_0", "error": ORPHANED, "reason": "orphaned", "seq": seq
        });
        assert_eq!(told[0], expected);
        let size = ledger.reader().head().size;
        let again = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
        assert_eq!((ledger.reader().head().size, orphan_events(&again)), (size, 3));
        let (sender, mut inbox) = inbox_channel();
        manager.set_owner_inbox(sender);
        assert!(inbox.drain().is_empty(), "told once");
        let named = spawn_on(&manager, "t0", Some("n"), TaskParentContext::default(), deaf);
        assert_eq!(named.await.unwrap().as_str(), "bg_3", "ids count on");
    });
}

/// B1: the news of more orphans than an inbox holds waits for room.
#[test]
fn the_news_of_many_orphans_waits_for_room() {
    let store = die_with(5);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let manager = BackgroundTaskManager::with_ledger(ledger_over(&store, 2)).await.unwrap();
        let (sender, mut inbox) = inbox_channel_of(2, None);
        manager.set_owner_inbox(sender);
        for n in 0..5 {
            let told = inbox.recv_or_cancel(None).await.unwrap();
            assert_eq!(told["task_id"], format!("bg_{n}"));
        }
    });
}

/// B1: tasks that run elsewhere or were imported are left alone; so is a live manager's.
#[tokio::test]
async fn a_live_task_is_never_declared_an_orphan() {
    let manager = manager().await;
    let ledger = manager.ledger().unwrap().clone();
    let live = spawn(&manager, deaf).await;
    let elsewhere = Spawn::new(thread("main"), "shell");
    let imported = elsewhere.clone().host(Host::Imported);
    ledger.append([elsewhere, imported]).await.unwrap();
    let size = ledger.reader().head().size;
    let second = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
    assert_eq!(ledger.reader().head().size, size);
    assert_eq!(second.list("main").len(), 3);
    assert!(second.list("main").iter().all(|task| task.status == TaskStatus::Running));
    let other = spawn(&second, deaf).await;
    let view = second.view(&other).unwrap().unwrap();
    assert_eq!(view.host, Host::Managed { incarnation: 1, manager: 1 });
    assert!(!second.cancel(&live).await, "it is the other manager's");
    assert!(manager.cancel(&live).await);
}

/// B1: a manager of this process that was dropped is gone as well.
#[tokio::test]
async fn a_dropped_manager_of_this_process_is_gone() {
    let manager = manager().await;
    let ledger = manager.ledger().unwrap().clone();
    let seat = ledger.take_seat();
    let host = seat.host();
    let spawn = Spawn::new(thread("main"), "test").host(host);
    ledger.append(spawn).await.unwrap();
    let bind = async || BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
    assert_eq!(bind().await.get("bg_0").unwrap().status, TaskStatus::Running);
    drop(seat);
    assert_eq!(bind().await.get("bg_0").unwrap().status, TaskStatus::Failed);
}

/// B1: a manager that is dropped while its tasks run is not gone before they are.
#[tokio::test]
async fn dropping_the_handle_leaves_running_tasks_running() {
    let manager = manager().await;
    let ledger = manager.ledger().unwrap().clone();
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    drop(manager);
    let second = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    assert_eq!(status(&second, &id), TaskStatus::Running);
    end.send(TaskResult::Success(json!(1))).unwrap();
    assert_eq!(second.wait(&id).await.unwrap().status, TaskStatus::Completed);
}

/// Construction: a manager is bound once.
#[tokio::test]
async fn a_manager_is_bound_once() {
    let manager = manager().await;
    let again = manager.set_store(crate::support::ledger()).await;
    assert!(matches!(again, Err(BindError::AlreadyBound)));
}

/// B2: after a restart the next id is new.
#[test]
fn after_a_restart_the_next_id_is_new() {
    let mut store = MemStore::new();
    for round in 0..4 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ledger = ledger_over(&store, round);
            let manager = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
            assert_eq!(spawn(&manager, deaf).await.as_str(), format!("bg_{round}"));
        });
        store = store.reopen();
    }
}

/// B2: the last number is given once; after it a spawn is an error, and an id that exists is
/// refused.
#[tokio::test]
async fn numbers_that_are_used_up_are_an_error_and_never_wrap() {
    let manager = manager().await;
    let last = Spawn::new(thread("main"), "shell")
        .task(taskledger::ids::TaskId::new("bg_9007199254740990").unwrap());
    let ledger = manager.ledger().unwrap();
    ledger.append(last.clone()).await.unwrap();
    ledger.append(last).await.unwrap_err();
    assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_9007199254740991");
    let refused = spawn_on(&manager, "main", None, TaskParentContext::default(), deaf).await;
    let text = "no task number below 9007199254740992 is left";
    assert_eq!(refused.unwrap_err().to_string(), text);
}
