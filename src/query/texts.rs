//! The texts of tasks, each as its event has it.
//!
//! A state holds short texts that it folded itself. Long ones, and those that a snapshot brought,
//! are read from their events, where they are held against their commitments. Start reading at
//! [`texts`].

use super::{QueryError, Source};
use crate::{
    event::{Entry, PartKind},
    ids::Seq,
    ledger::ReadError,
    state::{Text, TextBody},
};
use std::sync::Arc;

/// A text of a task, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The whole text, as it was recorded.
    Text(Arc<str>),
    /// Nothing: it was erased.
    Erased,
    /// Nothing: the stored text is not the one that was recorded.
    Withheld,
}

/// Reads texts of tasks; quick when their events lie near each other.
#[derive(Debug)]
pub struct Texts<R> {
    read: R,
}

/// A reader of the texts of tasks.
pub fn texts<S: Source>(
    source: &S,
) -> Texts<impl FnMut(Seq) -> Result<Entry, ReadError> + use<'_, S>> {
    Texts { read: source.cursor() }
}

/// The whole text of a task; `None` if it is erased. One read if the state does not hold it.
///
/// # Errors
/// [`QueryError::Read`] if it could not be read, or is not the text that was recorded.
pub fn text(
    source: &impl Source,
    text: &Text,
    kind: PartKind,
) -> Result<Option<Arc<str>>, QueryError> {
    match texts(source).told(text, kind)? {
        Told::Text(text) => Ok(Some(text)),
        Told::Erased => Ok(None),
        Told::Withheld => Err(ReadError::forged(text.seq, kind).into()),
    }
}

impl<R: FnMut(Seq) -> Result<Entry, ReadError>> Texts<R> {
    /// One text. One read if the state does not hold it, or has it from a snapshot.
    ///
    /// # Errors
    /// [`QueryError::Read`] if its event could not be read.
    pub fn told(&mut self, text: &Text, kind: PartKind) -> Result<Told, QueryError> {
        match &text.body {
            TextBody::Kept(text) => Ok(Told::Text(Arc::clone(text))),
            TextBody::Erased => Ok(Told::Erased),
            TextBody::Withheld => Ok(Told::Withheld),
            TextBody::Stored | TextBody::Saved(_) => {
                let entry = (self.read)(text.seq)?;
                Ok(match entry.text(kind) {
                    Some(text) => Told::Text(Arc::clone(text)),
                    None if entry.withheld.contains(kind) => Told::Withheld,
                    None => Told::Erased,
                })
            }
        }
    }

    /// The same text without a doubt: one that a snapshot brought is what its event says.
    ///
    /// # Errors
    /// As [`told`](Self::told).
    pub fn settled(&mut self, text: &Text, kind: PartKind) -> Result<Text, QueryError> {
        if !matches!(text.body, TextBody::Saved(_)) {
            return Ok(text.clone());
        }
        let body = match self.told(text, kind)? {
            Told::Text(text) => TextBody::Kept(text),
            Told::Erased => TextBody::Erased,
            Told::Withheld => TextBody::Withheld,
        };
        Ok(Text { body, ..text.clone() })
    }
}
