//! The least that runs a task: a ledger, a manager, a closure, and its recorded end.
//!
//! `cargo run --example minimal_spawn`

#![allow(clippy::print_stdout, reason = "an example")]

use serde_json::json;
use std::{error::Error, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    manager::{TaskParentContext, TaskResult},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A host says `open_or_create` and a directory of its own, and keeps it open: one process has a
    // ledger. In tests, `Ledger::in_memory` is the same without files.
    let directory = tempfile::tempdir()?;
    let ledger = Ledger::open_or_create(directory.path().join("ledger"), Options::default())?;
    let manager = BackgroundTaskManager::with_ledger(ledger).await?;

    // Nothing is said of where the task comes from; if a task spawned it, that would be filled in.
    let parent = TaskParentContext::default();
    let (thread, kind, name) = ("thread-1", "count", Some("counter"));
    let task = manager
        .spawn(thread, kind, name, "count the pages", parent, async |context| {
            println!("{} runs", context.task_id);
            TaskResult::Success(json!({ "pages": 3 }))
        })
        .await?;
    // Now the task is on the record, and survives loss of power. It may run or have ended.

    let summary = manager.wait(&task).await?;
    println!("{task} {}: {:?}", summary.status.as_str(), summary.result);
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!(summary.result, Some(json!({ "pages": 3 })));

    // Asks what still runs to stop, gives it five seconds, and closes the ledger.
    manager.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
