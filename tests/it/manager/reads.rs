//! A19 to A22, B11, B15, B16: what is on the record.

use super::support::*;
use crate::support::{options, thread};
use serde_json::json;
use taskledger::{
    BackgroundTaskManager, Ledger,
    command::{Finish, ParentRef, Spawn, Update},
    event::{Host, TaskStatus},
    manager::{EndReason, TaskParentContext, TaskResult, WaitError},
};

/// A19: `list` is by thread, whatever became of the tasks; `get` finds them in any thread.
#[tokio::test]
async fn list_is_by_thread_and_get_finds_any() {
    let unbound = BackgroundTaskManager::new();
    assert!(unbound.list("main").is_empty() && unbound.get("bg_0").is_none());
    let manager = manager().await;
    let ended = spawn(&manager, succeed).await;
    manager.wait(&ended).await.unwrap();
    let running = spawn(&manager, deaf).await;
    spawn_on(&manager, "other", None, TaskParentContext::default(), deaf).await.unwrap();
    let list: Vec<_> = manager.list("main").into_iter().map(|task| task.task_id).collect();
    assert_eq!(list, [ended.clone(), running]);
    assert!(manager.list("nowhere").is_empty());
    assert_eq!(manager.get(&ended).unwrap(), manager.list("main")[0]);
    assert_eq!(manager.get("bg_2").unwrap().status, TaskStatus::Running);
    assert!(manager.get("bg_3").is_none() && manager.get("").is_none());
}

/// A19: a result that the state does not hold is read from the log.
#[tokio::test]
async fn a_long_result_is_read_from_the_log() {
    let manager = manager().await;
    let long = json!("x".repeat(10_000));
    let result = long.clone();
    let id = spawn(&manager, async move |_| TaskResult::Success(result)).await;
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(long));
}

/// A20: any record of the thread that has not ended, whoever runs it.
#[tokio::test]
async fn has_running_is_about_the_records_of_the_thread() {
    let manager = manager().await;
    assert!(!manager.has_running("main"));
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    assert!(manager.has_running("main") && !manager.has_running("other"));
    end.send(TaskResult::Cancelled).unwrap();
    manager.wait(&id).await.unwrap();
    assert!(!manager.has_running("main"));
    let elsewhere = Spawn::new(thread("other"), "shell");
    manager.ledger().unwrap().append(elsewhere).await.unwrap();
    assert!(manager.has_running("other"));
}

/// A21: pre-order, root first, each once, siblings in creation order.
#[tokio::test]
async fn a_tree_is_given_in_pre_order() {
    let manager = manager().await;
    let root = spawn(&manager, deaf).await;
    let child = async |of| spawn_on(&manager, "b", None, child_of(of), deaf).await.unwrap();
    let first = child(&root).await;
    let second = child(&root).await;
    let below_second = child(&second).await;
    let below_first = child(&first).await;
    let expected = vec![root.clone(), first, below_first, second.clone(), below_second.clone()];
    assert_eq!(manager.task_tree_ids(&root), Some(expected));
    assert_eq!(manager.task_tree_ids(&second), Some(vec![second, below_second]));
    assert_eq!(manager.task_tree_ids("bg_99"), None);
}

/// A22, B11: a running direct child by id or name; an id beats a name; creation order decides.
#[tokio::test]
async fn a_child_is_resolved_by_id_before_name() {
    let manager = manager().await;
    let root = spawn_on(&manager, "main", None, of_run("r"), deaf).await.unwrap();
    let named = async |thread, name, parent| {
        spawn_on(&manager, thread, Some(name), parent, until_cancelled).await.unwrap()
    };
    let first = named("a", "n", child_of(&root)).await;
    named("b", "n", child_of(&root)).await;
    let grandchild = named("c", "deep", child_of(&first)).await;
    let find = |x: &str| manager.resolve_live_child_task(&root, x);
    assert_eq!(find("n"), Some(first.clone()));
    assert_eq!(find(first.as_str()), Some(first.clone()));
    assert_eq!((find("deep"), find(grandchild.as_str())), (None, None), "direct children only");
    manager.cancel(&first).await;
    manager.wait(&first).await.unwrap();
    assert_eq!(find(first.as_str()), None, "running children only");
    assert_eq!(find("n").unwrap().as_str(), "bg_2");
    assert_eq!(manager.resolve_live_child_run("r", root.as_str()), Some(root.clone()));
    let nested = TaskParentContext { run_id: Some("r".into()), ..child_of(&root) };
    let nested = spawn_on(&manager, "main", Some("x"), nested, deaf).await.unwrap();
    assert_eq!(manager.resolve_live_child_run("r", "x"), None, "it has a parent task");
    assert_eq!(find("x"), Some(nested));

    // Another runtime's task may have a name that is the id of a sibling: the id wins.
    let twin = Spawn::new(thread("z"), "shell")
        .name(root.as_str())
        .run(taskledger::ids::RunId::new("r").unwrap());
    let ledger = manager.ledger().unwrap();
    let twin = ledger.append(twin).await.unwrap().remove(0).task.unwrap();
    assert_ne!(twin, root);
    assert_eq!(manager.resolve_live_child_run("r", root.as_str()), Some(root));
}

/// B15: answers come in creation order, also when ids do not sort that way.
#[tokio::test]
async fn answers_come_in_the_order_of_creation() {
    let manager = manager().await;
    let root = spawn(&manager, deaf).await;
    for _ in 0..11 {
        spawn_on(&manager, "main", None, child_of(&root), deaf).await.unwrap();
    }
    let expected: Vec<_> = (0..12).map(|n| format!("bg_{n}")).collect();
    let list: Vec<_> = manager.list("main").iter().map(|task| task.task_id.to_string()).collect();
    let tree: Vec<_> =
        manager.task_tree_ids(&root).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!((&list, &tree), (&expected, &expected));
}

/// B15: a deep tree is walked without recursion.
#[tokio::test]
async fn the_deepest_tree_is_walked() {
    let manager = manager().await;
    let mut at = spawn(&manager, until_cancelled).await;
    let root = at.clone();
    for _ in 1..1_024 {
        at = spawn_on(&manager, "main", None, child_of(&at), until_cancelled).await.unwrap();
    }
    spawn_on(&manager, "main", None, child_of(&at), deaf).await.unwrap_err();
    assert_eq!(manager.task_tree_ids(&root).unwrap().len(), 1_024);
    assert_eq!(manager.cancel_tree(&root).await, 1_024);
    assert_eq!(manager.wait(&at).await.unwrap().status, TaskStatus::Cancelled);
}

/// B16: the full record.
#[tokio::test]
async fn a_view_gives_the_full_record() {
    let manager = manager().await;
    let root = spawn(&manager, deaf).await;
    let parent = TaskParentContext { run_id: Some("r".into()), ..child_of(&root) };
    let id = spawn_on(&manager, "main", Some("n"), parent, until_cancelled).await.unwrap();
    let view = manager.view(&id).unwrap().unwrap();
    assert_eq!((view.owner_thread_id.as_str(), view.name.as_deref()), ("main", Some("n")));
    assert_eq!(view.host, Host::Managed { incarnation: 1, manager: 0 });
    assert_eq!((view.cause.task, view.cause.run.unwrap().as_str()), (Some(root), "r"));
    assert_eq!((view.end, view.cancel, view.terminal_seq), (None, None, None));
    assert_eq!((view.first_seq.get(), view.last_seq.get(), view.events), (3, 3, 1));
    manager.cancel(&id).await;
    manager.wait(&id).await.unwrap();
    let view = manager.view(&id).unwrap().unwrap();
    assert_eq!(view.end, Some(EndReason::Finished));
    assert_eq!(view.cancel.unwrap().seq.get(), 4);
    assert_eq!((view.terminal_seq, view.events), (Some(view.last_seq), 3));
    assert_eq!(manager.view("bg_9").unwrap(), None);
}

/// B16: `wait` ends with the task, also with one that runs elsewhere.
#[tokio::test]
async fn waiting_ends_with_the_task_wherever_it_runs() {
    let manager = manager().await;
    assert!(matches!(manager.wait("bg_0").await, Err(WaitError::TaskNotFound)));
    let unbound = BackgroundTaskManager::new();
    assert!(matches!(unbound.wait("bg_0").await, Err(WaitError::StoreNotConfigured)));
    let ledger = manager.ledger().unwrap();
    let elsewhere = Spawn::new(thread("other"), "shell");
    let id = ledger.append(elsewhere).await.unwrap().remove(0).task.unwrap();
    let finish = Finish::completed(id.clone()).result("3");
    let (ended, finished) = tokio::join!(manager.wait(&id), ledger.append(finish));
    finished.unwrap();
    assert_eq!(ended.unwrap().result, Some(json!(3)));
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Completed, "again, at once");
}

/// B10: an owner never changes by an update, and lineage cannot be made to run in a circle.
#[tokio::test]
async fn an_update_changes_no_owner_and_makes_no_circle() {
    let ledger = Ledger::in_memory(options()).unwrap();
    let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
    let root = spawn(&manager, deaf).await;
    let child = spawn_on(&manager, "b", None, child_of(&root), deaf).await.unwrap();
    let parent = ParentRef::from(child.clone());
    let update = Update::new(root.clone()).parent(parent);
    ledger.append(update).await.unwrap_err();
    assert_eq!(manager.task_tree_ids(&root).unwrap(), [root, child]);
}
