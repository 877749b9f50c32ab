//! The output of a task.

use super::{At, Body, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The output of a task: of one that runs the end that its `run` has kept so far, of one that ended what
/// its result says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LogsBody {
    /// Which moment is shown.
    pub at: At,
    /// The task.
    pub task_id: String,
    /// Where it stands.
    pub status: Status,
    /// Where the output comes from; null if there is none.
    pub source: Option<LogsSource>,
    /// The end of the output as text, in which U+FFFD stands for what is no UTF-8; of a result that
    /// `run` did not record, its JSON text. Null if there is none.
    pub output: Option<String>,
    /// Bytes of output in all, of which `output` has the last; null if that is not known.
    pub output_bytes: Option<u64>,
    /// True if it was recorded and is erased, or withheld since it is not what was recorded.
    pub erased: bool,
}

/// Where the output of a task comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogsSource {
    /// The spool: what its `run` has kept while it ran.
    Spool,
    /// The result of an end that waits in the spool to be recorded.
    Waiting,
    /// The recorded result.
    Result,
}

impl Body for LogsBody {
    const SCHEMA: &'static str = "taskledger.logs/v1";
}

/// The output in a result, as `run` records one, and the number of its bytes; `None` in any other
/// result.
#[must_use]
pub fn output_of(result: &str) -> Option<(String, u64)> {
    let Value::Object(mut fields) = serde_json::from_str(result).ok()? else { return None };
    let bytes = fields.get("output_bytes").and_then(Value::as_u64)?;
    match fields.remove("output") {
        Some(Value::String(output)) => Some((output, bytes)),
        _ => None,
    }
}

/// The end of an output as text: whatever is no UTF-8 becomes U+FFFD. If it was `cut` at its beginning, a
/// character that the cut went through is left out.
#[must_use]
pub fn tail_text(bytes: &[u8], cut: bool) -> String {
    let broken = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let whole = bytes.get(if cut { broken } else { 0 }..).unwrap_or_default();
    String::from_utf8_lossy(whole).into_owned()
}
