//! The end of a command's output in the spool while it runs, for `taskledger logs`.
//!
//! It is a help for those who look on and nothing else: what cannot be written there is said once, and
//! the command runs on, and so do the writes: some errors pass.

use super::tail::Tail;
use crate::note::note;
use std::{cell::RefCell, time::Duration};
use taskledger::ledger::{OutputWriter, TaskOutput};
use tokio::{select, sync::watch, task::spawn_blocking, time::sleep};

/// The pause between two writes. A command that is done before leaves nothing to remove.
const PAUSE: Duration = Duration::from_millis(250);

/// The output of one command.
pub struct Kept {
    /// None where no directory holds an output.
    writer: Option<OutputWriter>,
    written: u64,
    /// True if a write was tried, so that there may be a file.
    tried: bool,
    /// True if it was said that a write failed.
    told: bool,
}

impl Kept {
    /// Nothing is written yet.
    pub fn new(writer: Option<OutputWriter>) -> Self {
        Self { writer, written: 0, tried: false, told: false }
    }

    /// Writes what came since the last time, now and then, until the command has ended.
    pub async fn follow(&mut self, tail: &RefCell<Tail>, mut has_ended: watch::Receiver<bool>) {
        loop {
            select! {
                biased;
                _ = has_ended.wait_for(|ended| *ended) => return,
                () = sleep(PAUSE) => {}
            }
            let output = tail.borrow().output();
            self.write(output).await;
        }
    }

    /// Writes the end of an output, if there is more of it than before.
    pub async fn write(&mut self, output: TaskOutput) {
        if output.total == self.written {
            return;
        }
        let Some(mut writer) = self.writer.clone() else { return };
        self.tried = true;
        let total = output.total;
        // The output is not kept waiting for a disk that is slow.
        let wrote = spawn_blocking(move || writer.write(output).map(|()| writer));
        match wrote.await {
            Ok(Ok(writer)) => (self.writer, self.written) = (Some(writer), total),
            // It may pass: the next write has all that there is by then.
            Ok(Err(error)) if !self.told => {
                self.told = true;
                let why = format!("{:#}", anyhow::Error::from(error));
                note(&format!("taskledger: `logs` may not show all of the output: {why}"));
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Removes it: what the command wrote is in its result.
    pub fn remove(self) {
        if let Some(writer) = self.writer.filter(|_| self.tried) {
            // One that stays is passed over, and a purge removes it.
            let _ = writer.remove();
        }
    }
}
