//! The reads that a question about the past needs.

use crate::{
    event::Entry,
    ids::Seq,
    ledger::{ReadError, Reader},
    state::LedgerState,
};
use std::ops::ControlFlow;

/// A log with a past, which several threads may ask at once. In a process, a [`Reader`].
///
/// # Contract
///
/// - Only acknowledged events are shown. Once shown, an event stays, except for texts that are
///   redacted, which are missing from then on.
/// - Every event up to `state().size()` can be read.
pub trait Source: Sync {
    /// The current state. O(1).
    fn state(&self) -> LedgerState;

    /// The state after the first `size` events. Costs a snapshot and the events since.
    ///
    /// # Errors
    /// [`ReadError`] if the log is shorter, or could not be read.
    fn state_at(&self, size: u64) -> Result<LedgerState, ReadError>;

    /// Returns a function that reads single events. Quick when they lie near each other.
    ///
    /// # Errors
    /// The returned function gives [`ReadError`] if there is no such event, or it could not be
    /// read.
    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError>;

    /// Visits the events `from` to `to`, both included, in order, until `visit` breaks. O(bytes).
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
