//! Writes an answer for programs, byte by byte as every face does.
//!
//! The command line writes through these functions as it goes. A server writes whole answers, but piece
//! by piece, so that one over its limit ends before it is made. Both are the same bytes.

use crate::{
    answers::{At, Body, Row, Single},
    safe_json,
};
use serde::Serialize;
use std::io;

/// A form of an answer for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Json,
    /// One JSON item on each line.
    Jsonl,
}

/// The end of a list.
#[must_use]
pub const fn list_end(form: Form) -> &'static str {
    match form {
        Form::Json => "\n]}\n",
        Form::Jsonl => "",
    }
}

/// The beginning of a list of `T`.
///
/// # Errors
/// The error of the serializer.
pub fn list_begin<T: Row>(form: Form, at: &At) -> io::Result<String> {
    Ok(match form {
        Form::Json => {
            let (schema, at) = (safe_json::to_string(T::SCHEMA)?, safe_json::to_string(at)?);
            format!("{{\"schema\":{schema},\"at\":{at},\"items\":[")
        }
        Form::Jsonl => String::new(),
    })
}

/// One item of a list; `first` says that it is the first.
///
/// # Errors
/// The error of the serializer.
pub fn list_item<T: Row>(form: Form, item: &T, first: bool) -> io::Result<String> {
    kept(|out| write_item(form, item, first, out))
}

/// Writes one item of a list piece by piece.
///
/// # Errors
/// The error of the serializer, or of `out`.
pub fn write_item<T: Row>(
    form: Form,
    item: &T,
    first: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let (before, after): (&[u8], &[u8]) = match (form, first) {
        (Form::Json, true) => (b"\n", b""),
        (Form::Json, false) => (b",\n", b""),
        (Form::Jsonl, _) => (b"", b"\n"),
    };
    out.write_all(before)?;
    safe_json::to_writer(&mut *out, item)?;
    out.write_all(after)
}

/// An answer that names its contract itself.
///
/// # Errors
/// The error of the serializer.
pub fn document<T: Serialize>(form: Form, answer: &T) -> io::Result<String> {
    kept(|out| write_document(form, answer, out))
}

/// Writes an answer that names its contract itself, piece by piece.
///
/// # Errors
/// The error of the serializer, or of `out`.
pub fn write_document<T: Serialize>(
    form: Form,
    answer: &T,
    out: &mut impl io::Write,
) -> io::Result<()> {
    match form {
        Form::Json => safe_json::to_writer_pretty(&mut *out, answer)?,
        Form::Jsonl => safe_json::to_writer(&mut *out, answer)?,
    }
    out.write_all(b"\n")
}

/// An answer that is one thing, with the name of its contract.
///
/// # Errors
/// The error of the serializer.
pub fn single<T: Body>(form: Form, body: T) -> io::Result<String> {
    document(form, &Single::new(body))
}

/// The text that is written.
fn kept(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::new();
    write(&mut out)?;
    String::from_utf8(out).map_err(io::Error::other)
}
