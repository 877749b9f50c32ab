//! The start of a task, by which its ledger is known again when there is more to record of it.
//!
//! Nothing keeps the ledger from being replaced while the command runs: by another one, or by an older
//! copy of its own, in which the same number has gone to another task.

use crate::facts::Facts;
use anyhow::Result;
use std::path::Path;
use taskledger::{
    ids::{Key, LedgerId, Seq, TaskId},
    store,
};

/// A task, as it was recorded.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its id.
    pub task: TaskId,
    /// The event that spawned it.
    pub spawn: Seq,
    /// The key of that event, which no other event has; none if its server has not said it.
    pub key: Option<Key>,
}

impl Origin {
    /// Refuses a ledger, found at `db`, in which the task is not the one that was recorded.
    ///
    /// A spawn that cannot be read keeps no end from the record: the ledger's id says enough then.
    pub fn check(&self, facts: &Facts, db: &Path) -> Result<()> {
        let is_ours = facts.ledger()? == self.ledger;
        if is_ours && facts.is_spawn(&self.task, self.spawn, self.key)? {
            Ok(())
        } else {
            Err(store::Error::Replaced { path: db.to_owned() }.into())
        }
    }
}
