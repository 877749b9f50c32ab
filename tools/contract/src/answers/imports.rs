//! What an import did.

use super::Row;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line that an import could not use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BadLineItem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why it could not be used.
    pub why: String,
}

/// What the import of one recording did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImportItem {
    /// What was read: the recording's main file.
    pub path: String,
    /// The format that it is in.
    pub format: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// The threads that it is about.
    pub threads: Vec<String>,
    /// Lines that hold a record.
    pub records: u64,
    /// Events that were appended, or would be.
    pub appended: u64,
    /// New tasks among them.
    pub tasks: u64,
    /// Events that were there already.
    pub present: u64,
    /// Events that a rule refused.
    pub refused: u64,
    /// Lines that could not be used.
    pub malformed: u64,
    /// Well-formed records that could not be placed.
    pub skipped: u64,
    /// Records of unknown types, by type.
    pub unknown: BTreeMap<String, u64>,
    /// The first of the lines that could not be used.
    pub bad_lines: Vec<BadLineItem>,
    /// The first of the refusals.
    pub refusals: Vec<RefusalItem>,
    /// The threads of which it is a copy, in part or as a whole.
    #[serde(default)]
    pub copy_of: Vec<String>,
}

/// An event that a rule refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefusalItem {
    /// The task that it is about.
    pub task_id: Option<String>,
    /// Why.
    pub why: String,
}

impl Row for ImportItem {
    const SCHEMA: &'static str = "taskledger.import/v1";
    const FIELDS: &'static [&'static str] = &[
        "path",
        "format",
        "dry_run",
        "threads",
        "records",
        "appended",
        "tasks",
        "present",
        "refused",
        "malformed",
        "skipped",
        "unknown",
        "bad_lines",
        "refusals",
        "copy_of",
    ];

    fn name(&self) -> String {
        self.path.clone()
    }
}
