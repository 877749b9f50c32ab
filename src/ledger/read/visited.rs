//! The answers that a visitor of events may give.

use std::ops::ControlFlow;

/// The answer of a visitor: nothing, whether to go on, or an error of its own.
///
/// A visit that can fail with a `D` takes a closure that returns one of these:
///
/// | answer | meaning | the visit fails with |
/// |---|---|---|
/// | `()` | go on | `D` |
/// | [`ControlFlow<()>`] | go on, or stop without an error | `D` |
/// | `Result<(), E>` | go on, or stop with an error | `E`, which a `D` becomes by `into` |
/// | `Result<ControlFlow<()>, E>` | any of the above | `E`, which a `D` becomes by `into` |
///
/// ```
/// use std::{io, io::Write, ops::ControlFlow};
/// use taskledger::{Ledger, Options, ids::Seq, ledger::ReadError};
///
/// #[derive(Debug, thiserror::Error)]
/// enum Error {
///     #[error(transparent)]
///     Read(#[from] ReadError),
///     #[error(transparent)]
///     Write(#[from] io::Error),
/// }
///
/// # fn main() -> Result<(), Error> {
/// # let ledger = Ledger::in_memory(Options::default()).unwrap();
/// # let (reader, mut out) = (ledger.reader(), Vec::new());
/// let (first, last) = (Seq::FIRST, Seq::new(1_000).unwrap());
/// let mut events = Vec::new();
/// reader.scan(first, last, |entry| events.push(entry))?;
/// reader.scan(first, last, |entry| -> Result<(), Error> {
///     Ok(writeln!(out, "{}", entry.event.action.as_str())?)
/// })?;
/// # Ok(())
/// # }
/// ```
pub trait Visited<D> {
    /// The error that the visit can fail with.
    type Error: From<D>;

    /// Returns whether to go on, or the error.
    ///
    /// # Errors
    /// The error of the visitor.
    fn flow(self) -> Result<ControlFlow<()>, Self::Error>;
}

impl<D> Visited<D> for () {
    type Error = D;

    fn flow(self) -> Result<ControlFlow<()>, D> {
        Ok(ControlFlow::Continue(()))
    }
}

impl<D> Visited<D> for ControlFlow<()> {
    type Error = D;

    fn flow(self) -> Result<ControlFlow<()>, D> {
        Ok(self)
    }
}

impl<D, E: From<D>> Visited<D> for Result<(), E> {
    type Error = E;

    fn flow(self) -> Result<ControlFlow<()>, E> {
        self.map(ControlFlow::Continue)
    }
}

impl<D, E: From<D>> Visited<D> for Result<ControlFlow<()>, E> {
    type Error = E;

    fn flow(self) -> Result<ControlFlow<()>, E> {
        self
    }
}
