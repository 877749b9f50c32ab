//! The process that runs a task, as `run` records it, and the answer to a request to end it.
//!
//! A record is a claim, which may be forged or out of date: code that acts on it asks the system
//! first.

use super::{Body, ReceiptBody};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use taskledger::event::{Action, Entry, PartKind};

/// The event type of the facts that `run` records of its process.
pub const PROCESS: &str = "taskledger.process";

/// The facts that a `run` records of its own process: the content of a `taskledger.process` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessFacts {
    /// Its number.
    pub pid: u32,
    /// The time of its start, in clock ticks since that of the machine: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// The start of the machine: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The container in which its number counts: the inode of `/proc/PID/ns/pid`.
    pub pid_namespace: u64,
    /// The name of the machine.
    pub host: String,
    /// The number of its user.
    pub uid: u32,
    /// The name of its user, if the machine has one for it.
    #[serde(default)]
    pub user: Option<String>,
    /// Its working directory.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// The process that runs a task, as its spawn recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessItem {
    /// The event that holds it.
    pub seq: u64,
    /// Its content; null once it is erased.
    pub facts: Option<ProcessFacts>,
}

/// The reason why a request to stop was only recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unsignalled {
    /// Nothing that was recorded with its start says which process runs it.
    NoProcess,
    /// What was recorded of its process is erased.
    Erased,
    /// It was started on a machine of another name.
    OtherHost,
    /// It was started before this machine was, or on another of the same name.
    OtherBoot,
    /// It was started in another container: its number means another process here.
    OtherNamespace,
    /// It belongs to another user.
    OtherUser,
    /// It has ended; another process may have its number.
    Gone,
    /// The process with its number does not show that it is the `run` of this task.
    NotItsRun,
    /// The system does not let this process look at it, or signal it.
    Refused,
}

/// The answer to a request to stop.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CancelBody {
    /// The task.
    pub task_id: String,
    /// The event that records the request.
    pub seq: u64,
    /// True if that event survives loss of power.
    pub durable: bool,
    /// True if its `run` was sent SIGTERM. How it ends is not known yet.
    pub signalled: bool,
    /// The reason why it was not; null if it was.
    pub unsignalled: Option<Unsignalled>,
    /// The process that runs it, as its spawn recorded it.
    pub process: Option<ProcessItem>,
    /// Where a server has the ledger: true if its own program runs the task, and told it. Otherwise
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
}

impl Body for CancelBody {
    const SCHEMA: &'static str = "taskledger.cancel/v1";
}

/// The process that runs a task, from the event that began it and the next one of the log.
///
/// Only what was recorded in one batch with the spawn counts: nobody can add it later, or put
/// something else in its place.
#[must_use]
pub fn process_of(spawn: &Entry, next: &Entry) -> Option<ProcessItem> {
    let is_next = spawn.batch_goes_on
        && spawn.event.seq.next() == Some(next.event.seq)
        && spawn.event.task.is_some()
        && spawn.event.task == next.event.task;
    let spawns = matches!(spawn.event.action, Action::Upserted { .. });
    let tells =
        matches!(&next.event.action, Action::Emitted { event_type } if **event_type == *PROCESS);
    if !(is_next && spawns && tells) {
        return None;
    }
    let seq = next.event.seq.get();
    match next.text(PartKind::Content) {
        // Not what `run` writes: it says nothing of a process.
        Some(text) => Some(ProcessItem { seq, facts: Some(serde_json::from_str(text).ok()?) }),
        None => Some(ProcessItem { seq, facts: None }),
    }
}

impl ProcessFacts {
    /// The user, by name or number.
    #[must_use]
    pub fn user(&self) -> String {
        self.user.clone().unwrap_or_else(|| format!("uid {}", self.uid))
    }
}

/// In words, which may be hostile.
impl fmt::Display for ProcessFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} as {}", self.pid, self.host, self.user())?;
        self.cwd.as_ref().map_or(Ok(()), |cwd| write!(f, " in {cwd}"))
    }
}

impl Unsignalled {
    /// In words, with what was recorded of the process; they may be hostile.
    #[must_use]
    pub fn told(self, process: Option<&ProcessFacts>) -> String {
        let pid = process.map(|facts| facts.pid.to_string()).unwrap_or_default();
        let host = process.map(|facts| facts.host.clone()).unwrap_or_default();
        match self {
            Self::NoProcess => {
                "nothing recorded with its start says which process runs it".to_owned()
            }
            Self::Erased => "what was recorded of its process is erased".to_owned(),
            Self::OtherHost => {
                format!("its run was started on host {host}, as process {pid} there")
            }
            Self::OtherBoot => format!(
                "its run was started before this machine was, or on another one that is called {host}"
            ),
            Self::OtherNamespace => {
                format!("its run was started in another container, as process {pid} there")
            }
            Self::OtherUser => {
                let user = process.map(ProcessFacts::user).unwrap_or_default();
                format!("its run, process {pid}, belongs to {user}")
            }
            Self::Gone => format!("its run, process {pid}, is gone; its command may still run"),
            Self::NotItsRun => {
                format!("process {pid} does not show that it is the run of this task")
            }
            Self::Refused => {
                format!("the system does not let process {pid} be looked at or signalled")
            }
        }
    }
}

impl CancelBody {
    /// A request that was recorded, and whether the process was signalled.
    #[must_use]
    pub fn new(
        task_id: &str,
        receipt: &ReceiptBody,
        process: Option<ProcessItem>,
        signalled: Result<(), Unsignalled>,
    ) -> Self {
        Self {
            task_id: task_id.to_owned(),
            seq: receipt.seq,
            durable: receipt.durable,
            signalled: signalled.is_ok(),
            unsignalled: signalled.err(),
            process,
            delivered: receipt.delivered,
        }
    }
}
