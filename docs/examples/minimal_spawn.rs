//! The least that runs a task: a ledger, a manager, a closure, and its recorded end.

use serde_json::json;
use std::{error::Error, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    manager::{TaskParentContext, TaskResult},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let ledger = Ledger::create(directory.path().join("ledger"), Options::default())?;
    let manager = BackgroundTaskManager::with_ledger(ledger).await?;

    // When `spawn` returns, the task is on the record, and survives loss of power.
    let task = manager
        .spawn("thread-1", "count", Some("counter"), "count pages", TaskParentContext::default(), {
            async |context| {
                context.emit("progress", json!({ "pages": 1 }));
                TaskResult::Success(json!({ "pages": 3 }))
            }
        })
        .await?;

    let summary = manager.wait(&task).await?;
    assert_eq!(summary.status.as_str(), "completed");
    assert_eq!(summary.result, Some(json!({ "pages": 3 })));
    manager.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
