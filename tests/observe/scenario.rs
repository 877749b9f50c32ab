//! Everything that a manager can meet, with texts that nobody but its users may see.

use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    command::{Finish, Spawn},
    ids::{LedgerId, TaskId, ThreadId},
    manager::{
        AgentTaskContext, CancelOptions, InboxReceiver, SpawnError, TaskContext, TaskParentContext,
        TaskResult, inbox_channel_of,
    },
    store::faulty::{Call, Effect, Fault, FaultyDisk},
};

/// What tasks say, and what is said to them.
pub(crate) const SECRETS: [&str; 10] = [
    "hush-name",
    "hush-description",
    "hush-result",
    "hush-error",
    "hush-payload",
    "hush-message",
    "hush-reason",
    "hush-panic",
    "hush-sender",
    "hush-type",
];

type Manager = Arc<BackgroundTaskManager>;

pub(crate) async fn everything() {
    let disk = FaultyDisk::new(1);
    let (manager, mut inbox) = manager_on(&disk).await;
    orphan(&manager).await;
    every_end(&manager, &mut inbox).await;
    every_refusal(&manager).await;
    cancels(&manager).await;
    messages(&manager).await;
    second_outcome(&manager).await;
    a_full_disk(&manager, &disk).await;
    let grace = Duration::from_millis(1);
    spawn(&manager, deaf).await;
    manager.shutdown(grace).await.unwrap();

    let disk = FaultyDisk::new(2);
    let (manager, _inbox) = manager_on(&disk).await;
    a_broken_disk(&manager, &disk).await;
}

async fn manager_on(disk: &FaultyDisk) -> (Manager, InboxReceiver) {
    let store = Arc::new(disk.open().unwrap());
    let ledger =
        Ledger::over_store(store.clone(), store, LedgerId([9; 16]), Options::default()).unwrap();
    let manager = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    let (sender, receiver) = inbox_channel_of(64, None);
    manager.set_owner_inbox(sender);
    (manager, receiver)
}

async fn try_spawn<F, Fut>(manager: &Manager, name: &str, body: F) -> Result<TaskId, SpawnError>
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let parent = TaskParentContext::default();
    manager.spawn("main", "hush-type", Some(name), "hush-description", parent, body).await
}

async fn spawn<F, Fut>(manager: &Manager, body: F) -> TaskId
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let parent = TaskParentContext::default();
    manager.spawn("main", "hush-type", None, "hush-description", parent, body).await.unwrap()
}

async fn deaf(_context: TaskContext) -> TaskResult {
    std::future::pending().await
}

/// A manager that is gone has left a task behind.
async fn orphan(manager: &Manager) {
    let ledger = manager.ledger().unwrap();
    let host = ledger.take_seat().host();
    let left = Spawn::new(ThreadId::new("main").unwrap(), "hush-type").host(host);
    ledger.append(left).await.unwrap();
    drop(BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap());
}

async fn every_end(manager: &Manager, inbox: &mut InboxReceiver) {
    let ends: [fn() -> TaskResult; 4] = [
        || TaskResult::Success(json!("hush-result")),
        || TaskResult::Failed("hush-error".into()),
        || TaskResult::Cancelled,
        || panic!("hush-panic"),
    ];
    for end in ends {
        let id = spawn(manager, async move |context| {
            assert!(context.emit("hush-type", json!("hush-payload")));
            context.record("hush-type", json!("hush-payload")).await.unwrap();
            end()
        })
        .await;
        drop(manager.wait(&id).await.unwrap());
    }
    assert!(!inbox.drain().is_empty());
    let chatty = spawn(manager, async |context| {
        assert!(!context.emit("hush-type", json!("hush-payload".repeat(100_000))));
        while context.emit("hush-type", json!("hush-payload")) {}
        TaskResult::Cancelled
    })
    .await;
    manager.wait(&chatty).await.unwrap();
    inbox.drain();
}

async fn every_refusal(manager: &Manager) {
    let id = try_spawn(manager, "hush-name", async |context: TaskContext| {
        context.cancelled().await;
        TaskResult::Cancelled
    })
    .await
    .unwrap();
    for name in ["hush-name", "self"] {
        try_spawn(manager, name, deaf).await.unwrap_err();
    }
    let (parent, long) = (TaskParentContext::default(), "hush-description".repeat(300));
    manager.spawn("main", "hush-type", None, &long, parent, deaf).await.unwrap_err();
    manager.cancel(&id).await;
    manager.wait(&id).await.unwrap();
}

async fn cancels(manager: &Manager) {
    let id = spawn(manager, deaf).await;
    let deadline = Some(Duration::from_millis(1));
    let options = CancelOptions { reason: Some("hush-reason".into()), deadline };
    assert!(manager.cancel_with(&id, options).await);
    manager.wait(&id).await.unwrap();
    let root = spawn(manager, async |context| {
        context.cancelled().await;
        TaskResult::Failed("hush-error".into())
    })
    .await;
    assert_eq!(manager.cancel_tree(&root).await, 1);
    manager.wait(&root).await.unwrap();
}

async fn messages(manager: &Manager) {
    let reads = async |mut agent: AgentTaskContext| {
        let message = agent.inbox_receiver.recv_or_cancel(None).await;
        TaskResult::Success(message.unwrap_or(Value::Null))
    };
    let parent = TaskParentContext::default();
    let agent =
        manager.spawn_agent_with_context("main", None, "hush-description", parent, reads).await;
    let agent = agent.unwrap();
    manager.send_task_inbox_message(&agent, "main", "hush-sender", "hush-message").await.unwrap();
    manager.wait(&agent).await.unwrap();
    let late = manager.send_task_inbox_message(&agent, "main", "hush-sender", "hush-message").await;
    late.unwrap_err();
}

async fn second_outcome(manager: &Manager) {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let id = spawn(manager, async move |_| {
        gone.await.unwrap();
        TaskResult::Success(json!("hush-result"))
    })
    .await;
    let first = Finish::failed(id.clone(), "hush-error");
    manager.ledger().unwrap().append(first).await.unwrap();
    go.send(()).unwrap();
    manager.wait(&id).await.unwrap();
}

/// An end and a request that the disk has no room for, for some time.
async fn a_full_disk(manager: &Manager, disk: &FaultyDisk) {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let ends = spawn(manager, async move |_| {
        gone.await.unwrap();
        TaskResult::Success(json!("hush-result"))
    })
    .await;
    let cancelled = spawn(manager, async |context| {
        context.cancelled().await;
        std::future::pending().await
    })
    .await;
    disk.set_bytes_max(Some(disk.bytes()));
    go.send(()).unwrap();
    while !manager.health().degraded {
        tokio::task::yield_now().await;
    }
    let options = CancelOptions { reason: Some("hush-reason".into()), deadline: None };
    assert!(manager.cancel_with(&cancelled, options).await);
    disk.set_bytes_max(None);
    manager.wait(&ends).await.unwrap();
}

/// An end that will never be recorded here.
async fn a_broken_disk(manager: &Manager, disk: &FaultyDisk) {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let id = spawn(manager, async move |_| {
        gone.await.unwrap();
        TaskResult::Failed("hush-error".into())
    })
    .await;
    disk.fail(Fault { call: Call::Any, after: 0, effect: Effect::FailsForGood });
    go.send(()).unwrap();
    manager.wait(&id).await.unwrap_err();
}
