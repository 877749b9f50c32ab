//! What was done to or with a ledger.

use super::Body;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use taskledger::{
    ids::{Head, LedgerId},
    ledger::Receipt,
};

/// The answer to an append.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptBody {
    /// The event.
    pub seq: u64,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// Whether the event was there already, by its key.
    pub repeated: bool,
    /// Whether it survives loss of power.
    pub durable: bool,
    /// Of a message or a request to stop that came by a server: true if a running task of the server's
    /// own program was told. Otherwise left out, also of a message that was recorded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
}

/// The answer to a batch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptsBody {
    /// One for each command, in order.
    pub receipts: Vec<ReceiptBody>,
}

/// A ledger and its head.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HeadBody {
    /// What was done: `init`, `purge`, `fork`, `backup`, `restore`, `rebuild`, `drop`.
    pub done: String,
    /// The directory or file.
    pub path: String,
    /// The ledger's id.
    pub ledger: String,
    /// Events in it.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// What was put out of the way and kept, by path.
    pub set_aside: Vec<String>,
}

impl From<&Receipt> for ReceiptBody {
    fn from(receipt: &Receipt) -> Self {
        Self {
            seq: receipt.seq.get(),
            task_id: receipt.task.as_ref().map(ToString::to_string),
            repeated: receipt.repeated,
            durable: receipt.durable,
            delivered: None,
        }
    }
}

impl Body for ReceiptsBody {
    const SCHEMA: &'static str = "taskledger.receipts/v1";
}

impl Body for ReceiptBody {
    const SCHEMA: &'static str = "taskledger.receipt/v1";
}

impl HeadBody {
    /// What was `done` to the ledger at `path`, where it stands now, and what is kept of what was
    /// there before.
    #[must_use]
    pub fn new(
        done: &str,
        path: &Path,
        ledger: LedgerId,
        head: Head,
        set_aside: &[PathBuf],
    ) -> Self {
        Self {
            done: done.to_owned(),
            path: path.display().to_string(),
            ledger: ledger.to_string(),
            size: head.size.get(),
            root: head.root.to_string(),
            set_aside: set_aside.iter().map(|path| path.display().to_string()).collect(),
        }
    }
}

impl Body for HeadBody {
    const SCHEMA: &'static str = "taskledger.head/v1";
}
