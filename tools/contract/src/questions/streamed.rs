//! A document with a list in it that is written as it is read.

use super::AskError;
use crate::render::{self, Form};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};
use std::{cell::RefCell, io, marker::PhantomData};

/// The place where an item goes.
pub(super) type Take<'a, T> = &'a mut dyn FnMut(T) -> Result<(), AskError>;

/// A list in a document, whose items `each` gives one by one while it is written.
pub(super) struct Streamed<T, F> {
    each: F,
    /// The error of `each`: a serializer has none of this type.
    failed: RefCell<Option<AskError>>,
    of: PhantomData<T>,
}

impl<T, F> Streamed<T, F>
where
    T: Serialize,
    F: Fn(Take<'_, T>) -> Result<(), AskError>,
{
    pub(super) fn new(each: F) -> Self {
        Self { each, failed: RefCell::default(), of: PhantomData }
    }

    /// Writes a document that holds this list.
    pub(super) fn write(
        &self,
        document: &impl Serialize,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let written = render::write_document(form, document, out);
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }
}

impl<T, F> Serialize for Streamed<T, F>
where
    T: Serialize,
    F: Fn(Take<'_, T>) -> Result<(), AskError>,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(None)?;
        let mut unwritten = None;
        let read = (self.each)(&mut |item| {
            let ended = || AskError::Write(io::Error::other("the answer ended"));
            list.serialize_element(&item).map_err(|error| {
                unwritten = Some(error);
                ended()
            })
        });
        match (unwritten, read) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => list.end(),
            (None, Err(error)) => {
                let told = S::Error::custom(&error);
                *self.failed.borrow_mut() = Some(error);
                Err(told)
            }
        }
    }
}
