//! What reading a recording gives: proposals in order, and an account of every line.
//!
//! A [`Recording`] is small: it remembers tasks, not texts. Long texts and native events are read
//! again, one at a time, while [`Recording::proposals`] is walked.

use crate::{error::ReadError, fetch::Proposals, sort::Step};
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};
use taskledger::{
    command::Proposal,
    ids::{IdError, ThreadId},
};

/// The most broken lines of which the place and the reason are kept. All are counted.
pub const BAD_LINES_KEPT_MAX: usize = 1_000;

/// The most record types that are counted each by its name.
const UNKNOWN_TYPES_MAX: usize = 64;

/// A shape of recording that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Events of a ledger, as [`export`](crate::jsonl::EventLine) writes them.
    Jsonl,
    /// Revisions of a background task manager's persisted state.
    Awaken,
    /// Session transcripts with sub-agents, background commands and workflows.
    ClaudeCode,
    /// Session events with sub-agents.
    CopilotCli,
}

impl Format {
    /// Every format, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Jsonl, Self::Awaken, Self::ClaudeCode, Self::CopilotCli];

    /// `jsonl`, `awaken`, `claude-code` or `copilot-cli`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Awaken => "awaken",
            Self::ClaudeCode => "claude-code",
            Self::CopilotCli => "copilot-cli",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name is not one of [`Format::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {found:?}: jsonl, awaken, claude-code and copilot-cli are known")]
pub struct UnknownFormat {
    /// What was asked for.
    pub found: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| UnknownFormat { found: text.to_owned() })
    }
}

/// How fine a recording of spans is read.
///
/// The formats of this crate record spawns and nothing finer, so all three give the same; the
/// choice is here for the formats that tell more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grain {
    /// Agents and runs.
    #[default]
    Spawn,
    /// Those and tool calls.
    Tool,
    /// Every span.
    All,
}

/// How a recording is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The thread that owns every task, instead of the one that the recording names.
    pub thread: Option<ThreadId>,
    /// How fine spans are read.
    pub grain: Grain,
    /// The longest line that is read, in bytes; a longer one is a broken line. It bounds memory.
    pub line_bytes_max: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { thread: None, grain: Grain::Spawn, line_bytes_max: 64 << 20 }
    }
}

/// How far a long piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// What is being done, and in what it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading files, in bytes.
    Reading,
    /// Appending to the ledger, in proposals.
    Appending,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why it could not be used.
    pub why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

/// An account of every line of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that hold a record.
    pub records: u64,
    /// Lines that could not be used.
    pub malformed: u64,
    /// The first [`BAD_LINES_KEPT_MAX`] of them.
    pub bad_lines: Vec<BadLine>,
    /// Records of a type that is not known, by type.
    pub unknown: BTreeMap<String, u64>,
    /// Well-formed records that tell of something that cannot be placed, such as the end of a task
    /// that the recording does not start.
    pub skipped: u64,
    /// Bytes read in the first pass.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn bad(&mut self, file: &str, line: u64, why: impl Into<String>) {
        self.malformed += 1;
        if self.bad_lines.len() < BAD_LINES_KEPT_MAX {
            self.bad_lines.push(BadLine { file: file.to_owned(), line, why: why.into() });
        }
    }

    pub(crate) fn unknown(&mut self, kind: &str) {
        let kind = crate::text::clip(kind, 64);
        if let Some(count) = self.unknown.get_mut(kind) {
            *count += 1;
        } else if self.unknown.len() < UNKNOWN_TYPES_MAX {
            self.unknown.insert(kind.to_owned(), 1);
        } else {
            *self.unknown.entry("(other)".to_owned()).or_default() += 1;
        }
    }
}

/// A file of a recording and how to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// How it is called in reports.
    pub shown: String,
}

/// One recording, read and put in order.
#[derive(Debug)]
pub struct Recording {
    /// What it was read as.
    pub format: Format,
    /// The threads that it names, in order of their ids; also those without tasks.
    pub threads: Vec<ThreadId>,
    /// An account of its lines.
    pub tally: Tally,
    pub(crate) inputs: Vec<Input>,
    pub(crate) steps: Vec<Step>,
    pub(crate) options: ReadOptions,
}

impl Recording {
    /// How many proposals there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The proposals: ordered by occurrence, every parent before its children, every task's spawn
    /// before all else of it. Reads long texts from the files as it goes; O(1) memory.
    ///
    /// # Errors
    /// An item is an error if a file cannot be read any more, or is no longer what it was.
    #[must_use]
    pub fn proposals(&self) -> Proposals<'_> {
        Proposals::new(self)
    }

    /// All [`proposals`](Self::proposals) at once, texts and all.
    ///
    /// # Errors
    /// The first error among them.
    pub fn collect(&self) -> Result<Vec<Proposal>, ReadError> {
        self.proposals().collect()
    }
}

/// Says of an identifier what is wrong with it, for the report of a bad line.
pub(crate) fn bad_id(what: &'static str) -> impl Fn(IdError) -> String {
    move |error| format!("{what}: {error}")
}
