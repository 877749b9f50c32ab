//! A task that does not listen: asked to stop with a reason, given time, and then dropped.
//!
//! `cargo run --example cancel_with_deadline`

#![allow(clippy::print_stdout, reason = "an example")]

use std::{error::Error, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    manager::{CancelOptions, TaskParentContext, TaskStatus},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let manager =
        BackgroundTaskManager::with_ledger(Ledger::in_memory(Options::default())?).await?;
    let task = manager
        .spawn("thread-1", "watch", None, "never looks up", TaskParentContext::default(), |_| {
            // One that listens would wait for `context.cancelled()` and return `Cancelled`.
            std::future::pending()
        })
        .await?;

    let options = CancelOptions {
        reason: Some("the user went home".into()),
        deadline: Some(Duration::from_millis(10)),
    };
    // Signals and records; whether and how it ends is another matter.
    assert!(manager.cancel_with(&task, options).await);

    let summary = manager.wait(&task).await?;
    assert_eq!(summary.status, TaskStatus::Cancelled);
    assert_eq!(summary.error.as_deref(), Some("did not stop within 10ms"));
    // Who asked, when and why stays on the record, beside how it ended.
    let view = manager.view(&task)?.ok_or("the task is on the record")?;
    let reason = view.cancel.and_then(|request| request.reason);
    println!("{}: {:?}, because {reason:?}", summary.status.as_str(), summary.error);
    assert_eq!(reason.as_deref(), Some("the user went home"));
    Ok(())
}
