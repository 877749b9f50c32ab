//! What a child is told to do, as one argument of its command line.

use crate::work::Sizes;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};
use taskledger::{Durability, Options, store::DiskOptions};

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Script {
    /// Opens, then appends from several threads, with flushes, redactions and purges in
    /// between; it does not end by itself.
    Mixed,
    /// Opens. The word is awaited before.
    Open,
    /// Creates: as opening, where there is nothing yet.
    Create,
    /// Appends twelve batches, after the word.
    Append,
    /// Appends until a journal is full, sealed, archived and gone.
    Seal,
    /// Takes a snapshot and makes a flush.
    Checkpoint,
    /// Redacts a text, and purges it and others.
    Redact,
    /// Closes.
    Close,
    /// Closes, and makes sled anew.
    Rebuild,
    /// Leaves batches in the spool while it has the ledger, and lets the next opening take them in.
    Spool,
}

impl Script {
    /// Those that do one thing and end.
    pub const SHORT: [Self; 9] = [
        Self::Append,
        Self::Seal,
        Self::Checkpoint,
        Self::Open,
        Self::Redact,
        Self::Close,
        Self::Rebuild,
        Self::Create,
        Self::Spool,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Open => "open",
            Self::Append => "append",
            Self::Seal => "seal",
            Self::Checkpoint => "checkpoint",
            Self::Redact => "redact",
            Self::Create => "create",
            Self::Close => "close",
            Self::Rebuild => "rebuild",
            Self::Spool => "spool",
        }
    }
}

/// What a child is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The ledger.
    pub path: PathBuf,
    /// What to do with it.
    pub script: Script,
    /// How often the ledger is synced, in milliseconds; `None`: at each commit.
    pub interval_ms: Option<u64>,
    /// How long texts are.
    pub sizes: Sizes,
    /// How large journals become, in KiB.
    pub journal_kib: u64,
    /// What the sizes of its batches follow from.
    pub seed: u64,
    /// Whether it says "ready" and waits for a line before what is to be watched.
    pub waits: bool,
    /// After so many lines it aborts, and so many turns of an empty loop later.
    pub abort: Option<(u64, u64)>,
}

impl Order {
    /// How the ledger is to be opened.
    pub fn options(&self) -> Options {
        let options = options(match self.interval_ms {
            None => Durability::Synced,
            Some(ms) => Durability::Interval(Duration::from_millis(ms)),
        });
        let store = options.store.clone().journal_bytes(self.journal_kib << 10);
        let options = options.store(store);
        if self.script == Script::Mixed {
            return options;
        }
        // So that what is to be done is not done before the word, in the background.
        let seal_bytes =
            if self.script == Script::Seal { options.store.seal_bytes } else { usize::MAX };
        let store = options.store.clone().flush_every(None).seal_bytes(seal_bytes);
        options.store(store)
    }
}

/// How large journals are, in KiB, if nothing else is said.
pub const JOURNAL_KIB: u64 = 64;
/// How large those of a new ledger are: they grow from here.
pub const FIRST_JOURNAL_KIB: u64 = 256;
/// How large they become in a life: so large that they grow.
pub const LARGEST_JOURNAL_KIB: u64 = 32 << 10;

/// Small journals and frequent flushes, so that an end finds all of it at work.
pub fn options(durability: Durability) -> Options {
    let store = DiskOptions::default()
        .journal_bytes(JOURNAL_KIB << 10)
        .seal_bytes(8 << 10)
        .flush_every(Duration::from_millis(20))
        .reserve_bytes(64 << 10);
    Options::default().durability(durability).store(store)
}
