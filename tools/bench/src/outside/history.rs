//! The history of a shape as a file that a script can read.

use crate::ledger::Shape;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};
use taskledger::{command::Command, ids::TaskId};

/// Writes one JSON object for each event: number, thread, task, what happened, its text.
pub(super) fn write(path: &Path, shape: Shape) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..shape.events {
        let thread = shape.thread_of(number)?;
        let (task, what, text) = told(shape.event(number)?.command)?;
        let (thread, task) = (thread.as_str(), task.as_str());
        let line = json!({
            "number": number + 1, "thread": thread, "task": task, "what": what,
            "text": &*text,
        });
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(())
}

fn told(command: Command) -> Result<(TaskId, &'static str, Arc<str>)> {
    let task = command.task_id().cloned().context("no task's id")?;
    if let Command::Spawn(spawn) = command {
        Ok((task, "spawn", spawn.description))
    } else if let Command::Emit(emit) = command {
        Ok((task, "progress", emit.content))
    } else if let Command::Finish(finish) = command {
        let text = finish.result.or(finish.error).context("an end without a text")?;
        Ok((task, "finish", text))
    } else {
        bail!("a made history has no {command:?}")
    }
}
