//! Answers read back, as a client of a server does.
//!
//! Nothing that is cut, and nothing of another contract, is taken for an answer.

use super::{Body, Listing, Row, Single};
use crate::questions::Listed;
use serde::de::DeserializeOwned;

/// The reason that bytes are not the answer that they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// They are no JSON of that shape, or only the beginning of it.
    #[error("it is not a {schema}")]
    Malformed {
        /// The contract.
        schema: &'static str,
        /// The place of the fault.
        source: serde_json::Error,
    },
    /// They are another answer.
    #[error("it is a {found:?} and not a {schema}")]
    Other {
        /// The contract.
        schema: &'static str,
        /// The name of theirs.
        found: String,
    },
    /// Items are missing.
    #[error("it is not whole")]
    Incomplete,
}

/// Reads a list.
///
/// # Errors
/// [`AnswerError`].
pub fn read_list<T: Row>(json: &[u8]) -> Result<Listed<T>, AnswerError> {
    let listing: Listing<T> = of(T::SCHEMA, json)?;
    named(T::SCHEMA, &listing.schema)?;
    if listing.incomplete {
        return Err(AnswerError::Incomplete);
    }
    Ok(Listed { at: listing.at, items: listing.items })
}

/// Reads an answer that is one thing.
///
/// # Errors
/// [`AnswerError`].
pub fn read_single<T: Body>(json: &[u8]) -> Result<T, AnswerError> {
    let single: Single<T> = of(T::SCHEMA, json)?;
    named(T::SCHEMA, &single.schema)?;
    Ok(single.body)
}

/// Reads an answer that names its contract itself, with `schema` in it.
///
/// # Errors
/// [`AnswerError::Malformed`].
pub fn read_document<T: DeserializeOwned>(
    schema: &'static str,
    json: &[u8],
) -> Result<T, AnswerError> {
    of(schema, json)
}

fn of<T: DeserializeOwned>(schema: &'static str, json: &[u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(json).map_err(|source| AnswerError::Malformed { schema, source })
}

fn named(schema: &'static str, found: &str) -> Result<(), AnswerError> {
    if found == schema {
        return Ok(());
    }
    Err(AnswerError::Other { schema, found: found.chars().take(100).collect() })
}
