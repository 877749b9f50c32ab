//! The tasks that are there before anything is measured: the same in both designs.

use super::older::{Meta, Older};
use anyhow::Result;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use taskledger::{
    BackgroundTaskManager, Durability, Ledger, Options,
    command::{Command, Finish, Proposal, Spawn},
    event::{Host, TaskStatus},
    ids::{AgentId, CallId, RunId, TaskId, ThreadId},
    manager::{ManagerOptions, TaskParentContext},
};

/// Threads that the tasks of old belong to.
const THREADS: usize = 100;

/// A manager at a new ledger with so many tasks that have ended.
pub(crate) async fn manager(
    path: &Path,
    durability: Durability,
    tasks: usize,
) -> Result<Arc<BackgroundTaskManager>> {
    let ledger = Ledger::create(path, Options::default().durability(durability))?;
    let manager = Arc::new(BackgroundTaskManager::with_options(ManagerOptions::default()));
    manager.set_store(ledger.clone()).await?;
    let mut batch: Vec<Proposal> = Vec::new();
    for number in 0..tasks {
        let old = Old::new(number);
        batch.push(Command::Spawn(old.spawn()?).into());
        batch.push(Command::Finish(old.finish()?).into());
        if batch.len() >= 1_000 || number + 1 == tasks {
            ledger.append(std::mem::take(&mut batch)).await?;
        }
    }
    // What is measured later pays for itself, not for the filling.
    let filled = ledger.clone();
    tokio::task::spawn_blocking(move || filled.flush_blocking()).await??;
    Ok(manager)
}

/// The same tasks in the older design.
pub(crate) fn older(tasks: usize) -> Older {
    let older = Older::default();
    (0..tasks).for_each(|number| older.insert(Old::new(number).meta()));
    older
}

/// A task of old.
struct Old {
    id: String,
    thread: String,
    name: String,
    description: String,
    run: String,
    call: String,
    result: Value,
}

impl Old {
    fn new(number: usize) -> Self {
        Self {
            id: format!("old_{number:08}"),
            thread: format!("session-{:08x}-4b6b-49c3-8c89", number % THREADS),
            name: format!("general-purpose-{number}"),
            description: format!("Read chapter {number} and list what it promises its readers"),
            run: format!("run-{:08x}", number % (THREADS * 10)),
            call: format!("call_{number:016x}"),
            result: json!({
                "pages": number % 300,
                "promises": ["a faster start", "fewer surprises"],
                "confidence": 0.5,
            }),
        }
    }

    fn spawn(&self) -> Result<Spawn> {
        Ok(Spawn::new(ThreadId::new(&*self.thread)?, "sub_agent")
            .task(TaskId::new(&*self.id)?)
            .name(self.name.as_str())
            .description(self.description.as_str())
            .run(RunId::new(&*self.run)?)
            .call(CallId::new(&*self.call)?)
            .agent(AgentId::new("planner")?)
            .host(Host::External))
    }

    fn finish(&self) -> Result<Finish> {
        Ok(Finish::completed(TaskId::new(&*self.id)?).result(self.result.to_string()))
    }

    fn meta(self) -> Meta {
        Meta {
            task_id: self.id,
            owner_thread_id: self.thread,
            task_type: "sub_agent".to_owned(),
            name: Some(self.name),
            description: self.description,
            status: TaskStatus::Completed,
            error: None,
            result: Some(self.result),
            created_at_ms: 1,
            completed_at_ms: Some(2),
            parent_context: TaskParentContext {
                task_id: None,
                run_id: Some(self.run),
                call_id: Some(self.call),
                agent_id: Some("planner".to_owned()),
            },
        }
    }
}
