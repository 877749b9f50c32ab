//! Events for stores that do the job of the ledger: they decide, and keep tasks beside events.
//!
//! The job: an event is kept once under its key; a task is spawned once, below a parent that is
//! there; a task that runs ends, once. All events of a commit, or none. The body is the frame that
//! the others are handed.

use super::grouped::Value;
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use taskledger::{
    command::{Command, Proposal},
    ids::TaskId,
};

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) key: [u8; 16],
    pub(crate) task: TaskId,
    pub(crate) change: Change,
    pub(crate) body: Arc<[u8]>,
}

/// The end of the task.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Spawned { thread: String, parent: Option<String> },
    Ended,
}

impl Value for Event {
    fn of(event: Proposal, frame: &Arc<[u8]>) -> Result<Self> {
        let key = event.key.context("a made event has a key")?.0;
        let task = event.command.task_id().cloned().context("a made event has a task")?;
        let change = if let Command::Spawn(spawn) = &event.command {
            let parent = spawn.parent.as_ref().and_then(|parent| parent.id());
            let parent = parent.map(ToString::to_string);
            Change::Spawned { thread: spawn.thread.to_string(), parent }
        } else if let Command::Finish(_) = &event.command {
            Change::Ended
        } else {
            bail!("no caller makes {:?}", event.command)
        };
        Ok(Self { key, task, change, body: Arc::clone(frame) })
    }
}
