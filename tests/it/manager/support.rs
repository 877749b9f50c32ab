//! Managers over ledgers in memory, tasks that wait for a sign, and inboxes that are read.

use crate::support::options;
use serde_json::Value;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger,
    event::{Entry, TaskStatus},
    ids::{LedgerId, TaskId},
    manager::{
        InboxReceiver, ManagerOptions, SpawnError, TaskContext, TaskParentContext, TaskResult,
        inbox_channel,
    },
    store::{MemStore, faulty::FaultyDisk},
    time::SeededEntropy,
};
use tokio::sync::oneshot;

pub(crate) type Manager = Arc<BackgroundTaskManager>;

pub(crate) async fn manager() -> Manager {
    BackgroundTaskManager::with_ledger(Ledger::in_memory(options()).unwrap()).await.unwrap()
}

pub(crate) async fn manager_with(limits: ManagerOptions) -> Manager {
    let manager = Arc::new(BackgroundTaskManager::with_options(limits));
    manager.set_store(Ledger::in_memory(options()).unwrap()).await.unwrap();
    manager
}

/// A manager, and the inbox that its tasks tell.
pub(crate) async fn told_manager() -> (Manager, InboxReceiver) {
    let manager = manager().await;
    let (sender, receiver) = inbox_channel();
    manager.set_owner_inbox(sender);
    (manager, receiver)
}

/// A ledger with its own id, over memory that can be opened again.
pub(crate) fn ledger_over(store: &MemStore, seed: u64) -> Ledger {
    let entropy = Arc::new(SeededEntropy::new(seed));
    Ledger::open_or_create_in(store, options().entropy(entropy)).unwrap()
}

/// A ledger on a device that can fail.
pub(crate) fn ledger_on(disk: &FaultyDisk) -> Ledger {
    let store = Arc::new(disk.open().unwrap());
    Ledger::over_store(store.clone(), store, LedgerId([9; 16]), options()).unwrap()
}

/// A task on a thread of its own, that nobody named.
pub(crate) async fn spawn<F, Fut>(manager: &Manager, task_fn: F) -> TaskId
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    spawn_on(manager, "main", None, TaskParentContext::default(), task_fn).await.unwrap()
}

pub(crate) async fn spawn_on<F, Fut>(
    manager: &Manager,
    thread: &str,
    name: Option<&str>,
    parent: TaskParentContext,
    task_fn: F,
) -> Result<TaskId, SpawnError>
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    manager.spawn(thread, "test", name, "what it is for", parent, task_fn).await
}

/// A task that runs until it is asked to stop.
pub(crate) async fn until_cancelled(context: TaskContext) -> TaskResult {
    context.cancelled().await;
    TaskResult::Cancelled
}

/// A task that never looks at its token.
pub(crate) async fn deaf(_context: TaskContext) -> TaskResult {
    std::future::pending().await
}

pub(crate) async fn succeed(_context: TaskContext) -> TaskResult {
    TaskResult::Success(Value::from("done"))
}

pub(crate) type Boxed = Pin<Box<dyn Future<Output = TaskResult> + Send>>;
pub(crate) type Start = Box<dyn FnOnce(TaskContext) -> Boxed + Send>;

/// A task that returns what it is sent.
pub(crate) fn returning() -> (oneshot::Sender<TaskResult>, Start) {
    let (send, receive) = oneshot::channel();
    let body = async move { receive.await.unwrap_or(TaskResult::Cancelled) };
    (send, Box::new(move |_context| Box::pin(body)))
}

pub(crate) fn child_of(id: &TaskId) -> TaskParentContext {
    TaskParentContext { task_id: Some(id.to_string()), ..TaskParentContext::default() }
}

pub(crate) fn of_run(run: &str) -> TaskParentContext {
    TaskParentContext { run_id: Some(run.to_owned()), ..TaskParentContext::default() }
}

pub(crate) fn status(manager: &Manager, id: &TaskId) -> TaskStatus {
    manager.get(id).unwrap().status
}

/// What an inbox holds of one kind.
pub(crate) fn of_kind(messages: &[Value], kind: &str) -> Vec<Value> {
    messages.iter().filter(|message| message["kind"] == kind).cloned().collect()
}

pub(crate) fn entries(manager: &Manager) -> Vec<Entry> {
    crate::support::entries(manager.ledger().unwrap())
}

/// Lets everything run that can, until `done`.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "it never happened");
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

/// Paused time stands still while this is there. Without it, a runtime that waits for the writer's
/// thread takes itself for idle, and jumps to the next deadline.
pub(crate) struct Standstill(std::sync::mpsc::Sender<()>);

pub(crate) fn standstill() -> Standstill {
    let (held, dropped) = std::sync::mpsc::channel();
    drop(tokio::task::spawn_blocking(move || dropped.recv()));
    Standstill(held)
}

impl Drop for Standstill {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
