//! Commands as JSON, for those that cannot hand them to a ledger themselves: the spool beside a ledger
//! that another process has open, and the body of a request to a server.
//!
//! Knows no file, no ledger and no rule: [`from_json`] gives a [`Batch`] of any commands, and an append
//! decides. Start reading at [`to_json`]; `form` holds the shape of each command, and [`alone_from_json`]
//! reads one whose task is named elsewhere.
//!
//! ```
//! use taskledger::{command::{Batch, Finish, Proposal}, ids::{Key, TaskId}, wire};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let end = Finish::completed(TaskId::new("bg_7")?).result(r#"{"pages":3}"#);
//! let batch = Batch::from(Proposal::new(end).key(Key([7; 16])));
//! let json = wire::to_json(&batch)?;
//! assert_eq!(
//!     json,
//!     concat!(
//!         r#"{"schema":"taskledger.batch/v1","commands":[{"command":{"end":{"task_id":"bg_7","#,
//!         r#""status":"completed","result":{"pages":3}}},"key":"07070707070707070707070707070707"}]}"#,
//!     )
//! );
//! assert_eq!(wire::from_json(json.as_bytes())?, batch);
//! # Ok(())
//! # }
//! ```
//!
//! Results and contents are JSON texts, which stand in it as they are and come out byte for byte: so a
//! command that is sent twice is the same command. All other fields are optional where the command has
//! them optional, times are milliseconds since 1970, and a field that is not known is an error. A task
//! that an earlier command of the batch spawns is named by the place of that command, from 0:
//! `{"spawned":0}`.

mod alone;
mod form;
mod importers;
#[cfg(test)]
mod tests;

use crate::{
    code::Code,
    command::{Batch, Proposal},
};
pub use alone::{Alone, alone_from_json};
use form::Item;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use std::fmt;

/// The name of the form and its version.
pub const SCHEMA: &str = "taskledger.batch/v1";

/// The reason that commands cannot be written as JSON, or be read from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The JSON does not hold commands of this form.
    #[error("no batch of commands")]
    Malformed {
        /// The command, from 0, the place, and the expectation there.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON does not hold the fields of the command that is wanted.
    #[error("no command {command:?}")]
    NotAlone {
        /// The name of the command.
        command: &'static str,
        /// The place, and the expectation there.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON has another form, or a later version of this one.
    #[error("a batch of the form {found:?}; this version reads {SCHEMA}")]
    OtherSchema {
        /// The name of its form.
        found: String,
        /// The place that did not fit this one.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A result or a content is no JSON, or has white space around it, which would not be kept.
    #[error("the {what} of command {index} of the batch is not JSON, and nothing else")]
    NotJson {
        /// The place of the command, from 0.
        index: usize,
        /// The text: `result` or `content`.
        what: &'static str,
    },
    /// The command means something only in the process that makes it: a restore, an orphan, a message,
    /// and the spawn of a task that a manager or an importer has.
    #[error("command {index} of the batch can only be recorded by the process that makes it")]
    NoForm {
        /// The place of the command, from 0.
        index: usize,
    },
}

impl WireError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OtherSchema { .. } => Code::UnsupportedFormat,
            Self::Malformed { .. }
            | Self::NotAlone { .. }
            | Self::NotJson { .. }
            | Self::NoForm { .. } => Code::Invalid,
        }
    }
}

/// The whole document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    #[serde(deserialize_with = "numbered")]
    commands: Vec<Item>,
}

/// Reads the commands, and says of one that cannot be read which it is.
fn numbered<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Item>, D::Error> {
    struct Commands;
    impl<'de> Visitor<'de> for Commands {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of commands")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Item>, A::Error> {
            let mut items = Vec::new();
            loop {
                let index = items.len();
                // The error keeps its line and column.
                let named = |error| A::Error::custom(format_args!("command {index}: {error}"));
                match list.next_element().map_err(named)? {
                    Some(item) => items.push(item),
                    None => return Ok(items),
                }
            }
        }
    }
    from.deserialize_seq(Commands)
}

/// The name of a document of any version.
#[derive(Deserialize)]
struct Named {
    schema: String,
}

/// Writes the proposals of a batch as one line of JSON. O(bytes).
///
/// # Errors
/// [`WireError::NotJson`], [`WireError::NoForm`].
pub fn to_json(batch: &[Proposal]) -> Result<String, WireError> {
    written(batch.iter().enumerate().map(|(index, proposal)| Item::of(index, proposal)))
}

/// Writes the proposals of an importer, which records what other processes did: tasks with
/// [`Host::Imported`](crate::event::Host::Imported), restores, messages, and texts that are no JSON.
/// [`from_json`] reads them as well; a server takes them from its own user alone. O(bytes).
///
/// # Errors
/// [`WireError::NoForm`] for a task that a manager has, and its orphans.
pub fn import_to_json(batch: &[Proposal]) -> Result<String, WireError> {
    written(batch.iter().enumerate().map(|(index, proposal)| Item::of_import(index, proposal)))
}

/// True for a command that [`to_json`] refuses and [`import_to_json`] writes.
#[must_use]
pub fn is_importers(proposal: &Proposal) -> bool {
    importers::form_of(&proposal.command).is_some()
}

fn written(items: impl Iterator<Item = Result<Item, WireError>>) -> Result<String, WireError> {
    let document =
        Document { schema: SCHEMA.to_owned(), commands: items.collect::<Result<_, _>>()? };
    serde_json::to_string(&document).map_err(|source| WireError::Malformed { source })
}

/// Reads the proposals of a batch. O(bytes); memory: about as much.
///
/// # Errors
/// [`WireError::Malformed`], [`WireError::OtherSchema`].
pub fn from_json(json: &[u8]) -> Result<Batch, WireError> {
    let named = || serde_json::from_slice::<Named>(json).map(|named| named.schema);
    let other = |found: &String| found != SCHEMA;
    let document = match serde_json::from_slice::<Document>(json) {
        Ok(Document { schema, .. }) if other(&schema) => {
            return Err(WireError::OtherSchema { found: schema, source: None });
        }
        Ok(document) => document,
        // A later version may well have more fields than this one.
        Err(source) => {
            return Err(match named().ok().filter(other) {
                Some(found) => WireError::OtherSchema { found, source: Some(source) },
                None => WireError::Malformed { source },
            });
        }
    };
    Ok(document.commands.into_iter().map(Proposal::from).collect())
}
