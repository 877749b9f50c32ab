//! A1 to A8: from a request to a running task.

use super::support::*;
use crate::support::ledger;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use taskledger::{
    BackgroundTaskManager,
    event::{Action, Host, TaskStatus},
    ids::ThreadId,
    ledger::AppendError,
    manager::{SpawnError, TaskParentContext, TaskResult, inbox_channel},
};

/// Sets a flag when the closure that holds it is dropped.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A1: the spawn is on the record, and the handle there, before the first statement of the body.
#[tokio::test]
async fn a_task_starts_after_its_spawn_is_acknowledged_and_its_handle_is_there() {
    let manager = manager().await;
    let inner = Arc::clone(&manager);
    let id = spawn(&manager, async move |context| {
        let recorded = inner.get(&context.task_id).is_some_and(|task| !task.status.is_terminal());
        let held = inner.cancel(&context.task_id).await;
        TaskResult::Success(json!([recorded, held, context.is_cancelled()]))
    })
    .await;
    let end = manager.wait(&id).await.unwrap();
    assert_eq!(end.result, Some(json!([true, true, true])));
}

/// A1: a refused spawn drops the closure unrun and leaves nothing.
#[tokio::test]
async fn a_refused_spawn_drops_the_closure_unrun_and_leaves_nothing() {
    let (manager, mut inbox) = told_manager().await;
    let first = spawn_on(&manager, "main", Some("n"), TaskParentContext::default(), deaf);
    first.await.unwrap();
    let before = manager.ledger().unwrap().reader().head();
    let (ran, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (flag, guard) = (Arc::clone(&ran), OnDrop(Arc::clone(&dropped)));
    let refused = spawn_on(&manager, "main", Some("n"), TaskParentContext::default(), {
        async move |_| {
            let _guard = guard;
            flag.store(true, Ordering::SeqCst);
            TaskResult::Cancelled
        }
    })
    .await;
    assert!(matches!(refused, Err(SpawnError::DuplicateName(_))));
    assert!(dropped.load(Ordering::SeqCst), "before the caller is told");
    assert!(!ran.load(Ordering::SeqCst));
    assert_eq!(manager.ledger().unwrap().reader().head(), before);
    assert_eq!(manager.health().live, 1);
    assert!(inbox.drain().is_empty());
}

/// A2: reserved names are refused by exact match, even without a store.
#[tokio::test]
async fn reserved_names_are_refused_even_without_a_store() {
    let manager = Arc::new(BackgroundTaskManager::new());
    for name in ["parent", "self", "all", "broadcast"] {
        let refused =
            spawn_on(&manager, "main", Some(name), TaskParentContext::default(), succeed).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SpawnError::ReservedName(_)));
        assert_eq!(refused.to_string(), format!("'{name}' is a reserved name"));
    }
    manager.set_store(ledger()).await.unwrap();
    let refused = spawn_on(&manager, "main", Some("self"), TaskParentContext::default(), succeed);
    assert!(matches!(refused.await, Err(SpawnError::ReservedName(_))));
    for name in ["Parent", "selfish", "al", "broadcast "] {
        spawn_on(&manager, "main", Some(name), TaskParentContext::default(), deaf).await.unwrap();
    }
}

/// A3: one running task of a name in a thread; free again when it has ended, and elsewhere.
#[tokio::test]
async fn a_name_is_taken_in_its_thread_while_its_task_runs() {
    let manager = manager().await;
    let (end, body) = returning();
    let named = |thread| spawn_on(&manager, thread, Some("n"), TaskParentContext::default(), deaf);
    let first = spawn_on(&manager, "a", Some("n"), TaskParentContext::default(), body);
    let first = first.await.unwrap();
    let refused = named("a").await.unwrap_err();
    assert_eq!(refused.to_string(), "a running task named 'n' already exists");
    assert!(matches!(refused, SpawnError::DuplicateName(name) if &*name == "n"));
    named("b").await.unwrap();
    end.send(TaskResult::Failed("over".into())).unwrap();
    manager.wait(&first).await.unwrap();
    named("a").await.unwrap();
    for _ in 0..2 {
        spawn_on(&manager, "a", None, TaskParentContext::default(), deaf).await.unwrap();
    }
}

/// A4: without a store nothing is spawned, and the text says so.
#[tokio::test]
async fn without_a_store_nothing_is_spawned() {
    let manager = Arc::new(BackgroundTaskManager::new());
    let refused = spawn_on(&manager, "main", None, TaskParentContext::default(), succeed).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, SpawnError::StoreNotConfigured));
    assert_eq!(refused.to_string(), "background task state store is not configured");
}

/// A4: what the ledger refuses is passed on as it is.
#[tokio::test]
async fn a_refused_append_is_passed_on_as_it_is() {
    let manager = manager().await;
    let long = "x".repeat(4 * 1024 + 1);
    let refused =
        manager.spawn("main", "test", None, &long, TaskParentContext::default(), succeed).await;
    let Err(SpawnError::State(error)) = refused else { panic!("{refused:?}") };
    assert!(matches!(error, AppendError::TooLarge { len: 4097, max: 4096, .. }));
    assert_eq!(SpawnError::State(error.clone()).to_string(), error.to_string());
    manager.ledger().unwrap().clone().close_in_test();
    let refused = spawn_on(&manager, "main", None, TaskParentContext::default(), succeed).await;
    assert!(matches!(refused, Err(SpawnError::State(AppendError::Halted))));
}

trait CloseInTest {
    fn close_in_test(self);
}

impl CloseInTest for taskledger::Ledger {
    fn close_in_test(self) {
        std::thread::spawn(move || self.close_blocking().unwrap()).join().unwrap();
    }
}

/// A5: one counter for all threads and both kinds; a refused spawn takes no number.
#[tokio::test]
async fn ids_count_from_zero_over_all_threads_and_kinds() {
    let manager = manager().await;
    let parent = TaskParentContext::default;
    let named = |thread| spawn_on(&manager, thread, Some("n"), parent(), deaf);
    assert_eq!(named("a").await.unwrap().as_str(), "bg_0");
    named("a").await.unwrap_err();
    let agent = manager.spawn_agent("b", None, "", parent(), async |_, _, _| TaskResult::Cancelled);
    assert_eq!(agent.await.unwrap().as_str(), "bg_1");
    assert_eq!(named("c").await.unwrap().as_str(), "bg_2");
}

/// A6: the first record is Running, with the time and the merged lineage, and nothing else.
#[tokio::test]
async fn the_first_record_is_running_and_has_its_lineage() {
    let manager = manager().await;
    let id = spawn_on(&manager, "main", Some("n"), of_run("r1"), deaf).await.unwrap();
    let task = manager.get(&id).unwrap();
    assert_eq!(task.status, TaskStatus::Running);
    assert_eq!((task.error, task.result, task.completed_at_ms), (None, None, None));
    assert_eq!(task.created_at_ms, crate::support::START.0);
    assert_eq!(task.parent_context, of_run("r1"));
    let spawned = entries(&manager).remove(1).event;
    let Action::Upserted { record } = spawned.action else { panic!("{:?}", spawned.action) };
    assert_eq!(record.host, Host::Managed { incarnation: 1, manager: 0 });
    assert_eq!(spawned.thread, Some(ThreadId::new("main").unwrap()));
}

/// A7: `spawn` does not wait for the task, which is another tokio task.
#[tokio::test]
async fn spawn_does_not_wait_for_the_task() {
    let manager = manager().await;
    let here = tokio::task::try_id();
    let (end, body) = returning();
    let waiting = spawn(&manager, body).await;
    let other =
        spawn(&manager, async move |_| TaskResult::Success(json!(tokio::task::try_id() != here)))
            .await;
    assert_eq!(manager.wait(&other).await.unwrap().result, Some(json!(true)));
    assert_eq!(status(&manager, &waiting), TaskStatus::Running);
    end.send(TaskResult::Cancelled).unwrap();
}

/// A8: what a task emits goes to the inbox of its spawn, also after a cancellation.
#[tokio::test]
async fn a_task_emits_to_the_inbox_that_was_set_when_it_was_spawned() {
    let (manager, mut first) = told_manager().await;
    let id = spawn(&manager, async |context| {
        context.clone().cancelled().await;
        let after = context.is_cancelled() && context.emit("progress", json!({ "pct": 50 }));
        TaskResult::Success(json!(after))
    })
    .await;
    let (sender, mut second) = inbox_channel();
    manager.set_owner_inbox(sender);
    assert!(manager.cancel(&id).await);
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!(true)));
    let told = first.drain();
    let progress = json!({
        "kind": "custom", "task_id": "bg_0", "event_type": "progress", "payload": { "pct": 50 }
    });
    assert_eq!(told[0], progress);
    assert_eq!(told[1]["kind"], "completed");
    assert!(second.drain().is_empty(), "a task keeps the inbox that it was spawned with");
}

/// A8: `emit` is false without an inbox, and when nobody reads it.
#[tokio::test]
async fn an_emit_that_nobody_hears_is_false() {
    let manager = manager().await;
    let emit = async |context: taskledger::manager::TaskContext| {
        TaskResult::Success(json!(context.emit("progress", json!(1))))
    };
    let deaf_ears = spawn(&manager, emit).await;
    assert_eq!(manager.wait(&deaf_ears).await.unwrap().result, Some(json!(false)));
    let (sender, receiver) = inbox_channel();
    manager.set_owner_inbox(sender);
    drop(receiver);
    let closed = spawn(&manager, emit).await;
    assert_eq!(manager.wait(&closed).await.unwrap().result, Some(json!(false)));
}

/// B6: outside of a runtime nothing is written.
#[test]
fn outside_of_a_runtime_nothing_is_written() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let manager = runtime.block_on(manager());
    let mut spawning =
        Box::pin(spawn_on(&manager, "main", None, TaskParentContext::default(), succeed));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(refused) = spawning.as_mut().poll(&mut context) else {
        panic!("it has nothing to wait for")
    };
    assert!(matches!(refused, Err(SpawnError::NoRuntime)));
    assert_eq!(manager.ledger().unwrap().reader().head().size, 0);
}

/// B6: dropped at any await, a spawn leaves either no task, or one that can be cancelled.
#[tokio::test]
async fn a_spawn_that_is_dropped_at_any_await_leaves_no_task_or_one_that_can_be_cancelled() {
    for polls in 0..6 {
        let manager = manager().await;
        let mut spawning = Box::pin(spawn_on(
            &manager,
            "main",
            None,
            TaskParentContext::default(),
            until_cancelled,
        ));
        for _ in 0..polls {
            let poll = std::future::poll_fn(|context| {
                std::task::Poll::Ready(spawning.as_mut().poll(context).is_ready())
            });
            if poll.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(spawning);
        if polls == 0 {
            assert!(manager.list("main").is_empty());
            continue;
        }
        until(|| !manager.list("main").is_empty()).await;
        let id = manager.list("main")[0].task_id.clone();
        until(|| manager.health().live == 1).await;
        assert!(manager.cancel(&id).await, "after {polls} polls");
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
    }
}

/// A limit on the tasks that run at once, and its text.
#[tokio::test]
async fn too_many_tasks_are_refused_until_one_ends() {
    let limits = taskledger::manager::ManagerOptions { tasks_max: 1, ..Default::default() };
    let manager = manager_with(limits).await;
    let (end, body) = returning();
    let first = spawn(&manager, body).await;
    let second = || spawn_on(&manager, "main", None, TaskParentContext::default(), succeed);
    let refused = second().await.unwrap_err();
    assert_eq!(refused.to_string(), "1 tasks are running already");
    end.send(TaskResult::Cancelled).unwrap();
    manager.wait(&first).await.unwrap();
    second().await.expect("its place is free once its end was waited for");
}
