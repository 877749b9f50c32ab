//! A sub-agent that is told what to do, starts a task of its own, and reports to its owner.
//!
//! `cargo run --example agent_with_inbox`

#![allow(clippy::print_stdout, reason = "an example")]

use serde_json::json;
use std::{error::Error, sync::Arc};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    manager::{TaskParentContext, TaskResult, inbox_channel},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let manager =
        BackgroundTaskManager::with_ledger(Ledger::in_memory(Options::default())?).await?;
    // Where the ends and the progress of tasks are told that are spawned from now on.
    let (owner, mut told) = inbox_channel();
    manager.set_owner_inbox(owner);

    let inner = Arc::clone(&manager);
    let agent = manager
        .spawn_agent_with_context(
            "thread-1",
            Some("cook"),
            "cooks what it is told",
            TaskParentContext::default(),
            async move |mut agent| {
                // `None` once it is asked to stop; what is cooperative has to look.
                let order = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
                let Some(order) = order else { return TaskResult::Cancelled };
                println!("told: {order}");
                // What is spawned here is a child of the agent: nobody has to say so.
                let parent = TaskParentContext::default();
                let chop = inner.spawn("thread-1", "chop", None, "chops", parent, async |_| {
                    TaskResult::Success(json!("chopped"))
                });
                let child = match chop.await {
                    Ok(child) => child,
                    Err(refused) => return TaskResult::Failed(refused.to_string()),
                };
                match inner.wait(&child).await {
                    Ok(chopped) => TaskResult::Success(json!({
                        "order": order.pointer("/payload/content"),
                        "vegetables": chopped.result,
                    })),
                    Err(lost) => TaskResult::Failed(lost.to_string()),
                }
            },
        )
        .await?;

    // Recorded, then delivered: the sender and what became of the message are on the record. The
    // name of the sender is the caller's word, and so is the thread, which must own the agent.
    manager.send_task_inbox_message(&agent, "thread-1", "root", "soup").await?;
    let summary = manager.wait(&agent).await?;
    println!("{agent}: {:?}", summary.result);
    assert_eq!(summary.result, Some(json!({ "order": "soup", "vegetables": "chopped" })));
    let tree = manager.task_tree_ids(&agent).ok_or("the agent is on the record")?;
    assert_eq!(tree.len(), 2);
    // The child's end, then the agent's, each with the number of the ledger's event: after a
    // restart, an owner can tell what it has seen.
    while let Some(event) = told.try_recv() {
        println!("owner: {event}");
        assert!(event.get("seq").is_some());
    }
    Ok(())
}
