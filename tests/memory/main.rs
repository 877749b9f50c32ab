//! What a manager holds of tasks that have ended: nothing.
//!
//! The ledger's own state grows with every task, by design. So what is counted is the heap of a
//! ledger with a manager that has run many tasks, less the heap of the same events folded by a
//! ledger that never had one. What is left is the manager's. Then all of it is dropped, and nothing
//! may be left of anything. A binary of its own, since its allocator counts.
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

/// Heap in bytes that threads, the runtime and the standard library may keep for themselves.
const KEPT_BYTES_MAX: usize = 512 << 10;

/// Heap in bytes of each task that two folds of the same events may differ by: the shape of a hash
/// table depends on its keys, which are random. A forgotten handle has ten times as many.
const SPREAD_BYTES_MAX: usize = 64;

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
    let with_manager = HEAP.current_usage() - before;
    drop(manager);
    let frames = HEAP.current_usage() - before;

    let folded = ledger(&store.reopen());
    let state = HEAP.current_usage() - before - frames;
    assert_eq!(folded.reader().state().tasks_len(), tasks);
    let manager = with_manager.saturating_sub(frames + state);
    eprintln!(
        "{tasks} tasks: {state} bytes of state, {frames} bytes of frames and snapshots, \
         {manager} bytes more with a manager"
    );
    assert!(manager < KEPT_BYTES_MAX + tasks * SPREAD_BYTES_MAX, "{manager} bytes");
    folded.close_blocking().unwrap();
    drop((folded, store));
    let left = HEAP.current_usage().saturating_sub(before);
    assert!(left < KEPT_BYTES_MAX, "{left} bytes are left of nothing");
}

fn ledger(store: &MemStore) -> Ledger {
    let clock = Arc::new(ManualClock::at(Millis(1)));
    let (log, snapshots) = (Arc::new(store.clone()), Arc::new(store.clone()));
    let options = Options { clock, snapshots_kept: 1, ..Options::default() };
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
