//! The reads that a question about the past needs.

use super::Scope;
use crate::{
    event::{Entry, PartSet},
    ids::{Seq, Size},
    ledger::{ReadError, Reader, Wanted},
    state::{self, LedgerState},
    time::Millis,
};
use std::ops::ControlFlow;

/// A log with a past, which several threads may ask at once. In a process, a [`Reader`].
///
/// # Contract
///
/// - Only acknowledged events are shown. Once shown, an event stays, except for texts that are
///   redacted, which are missing from then on.
/// - A text that is not the one that its event commits to is never given: it is missing, and
///   [`Entry::withheld`] names it, or the read is an error that does.
/// - Every event up to `now().size` can be read. The size never falls; it may grow between two
///   calls.
///
/// A source may hold no state at all and read it for each question: ask for the smallest scope.
pub trait Source: Sync {
    /// The end of the log. Cheap: asks for no task.
    ///
    /// # Errors
    /// [`ReadError`] if it could not be read.
    fn now(&self) -> Result<Now, ReadError>;

    /// The texts of event `seq` that are redacted by now.
    ///
    /// # Errors
    /// [`ReadError`] if it could not be read.
    fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError>;

    /// The current state of `scope`.
    ///
    /// Complete for the scope, for the ancestors that its tasks have now, for the requests to stop
    /// the threads of all these since they began, and for the marks of runs. Of every other task it holds all or
    /// nothing. Its size and its time are those of the end of the log. A task or thread that it
    /// does not hold, though the scope names it, is unknown.
    ///
    /// # Errors
    /// [`ReadError`] if it could not be read.
    fn state_of(&self, scope: Scope<'_>) -> Result<LedgerState, ReadError>;

    /// The current state of everything.
    ///
    /// # Errors
    /// [`ReadError`] if it could not be read.
    fn state(&self) -> Result<LedgerState, ReadError> {
        self.state_of(Scope::All)
    }

    /// The state after the first `size` events. Costs a snapshot and the events since.
    ///
    /// # Errors
    /// [`ReadError`] if the log is shorter, or could not be read.
    fn state_at(&self, size: Size) -> Result<LedgerState, ReadError>;

    /// Returns a function that reads single events. Quick when they lie near each other.
    ///
    /// # Errors
    /// The returned function gives [`ReadError`] if there is no such event, or it could not be
    /// read.
    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError>;

    /// Visits the events `from` to `to`, both included, in order, until `visit` breaks or fails.
    /// O(bytes).
    ///
    /// # Errors
    /// [`ReadError`] if one of them could not be read, and the errors of `visit`.
    fn scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E>;

    /// Like [`cursor`](Self::cursor), for entries that are folded into a state and shown to nobody:
    /// only the texts that a state holds must be those that were recorded.
    ///
    /// # Errors
    /// As those of [`cursor`](Self::cursor).
    fn folding_cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        self.cursor()
    }

    /// Like [`scan`](Self::scan), for the same entries as
    /// [`folding_cursor`](Self::folding_cursor).
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    fn folding_scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        self.scan(from, to, visit)
    }
}

/// A source whose entries are folded and shown to nobody. A text that no state holds need not be
/// hashed for that.
#[derive(Debug)]
pub(super) struct Folded<'s, S>(pub(super) &'s S);

impl<S: Source> Source for Folded<'_, S> {
    fn now(&self) -> Result<Now, ReadError> {
        self.0.now()
    }

    fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError> {
        self.0.redacted(seq)
    }

    fn state_of(&self, scope: Scope<'_>) -> Result<LedgerState, ReadError> {
        self.0.state_of(scope)
    }

    fn state_at(&self, size: Size) -> Result<LedgerState, ReadError> {
        self.0.state_at(size)
    }

    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        self.0.folding_cursor()
    }

    fn scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        self.0.folding_scan(from, to, visit)
    }
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The number of its events.
    pub size: Size,
    /// The time at which the last of them was recorded; zero before the first.
    pub recorded: Millis,
}

impl Now {
    /// The end of the log that `state` is the fold of.
    #[must_use]
    pub fn of(state: &LedgerState) -> Self {
        Self { size: state.size(), recorded: state.recorded() }
    }
}

impl Source for Reader {
    fn now(&self) -> Result<Now, ReadError> {
        Ok(Now::of(&self.current()))
    }

    fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError> {
        Self::redacted(self, seq)
    }

    /// O(1) where the ledger is open to append: gives the whole map. A ledger that is only read reads
    /// what is asked for.
    fn state_of(&self, scope: Scope<'_>) -> Result<LedgerState, ReadError> {
        match scope {
            Scope::All => Self::state(self),
            Scope::Thread(id) => Self::state_of(self, Wanted::Thread(id)),
            Scope::Task(id) => Self::state_of(self, Wanted::Task(id)),
        }
    }

    fn state_at(&self, size: Size) -> Result<LedgerState, ReadError> {
        Self::state_at(self, size)
    }

    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        let mut cursor = Self::cursor(self);
        move |seq| cursor.entry_withholding(seq, |_| true)
    }

    fn scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        self.scan_withholding(from, to, |_| true, visit)
    }

    fn folding_cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        let mut cursor = Self::cursor(self);
        move |seq| cursor.entry_withholding(seq, state::holds)
    }

    fn folding_scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        self.scan_withholding(from, to, state::holds, visit)
    }
}

#[cfg(test)]
mod tests;
