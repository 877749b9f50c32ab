//! Following a ledger live: everything so far, a sign that this was all, then what comes.
//!
//! `cargo run --example follow_events`

#![allow(clippy::print_stdout, reason = "an example")]

use serde_json::json;
use std::error::Error;
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    event::Action,
    ids::Head,
    ledger::Followed,
    manager::{TaskParentContext, TaskResult},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::in_memory(Options::default())?;
    let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await?;
    // From the beginning. A follower that comes again gives the head up to which it has seen all,
    // `follow.resume_token()`, and is refused if that is of another history.
    let mut follow = ledger.follow(Head::EMPTY)?;

    let parent = TaskParentContext::default();
    let task = manager
        .spawn("thread-1", "step", None, "", parent, async |context| {
            // Recorded progress is an event like any other; an `emit` goes to the inbox alone.
            match context.record("progress", json!({ "pct": 50 })).await {
                Ok(_) => TaskResult::Success(json!("done")),
                Err(error) => TaskResult::Failed(error.to_string()),
            }
        })
        .await?;

    // Each event exactly once, in order, and only when it survives loss of power.
    let mut seen = Vec::new();
    while let Some(followed) = follow.next().await? {
        let Followed::Event(entry) = followed else { continue };
        println!("{} {:?}", entry.event.seq, entry.event.action);
        seen.push(entry.event.action.as_str());
        if matches!(entry.event.action, Action::Terminated { .. }) {
            break;
        }
    }
    assert_eq!(seen, ["began", "upserted", "emitted", "terminated"]);
    manager.wait(&task).await?;
    Ok(())
}
