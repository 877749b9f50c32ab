//! What a manager holds of tasks that have ended: nothing.
//!
//! The ledger's own state grows with every task, by design. So the manager is dropped while its
//! ledger stays: the heap that this frees is all that it held. Then the ledger is dropped too, and
//! what is left was forgotten by somebody. A binary of its own, since its allocator counts.
//!
//! 20,000 tasks; `TASKLEDGER_MEMORY_TASKS=1000000` for more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs, reason = "tests")]

use peak_alloc::PeakAlloc;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    ids::LedgerId,
    manager::{
        AgentTaskContext, CancelOptions, Health, TaskContext, TaskParentContext, TaskResult,
        inbox_channel,
    },
    store::MemStore,
    time::{ManualClock, Millis},
};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Tasks that run at once.
const AT_ONCE: usize = 250;

/// Heap in bytes that a manager without tasks may hold, however many it had: its maps, its inbox,
/// and after a shutdown the events that the views of the newest 1,024 tasks show, 2 KB each.
const HELD_BYTES_MAX: usize = 3 << 20;

/// Heap in bytes that threads, the runtime and the standard library may keep for themselves.
const KEPT_BYTES_MAX: usize = 512 << 10;

type Manager = Arc<BackgroundTaskManager>;

/// B7: handles, senders and joined tasks go at the end of each task; memory is flat.
#[test]
fn what_a_manager_holds_does_not_grow_with_the_tasks_that_have_ended() {
    let tasks = std::env::var("TASKLEDGER_MEMORY_TASKS");
    let tasks: usize = tasks.map_or(20_000, |tasks| tasks.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(&MemStore::new(), AT_ONCE * 4)); // what is made once, is made
    let before = HEAP.current_usage();

    let store = MemStore::new();
    let manager = runtime.block_on(work(&store, tasks));
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "every tokio task was joined");
    assert_eq!(Arc::strong_count(&manager), 1, "no task holds the manager");
    assert_eq!(manager.health(), Health::default(), "no handle is held");

    let ledger = manager.ledger().unwrap().clone();
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), tasks);
    let with_manager = HEAP.current_usage();
    drop(manager);
    let without = HEAP.current_usage();
    drop((ledger, store));
    let after = HEAP.current_usage();
    let (held, left) = (with_manager - without, after.saturating_sub(before));
    let ledgers = without - after;
    eprintln!("{tasks} tasks: {ledgers} bytes of ledger, {held} of the manager, {left} of nobody");
    assert!(held < HELD_BYTES_MAX, "{held} bytes are held of tasks that have ended");
    assert!(left < KEPT_BYTES_MAX, "{left} bytes were forgotten");
}

fn ledger(store: &MemStore) -> Ledger {
    let clock = Arc::new(ManualClock::at(Millis(1)));
    let (log, snapshots) = (Arc::new(store.clone()), Arc::new(store.clone()));
    let options = Options::default().clock(clock).snapshots_kept(1);
    Ledger::over_store(log, snapshots, LedgerId([9; 16]), options).unwrap()
}

/// Runs so many tasks, of every kind, and shuts the manager down.
async fn work(store: &MemStore, tasks: usize) -> Manager {
    let manager = BackgroundTaskManager::with_ledger(ledger(store)).await.unwrap();
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    for first in (0..tasks).step_by(AT_ONCE) {
        for number in first..(first + AT_ONCE).min(tasks) {
            one(&manager, number).await;
        }
        while manager.health().live > 0 {
            tokio::task::yield_now().await;
            inbox.drain();
        }
        inbox.drain();
    }
    let report = manager.shutdown(Duration::from_mins(1)).await.unwrap();
    assert_eq!(report.aborted, 0);
    manager
}

async fn one(manager: &Manager, number: usize) {
    let (thread, name) = (format!("t{}", number % 100), format!("n{number}"));
    let parent = TaskParentContext { run_id: Some("r".into()), ..TaskParentContext::default() };
    if number.is_multiple_of(5) {
        let reads = async |mut agent: AgentTaskContext| {
            let message = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
            message.map_or(TaskResult::Cancelled, |_| TaskResult::Success(json!("read")))
        };
        let agent = manager.spawn_agent_with_context(&thread, Some(&name), "", parent, reads).await;
        let agent = agent.unwrap();
        manager.send_task_inbox_message(&agent, &thread, "root", "go").await.unwrap();
        return;
    }
    let body = async move |context: TaskContext| {
        context.emit("progress", json!(1));
        match number % 5 {
            1 => TaskResult::Failed("no".into()),
            2 => {
                context.cancelled().await;
                TaskResult::Cancelled
            }
            _ => TaskResult::Success(json!({ "pages": 3 })),
        }
    };
    let id = manager.spawn(&thread, "test", Some(&name), "", parent, body).await.unwrap();
    if number % 5 == 2 {
        let deadline = Some(Duration::from_hours(1));
        assert!(manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await);
    }
}
