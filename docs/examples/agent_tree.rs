//! A tree of agents: one spawns another, the tree is cancelled, and after a crash the next manager
//! finds what was running and says so.
//!
//! `cargo run --example agent_tree`

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "an example may stop at the first surprise"
)]
#![allow(clippy::print_stdout, reason = "an example")]

use serde_json::json;
use std::{error::Error, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    command::Spawn,
    ids::ThreadId,
    manager::{TaskParentContext, TaskResult, TaskStatus, inbox_channel},
};

const THREAD: &str = "session-1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger");
    let ledger = Ledger::create(&path, Options::default())?;
    let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await?;

    // What a task spawns is below it: the manager knows which task the calling code belongs to.
    let spawner = manager.clone();
    let root = manager
        .spawn_agent(THREAD, Some("planner"), "", TaskParentContext::default(), {
            async move |cancel, _sender, mut inbox| {
                let parent = TaskParentContext::default();
                let child = spawner.spawn(THREAD, "step", None, "", parent, async |context| {
                    context.cancelled().await;
                    TaskResult::Cancelled
                });
                if let Err(error) = child.await {
                    return TaskResult::Failed(error.to_string());
                }
                while let Some(message) = inbox.recv_or_cancel(Some(&cancel)).await {
                    println!("{message}");
                }
                TaskResult::Cancelled
            }
        })
        .await?;
    while manager.task_tree_ids(&root).is_none_or(|tree| tree.len() < 2) {
        tokio::task::yield_now().await;
    }
    manager.send_task_inbox_message(&root, THREAD, "user", "hurry up").await?;

    // The root and all below it, now and later; nothing can be spawned there from here on.
    assert_eq!(manager.cancel_tree(&root).await, 2);
    for task in manager.task_tree_ids(&root).unwrap_or_default() {
        assert_eq!(manager.wait(&task).await?.status, TaskStatus::Cancelled);
    }

    // A crash: a task that a manager ran is on the record, and the manager is gone.
    let host = ledger.take_seat().host();
    let left = Spawn::new(ThreadId::new(THREAD)?, "step").host(host);
    let left = ledger.append(left).await?.remove(0).task.ok_or("a spawn has a task")?;
    manager.shutdown(Duration::from_secs(1)).await?;

    let manager = BackgroundTaskManager::new();
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    manager.set_store(Ledger::open(&path, Options::default())?).await?;
    let news = inbox.recv_or_cancel(None).await.ok_or("the owner is told")?;
    assert_eq!((&news["task_id"], &news["reason"]), (&json!(left), &json!("orphaned")));
    assert_eq!(manager.get(&left).map(|task| task.status), Some(TaskStatus::Failed));
    Ok(())
}
