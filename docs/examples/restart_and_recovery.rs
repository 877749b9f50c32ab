//! A process that ends with its task running, and the next one, which finds it.
//!
//! `cargo run --example restart_and_recovery`

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    manager::{ORPHANED, TaskParentContext, TaskStatus, inbox_channel},
    store::MemStore,
};

fn main() -> Result<(), Box<dyn Error>> {
    // In a host this is a directory, and the first process was killed. Here the memory is opened
    // again while the first "process" still holds it, which takes its ledger away from it.
    let store = MemStore::new();
    let first = tokio::runtime::Builder::new_current_thread().build()?;
    let task = first.block_on(async {
        let ledger = Ledger::open_or_create_in(&store, Options::default())?;
        let manager = BackgroundTaskManager::with_ledger(ledger).await?;
        let parent = TaskParentContext::default();
        let pending = |_| std::future::pending();
        let task = manager.spawn("thread-1", "watch", Some("w"), "", parent, pending).await?;
        Ok::<_, Box<dyn Error>>(task)
    })?;

    let second = tokio::runtime::Builder::new_current_thread().build()?;
    second.block_on(async {
        let ledger = Ledger::open_in(&store, Options::default())?;
        // Binding is recovery: each orphan becomes Failed, once.
        let manager = BackgroundTaskManager::with_ledger(ledger).await?;
        let orphan = manager.get(&task).ok_or("it is on the record")?;
        println!("{task} {}: {:?}", orphan.status.as_str(), orphan.error);
        assert_eq!((orphan.status, orphan.error.as_deref()), (TaskStatus::Failed, Some(ORPHANED)));
        let (owner, mut told) = inbox_channel();
        manager.set_owner_inbox(owner);
        let event = told.try_recv().ok_or("the owner is told")?;
        println!("owner: {event}");
        assert_eq!(event.get("reason"), Some(&"orphaned".into()));
        // Its name is free again, and its id is not given twice.
        let parent = TaskParentContext::default();
        let pending = |_| std::future::pending();
        let next = manager.spawn("thread-1", "watch", Some("w"), "", parent, pending).await?;
        assert_ne!(next, task);
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(())
}
