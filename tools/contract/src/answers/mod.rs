//! The answers as JSON: what `-o json`, `jsonl` and `csv` say, and will go on saying.
//!
//! Separate from the library's types, so that those can change. A field may be added to a `v1`;
//! none is removed, renamed or given another meaning. `docs/schema` holds the JSON Schemas, and a
//! test holds them against these types and against real output. All times are milliseconds since
//! 1970 in fields that end in `_ms`, and RFC 3339 in `at`.
//!
//! Start at [`Row`] and [`Body`]: every answer is a list of the one, or one of the other.

mod audit;
mod changes;
mod divergent;
mod events;
mod imports;
mod ledgers;
mod lineage;
mod logs;
mod nodes;
mod notes;
mod problem;
mod process;
mod proofs;
mod reading;
mod serving;
mod stats;
mod tasks;

#[cfg(test)]
mod tests;

pub use audit::{FindingItem, ReadableItem, VerifyBody};
pub use changes::{ChangeItem, DiffBody, DiffCounts};
pub use divergent::{DivergentItem, RedactionItem, TailBody, short_name};
pub use events::{FirstBody, commitments};
pub use imports::{BadLineItem, ImportItem, RefusalItem};
pub use ledgers::{HeadBody, ReceiptBody, ReceiptsBody};
pub use lineage::{LinkItem, SpanItem};
pub use logs::{LogsBody, LogsSource, output_of, tail_text};
pub use nodes::{
    AckRequest, EpochItem, EpochRequest, FollowingBody, NodeBody, PromiseRequest, PromoteRequest,
    PromotedBody, RejoinedBody, StandbyItem, from_hex,
};
pub use notes::{note, notes, notes_holding, notes_in};
pub use problem::ProblemBody;
pub use process::{CancelBody, PROCESS, ProcessFacts, ProcessItem, Unsignalled, process_of};
pub use proofs::{CheckBody, CheckpointBody, ConsistencyBody, ProofBody, ProofText};
pub use reading::{AnswerError, read_document, read_list, read_single};
pub use serving::{CertBody, ServingBody, TokenBody, TokenItem};
pub use stats::StatsBody;
pub use taskledger_interop::jsonl::EventLine;
pub use tasks::{ShowBody, Status, TaskItem, ThreadItem};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::borrow::Cow;
use taskledger::{
    ledger::{ReadError, Reader},
    query::{Now, Position, Source as _, View, format_time},
    time::Millis,
};

/// One item of a list.
pub trait Row: Serialize + DeserializeOwned + JsonSchema {
    /// The name of the list and the version of its contract.
    const SCHEMA: &'static str;
    /// The fields in the order of CSV.
    const FIELDS: &'static [&'static str];

    /// The id of the item.
    fn name(&self) -> String;

    /// True if a text of it is stored and is not what was recorded.
    fn is_withheld(&self) -> bool {
        false
    }
}

/// An answer that is one thing.
pub trait Body: Serialize + DeserializeOwned + JsonSchema {
    /// The name of the answer and the version of its contract.
    const SCHEMA: &'static str;
}

/// Which moment is shown: the last event that was counted, and its time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// Events in the log at that moment.
    pub seq: u64,
    /// When that was: the time that was asked for, or the time of the last event.
    pub time: Option<String>,
}

impl At {
    /// The moment after `size` events; an empty log has no time.
    #[must_use]
    pub fn new(size: u64, time: Millis) -> Self {
        Self { seq: size, time: (time > Millis(0)).then(|| format_time(time)) }
    }

    /// The moment of the whole log. O(1).
    ///
    /// # Errors
    /// [`ReadError`] if it could not be read.
    pub fn head(reader: &Reader) -> Result<Self, ReadError> {
        let Now { size, recorded } = reader.now()?;
        Ok(Self::new(size.get(), recorded))
    }

    /// The moment of a position. One read.
    ///
    /// # Errors
    /// [`ReadError`] if the last event before it could not be read.
    pub fn position(position: Position, reader: &Reader) -> Result<Self, ReadError> {
        Ok(match position {
            Position::Occurred(time) => Self::new(reader.head().size.get(), time),
            Position::Log(size) => match size.last_seq() {
                Some(last) => Self::new(size.get(), reader.entry(last)?.event.recorded),
                None => Self::new(0, Millis(0)),
            },
        })
    }
}

impl From<&View> for At {
    fn from(view: &View) -> Self {
        Self::new(view.size.get(), view.time)
    }
}

/// The envelope of everything that is a list. `jsonl` gives the items alone, one on each line.
//
// A writer may write it item by item instead of holding all of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Listing<T> {
    /// What the items are, and the version of the contract: `taskledger.tasks/v1`.
    pub schema: String,
    /// Which moment is shown.
    pub at: At,
    /// The items, in creation order unless another was asked for.
    pub items: Vec<T>,
    /// True if the items after these could not be read: the exit code says so, too. Otherwise left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// The envelope of everything that is one thing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Single<T> {
    /// What it is, and the version of the contract: `taskledger.receipt/v1`.
    pub schema: Cow<'static, str>,
    /// The thing itself.
    #[serde(flatten)]
    pub body: T,
}

impl<T: Body> Single<T> {
    /// The answer with the name of its contract.
    pub fn new(body: T) -> Self {
        Self { schema: T::SCHEMA.into(), body }
    }
}

/// A number of things, for JSON.
#[must_use]
pub fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// A text that should be JSON, as a value; as a string if it is not.
#[must_use]
pub fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Bytes in hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
