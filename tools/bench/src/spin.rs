//! Cores that do not sleep.
//!
//! On some virtual machines an idle core notices a finished disk flush only at its next timer tick,
//! some milliseconds late. A busy loop at idle priority keeps every core awake and gives way to
//! anything else, so that the disk is measured and not the tick.

use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};

/// Busy loops, one for each core, until they are dropped.
#[derive(Debug)]
pub(crate) struct Spinners(Vec<Child>);

impl Spinners {
    /// Starts them.
    ///
    /// # Errors
    /// If `chrt` of util-linux is not installed.
    pub(crate) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let mut spinners = Self(Vec::new());
        for _ in 0..cores {
            let spinner = Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .context("keeping the cores awake needs `chrt` of util-linux")?;
            spinners.0.push(spinner);
        }
        Ok(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}
