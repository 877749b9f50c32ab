//! What an audit found.

use super::Body;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskledger::{
    audit::{Finding, Report},
    ids::Seq,
};

/// What an audit found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VerifyBody {
    /// Whether nothing was found.
    pub ok: bool,
    /// Events that were read.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// What was found, by event.
    pub findings: Vec<FindingItem>,
    /// Findings beyond those that are told.
    pub more_findings: u64,
    /// What was noticed and is harmless: it changes no answer and loses nothing.
    pub notes: Vec<FindingItem>,
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
