//! What a question about the past needs of a ledger.

use crate::{
    event::Entry,
    ids::Seq,
    ledger::{ReadError, Reader},
    state::LedgerState,
};
use std::ops::ControlFlow;

/// A log that can be asked about its past, by several threads at once: in a process, a [`Reader`].
///
/// # Contract
///
/// - Only acknowledged events are shown. Once shown, an event stays, except for texts that are
///   redacted, which are missing from then on.
/// - Every event up to `state().size()` can be read.
pub trait Source: Sync {
    /// What is true now. O(1).
    fn state(&self) -> LedgerState;

    /// What was true after the first `size` events. Costs a snapshot and the events since.
    ///
    /// # Errors
    /// [`ReadError`] if the log is shorter, or could not be read.
    fn state_at(&self, size: u64) -> Result<LedgerState, ReadError>;

    /// A way to read single events; quick when they lie near each other.
    ///
    /// # Errors
    /// What it returns answers [`ReadError`] if there is no such event, or it could not be read.
    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError>;

    /// Visits the events `from` to `to`, both included, in order, until told to stop. O(bytes).
    ///
    /// # Errors
    /// [`ReadError`] if one of them could not be read.
    fn scan(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;
}

impl Source for Reader {
    fn state(&self) -> LedgerState {
        Self::state(self)
    }

    fn state_at(&self, size: u64) -> Result<LedgerState, ReadError> {
        Self::state_at(self, size)
    }

    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        let mut cursor = Self::cursor(self);
        move |seq| cursor.entry(seq)
    }

    fn scan(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        Self::scan(self, from, to, visit)
    }
}

#[cfg(test)]
mod tests;
