//! Looking back from inside the host: what the tree looked like before a task failed, and why it
//! was there.
//!
//! `cargo run --example time_travel`

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    ids::ThreadId,
    manager::{TaskParentContext, TaskResult, TaskStatus},
    query::{Position, Scope, as_of, why},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::in_memory(Options::default())?;
    let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await?;
    let lineage = TaskParentContext { run_id: Some("run-7".into()), ..Default::default() };
    let task = manager
        .spawn("thread-1", "build", None, "", lineage, async |_| TaskResult::Failed("red".into()))
        .await?;
    manager.wait(&task).await?;

    let reader = ledger.reader();
    let view = manager.view(&task)?.ok_or("it is on the record")?;
    let end = view.terminal_seq.ok_or("it has ended")?;
    let thread = ThreadId::new("thread-1")?;

    // After the event before its end, it was running; nothing is executed again to know that.
    let before = as_of(&reader, Scope::Thread(&thread), Position::before(end))?;
    assert_eq!(before.state.task(&task).map(|task| task.status), Some(TaskStatus::Running));
    let after = as_of(&reader, Scope::Thread(&thread), Position::after(end))?;
    assert_eq!(after.state.task(&task).map(|task| task.status), Some(TaskStatus::Failed));

    // Who spawned it, up to the root, each link with the event that is its evidence.
    let chain = why(&reader, &task, Position::Log(reader.head().size))?;
    for link in &chain.links {
        println!("{} by {:?}, event {}", link.task.id, link.task.record.run, link.linked);
    }
    assert_eq!(chain.links.len(), 1);
    assert_eq!(view.summary.parent_context.run_id.as_deref(), Some("run-7"));
    Ok(())
}
