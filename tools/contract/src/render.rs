//! Writes an answer for programs, byte by byte as every face does.
//!
//! The command line writes through these functions as it goes; a server writes whole answers.

use crate::{
    answers::{At, Body, Row, Single},
    safe_json,
};
use serde::Serialize;

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
pub fn list_begin<T: Row>(form: Form, at: &At) -> serde_json::Result<String> {
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
pub fn list_item<T: Row>(form: Form, item: &T, first: bool) -> serde_json::Result<String> {
    let item = safe_json::to_string(item)?;
    Ok(match (form, first) {
        (Form::Json, true) => format!("\n{item}"),
        (Form::Json, false) => format!(",\n{item}"),
        (Form::Jsonl, _) => item + "\n",
    })
}

/// An answer that names its contract itself.
///
/// # Errors
/// The error of the serializer.
pub fn document<T: Serialize>(form: Form, answer: &T) -> serde_json::Result<String> {
    Ok(match form {
        Form::Json => safe_json::to_string_pretty(answer)? + "\n",
        Form::Jsonl => safe_json::to_string(answer)? + "\n",
    })
}

/// An answer that is one thing, with the name of its contract.
///
/// # Errors
/// The error of the serializer.
pub fn single<T: Body>(form: Form, body: T) -> serde_json::Result<String> {
    document(form, &Single::new(body))
}
