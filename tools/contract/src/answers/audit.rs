//! What an audit found.

use super::Body;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskledger::{
    audit::{Finding, Report},
    ids::Seq,
    ledger::Readable,
};

/// What an audit found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VerifyBody {
    /// Whether nothing was found.
    pub ok: bool,
    /// Events that archive and journals gave, up to the first fault in them.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// What was found, by event.
    pub findings: Vec<FindingItem>,
    /// Findings beyond those that are told.
    pub more_findings: u64,
    /// What was noticed and is harmless: it changes no answer and loses nothing.
    pub notes: Vec<FindingItem>,
    /// True if the sealed blocks were checked; not beside a process that has the ledger open, nor by
    /// another user, nor without room for a copy. A note says which.
    #[serde(default)]
    pub sealed_checked: bool,
    /// What can still be read.
    pub readable: ReadableItem,
    /// The repair of all that was found: `nothing`, `rebuild`, `restore` or `compare`.
    pub remedy: String,
    /// The same as a sentence with the commands to run; null if nothing is to be done.
    pub help: Option<String>,
}

/// The events that all files of a ledger together still have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReadableItem {
    /// Whether that is every event that the ledger is known to have held, as it was recorded.
    pub all: bool,
    /// Events that can still be read.
    pub events: u64,
    /// The root over them, in hex.
    pub root: String,
    /// Events that the ledger is known to have held; null if no file tells.
    pub held: Option<u64>,
}

/// One thing that an audit found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FindingItem {
    /// The first event that is affected, if it can be told.
    pub seq: Option<u64>,
    /// What kind of finding.
    pub kind: String,
    /// What does not hold, and where.
    pub detail: String,
}

impl From<&Report> for VerifyBody {
    fn from(report: &Report) -> Self {
        Self {
            ok: report.is_ok(),
            size: report.size,
            root: report.root.to_string(),
            findings: report.findings.iter().map(FindingItem::from).collect(),
            more_findings: report.more_findings,
            notes: report.notes.iter().map(FindingItem::from).collect(),
            sealed_checked: report.sealed_checked,
            readable: ReadableItem::from(&report.readable),
            remedy: report.remedy.as_str().to_owned(),
            help: None,
        }
    }
}

impl From<&Readable> for ReadableItem {
    fn from(readable: &Readable) -> Self {
        Self {
            all: readable.is_all(),
            events: readable.head.size.get(),
            root: readable.head.root.to_string(),
            held: readable.held,
        }
    }
}

impl From<&Finding> for FindingItem {
    fn from(finding: &Finding) -> Self {
        Self {
            seq: finding.seq.map(Seq::get),
            kind: finding.kind.as_str().to_owned(),
            detail: finding.detail.clone(),
        }
    }
}

impl Body for VerifyBody {
    const SCHEMA: &'static str = "taskledger.verify/v1";
}
