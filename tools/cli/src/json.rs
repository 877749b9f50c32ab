//! The JSON contract: what `-o json`, `jsonl` and `csv` say, and will go on saying.
//!
//! Separate from the library's types, so that those can change. A field may be added to a `v1`;
//! none is removed, renamed or given another meaning. `docs/schema` holds the JSON Schemas, and a
//! test holds them against these types and against real output. All times are milliseconds since
//! 1970 in fields that end in `_ms`, and RFC 3339 in `at`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
pub use taskledger_interop::jsonl::EventLine;

/// Which moment is shown: the last event that was counted, and its time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct At {
    /// Events in the log at that moment.
    pub seq: u64,
    /// When that was: the time that was asked for, or the time of the last event.
    pub time: Option<String>,
}

/// The envelope of everything that is a list. `jsonl` gives the items alone, one on each line.
//
// Lists are written item by item, so this is their shape in the schemas alone.
#[cfg(test)]
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing<T> {
    /// What the items are, and the version of the contract: `taskledger.tasks/v1`.
    pub schema: String,
    /// Which moment is shown.
    pub at: At,
    /// The items, in creation order unless another was asked for.
    pub items: Vec<T>,
}

/// The envelope of everything that is one thing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Single<T> {
    /// What it is, and the version of the contract: `taskledger.receipt/v1`.
    pub schema: &'static str,
    /// The thing itself.
    #[serde(flatten)]
    pub body: T,
}

/// One task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskItem {
    /// Its id.
    pub task_id: String,
    /// The thread that owns it.
    pub thread_id: String,
    /// What kind of task.
    pub task_type: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for; null once it is erased.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it failed or was cancelled; null if nothing was said, or once it is erased.
    pub error: Option<String>,
    /// What it returned: any JSON value, or a string if it was not JSON; null if nothing, or once it
    /// is erased.
    pub result: Value,
    /// When it was created.
    pub created_at_ms: u64,
    /// When it ended.
    pub completed_at_ms: Option<u64>,
    /// The task that spawned it, in this ledger or elsewhere.
    pub parent_task_id: Option<String>,
    /// The agent run that spawned it.
    pub run_id: Option<String>,
    /// The tool call that spawned it.
    pub call_id: Option<String>,
    /// The agent that spawned it.
    pub agent_id: Option<String>,
    /// One more than the number of its ancestors in this ledger.
    pub depth: u64,
    /// The event that brought it here.
    pub first_seq: u64,
    /// Its newest event.
    pub last_seq: u64,
    /// Which of its texts were erased: `description`, `error`, `result`.
    pub erased: Vec<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has no terminal event.
    Running,
    /// It did what it was asked to do.
    Completed,
    /// It could not.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// One thread.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ThreadItem {
    /// Its id.
    pub thread_id: String,
    /// How many tasks it has.
    pub tasks: u64,
    /// How many of them run.
    pub running: u64,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// The depth of its deepest task.
    pub depth: u64,
    /// When its first event happened.
    pub first_ms: u64,
    /// When its latest event happened.
    pub last_ms: u64,
}

/// One task and the events about it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShowBody {
    /// Which moment is shown.
    pub at: At,
    /// The task.
    pub task: TaskItem,
    /// Its ancestors, nearest first.
    pub ancestors: Vec<String>,
    /// Its direct children.
    pub children: Vec<String>,
    /// The events about it, oldest first.
    pub history: Vec<EventLine>,
}

/// One link of the chain that led to a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LinkItem {
    /// What kind of link: `task`, `call`, `run`, `agent`, ..
    pub kind: String,
    /// The id of that task, call, run or agent.
    pub id: String,
    /// The event that says so.
    pub seq: Option<u64>,
    /// The task whose spawn names it.
    pub task_id: Option<String>,
    /// What is known of it in words.
    pub detail: Option<String>,
}

/// One difference between two moments of a thread.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeItem {
    /// What happened: `spawned`, `ended`, `changed`, `reparented` or `gone`.
    pub change: String,
    /// The task.
    pub task_id: String,
    /// The field that differs.
    pub field: Option<String>,
    /// What it was: of a time its milliseconds, of a result its JSON, of all else a text.
    pub before: Value,
    /// What it is, in the same way.
    pub after: Value,
}

/// How many changes of each kind there are.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffCounts {
    /// Tasks that are new.
    pub spawned: u64,
    /// Tasks that are gone.
    pub gone: u64,
    /// Tasks that came to another status.
    pub ended: u64,
    /// Tasks that have another parent.
    pub reparented: u64,
    /// Other fields that differ.
    pub changed: u64,
}

/// The differences between two moments of a thread.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffBody {
    /// The first moment.
    pub from: At,
    /// The second moment.
    pub to: At,
    /// How many changes of each kind there are.
    pub stat: DiffCounts,
    /// What differs; empty with `--stat`.
    pub items: Vec<ChangeItem>,
}

/// One task on the line of time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpanItem {
    /// The task.
    pub task_id: String,
    /// Its depth.
    pub depth: u64,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub start_ms: u64,
    /// When it ended; null while it runs.
    pub end_ms: Option<u64>,
}

/// What an audit found.
#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingItem {
    /// The first event that is affected, if it can be told.
    pub seq: Option<u64>,
    /// What kind of finding.
    pub kind: String,
    /// What does not hold, and where.
    pub detail: String,
}

/// A line that an import could not use.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BadLineItem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why it could not be used.
    pub why: String,
}

/// What the import of one recording did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
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
    pub unknown: std::collections::BTreeMap<String, u64>,
    /// The first of the lines that could not be used.
    pub bad_lines: Vec<BadLineItem>,
    /// The first of the refusals.
    pub refusals: Vec<RefusalItem>,
}

/// An event that a rule refused.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusalItem {
    /// The task that it is about.
    pub task_id: Option<String>,
    /// Why.
    pub why: String,
}

/// The answer to an append.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptBody {
    /// The event.
    pub seq: u64,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// Whether the event was there already, by its key.
    pub repeated: bool,
    /// Whether it survives loss of power.
    pub durable: bool,
}

/// A ledger and its head.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeadBody {
    /// What was done: `init`, `purge`, `fork`, `backup`, `restore`, `rebuild`.
    pub done: String,
    /// The directory or file.
    pub path: String,
    /// The ledger's id.
    pub ledger: String,
    /// Events in it.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// What was put out of the way and kept, by path.
    pub set_aside: Vec<String>,
}

/// The first event after which a condition held.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirstBody {
    /// Which moment is shown.
    pub at: At,
    /// The condition.
    pub condition: String,
    /// The event; null if it never held.
    pub event: Option<EventLine>,
}

/// A checkpoint: how many events, and their root.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckpointBody {
    /// Which ledger: `taskledger/` and its id.
    pub origin: String,
    /// Events in it.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The checkpoint as a C2SP note.
    pub text: String,
}

/// That an event is in the log: hash upwards from the leaf, and compare with the root.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProofBody {
    /// The event.
    pub seq: u64,
    /// Its place among the leaves, from 0.
    pub leaf_index: u64,
    /// The leaf, in hex: the byte of the format and the event's, as `docs/format.md` has them.
    pub leaf: String,
    /// SHA-256 of a zero byte and the leaf, in hex.
    pub leaf_hash: String,
    /// Events in the log that the proof is about.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The hashes beside the path from leaf to root, in hex, nearest first (RFC 6962).
    pub path: Vec<String>,
    /// Size and root as a C2SP checkpoint; believe one that came another way.
    pub checkpoint: String,
}

/// That a log begins with what it was when it was smaller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConsistencyBody {
    /// Events in the log as it was.
    pub old_size: u64,
    /// The root over them, in hex.
    pub old_root: String,
    /// Events in the log as it is.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The hashes that lead to both roots, in hex (RFC 6962).
    pub path: Vec<String>,
    /// Size and root as a C2SP checkpoint; believe one that came another way.
    pub checkpoint: String,
}

/// What a proof was found to prove.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckBody {
    /// The event that is in the log, if that was proven.
    pub seq: Option<u64>,
    /// The size that the log had when it was what it still begins with, if that was proven.
    pub old_size: Option<u64>,
    /// Events in the log.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// Which ledger.
    pub origin: String,
    /// Whether it was held against a checkpoint that did not come with it.
    pub expected: bool,
}

/// Figures about a ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatsBody {
    /// Which moment is shown.
    pub at: At,
    /// The ledger's id.
    pub ledger: String,
    /// Which primary is in charge.
    pub epoch: Option<String>,
    /// How many writers there have been.
    pub incarnation: u64,
    /// Events.
    pub events: u64,
    /// Threads.
    pub threads: u64,
    /// Tasks.
    pub tasks: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that completed.
    pub completed: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// The depth of the deepest task.
    pub depth: u64,
    /// Tasks of each type.
    pub types: std::collections::BTreeMap<String, u64>,
    /// Events with redacted texts.
    pub redacted: u64,
    /// The root over the events; null for a moment that is not a prefix of the log.
    pub root: Option<String>,
    /// Bytes of all files of the ledger.
    pub disk_bytes: u64,
}
