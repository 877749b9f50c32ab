//! A sub-agent that is told what to do, starts a task of its own, and reports to its owner.

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
                let order = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
                let Some(order) = order else { return TaskResult::Cancelled };
                // What is spawned here is a child of the agent: nobody has to say so.
                let parent = TaskParentContext::default();
                let chop = inner.spawn("thread-1", "chop", None, "chops", parent, async |_| {
                    TaskResult::Success(json!("chopped"))
                });
                match chop.await {
                    Ok(child) => TaskResult::Success(json!([order.get("payload"), child])),
                    Err(error) => TaskResult::Failed(error.to_string()),
                }
            },
        )
        .await?;

    // Recorded, then delivered: the sender and what became of the message are on the record.
    manager.send_task_inbox_message(&agent, "thread-1", "root", "soup").await?;
    let summary = manager.wait(&agent).await?;
    assert_eq!(summary.result, Some(json!([{ "from": "root", "content": "soup" }, "bg_1"])));
    let tree = manager.task_tree_ids(&agent).ok_or("the agent is on the record")?;
    assert_eq!(tree.len(), 2);
    let event = told.recv_or_cancel(None).await.ok_or("its end is told")?;
    assert!(event.get("seq").is_some(), "with the number of the ledger's event");
    Ok(())
}
