//! The bodies of requests that record, as types: for schemas, and for clients that make them.
//!
//! A server reads commands with [`taskledger::wire`], and a test holds these types against it: each
//! field here is one there, and the other way round. Start at [`BatchRequest`]. A request for one
//! command has the fields of the command without `task_id`, which stands in its path, and those of
//! [`ItemRequest`] beside the command.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Commands that are recorded together: all of them, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// `taskledger.batch/v1`.
    pub schema: String,
    /// At most 1,024 of them.
    pub commands: Vec<ItemRequest>,
}

/// A command of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemRequest {
    /// The command.
    pub command: CommandRequest,
    /// Its idempotency key, as 32 hexadecimal digits; by the socket alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The task, run, call and agent that ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseRequest>,
    /// When it happened, in milliseconds since 1970; now, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_ms: Option<u64>,
    /// The last event that the client has seen; with others the answer is 409 `conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ExpectRequest>,
}

/// A command by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandRequest {
    /// A task starts.
    Spawn(SpawnRequest),
    /// A running task changes.
    Update(UpdateRequest),
    /// A running task ends.
    End(EndRequest),
    /// Progress of a task.
    Emit(EmitRequest),
    /// Tasks are asked to stop.
    Cancel(CancelRequest),
    /// Texts of an event are erased.
    Redact(RedactRequest),
}

/// The task, run, call and agent that ask.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseRequest {
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// The last event of a task or of a thread that the client has seen; `seq` is null for none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum ExpectRequest {
    /// Of a task.
    Task {
        /// The task.
        task_id: String,
        /// The event.
        seq: Option<u64>,
    },
    /// Of a thread.
    Thread {
        /// The thread.
        thread_id: String,
        /// The event.
        seq: Option<u64>,
    },
}

/// A task: its id, or the place of the command of the batch that spawns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum TaskRequest {
    /// Its id.
    Id(String),
    /// The command, from 0.
    Spawned {
        /// Its place.
        spawned: u64,
    },
}

/// A parent: a task of this ledger, or one of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum ParentRequest {
    /// Of this one.
    Task(TaskRequest),
    /// Of another.
    InLedger {
        /// Its ledger, as 32 hexadecimal digits.
        ledger_id: String,
        /// Its id there.
        task_id: String,
    },
}

/// A task that starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpawnRequest {
    /// The thread that owns it.
    pub thread_id: String,
    /// Its kind, such as `sub_agent`. At most 256 bytes.
    pub task_type: String,
    /// Its id; the ledger assigns one if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its purpose. At most 4 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The task that spawns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<ParentRequest>,
    /// The agent run that spawns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tool call that spawns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The agent that spawns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it began, in milliseconds since 1970; when it occurred, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
}

/// A change of a running task. A field that is left out stays as it is.
#[allow(clippy::option_option, reason = "a field that is left out is not null")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    /// The task.
    pub task_id: TaskRequest,
    /// Its name; null takes it away.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
    /// Its parent; null makes it a root.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<Option<ParentRequest>>,
    /// Its purpose. At most 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The end of a running task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRequest {
    /// The task.
    pub task_id: TaskRequest,
    /// How it ended.
    pub status: EndStatus,
    /// Why it failed. At most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it gave: any JSON, stored byte for byte. At most 1 MiB.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it ended, in milliseconds since 1970; when it occurred, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndStatus {
    /// It did what it was for.
    Completed,
    /// It did not.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// Progress of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmitRequest {
    /// The task.
    pub task_id: TaskRequest,
    /// The kind of progress. At most 256 bytes.
    pub event_type: String,
    /// The progress: any JSON, stored byte for byte. At most 1 MiB.
    pub content: Value,
}

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// The tasks that are asked.
    pub target: TargetRequest,
    /// Why. At most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When they are stopped if they have not, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// The tasks that are asked to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetRequest {
    /// One task.
    Task(TaskRequest),
    /// A task and all below it.
    Tree(TaskRequest),
    /// All of a thread.
    Thread(String),
    /// All that a run has spawned.
    Run(String),
}

/// A request that one task stops, or it and all below it: the task stands in the path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelTaskRequest {
    /// The task alone, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TaskScope>,
    /// Why. At most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is stopped if it has not, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A task, or a task and all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskScope {
    /// The task.
    Task,
    /// The task and all below it.
    Tree,
}

/// A message to the inbox of a running agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The sender, by the client's word. At most 256 bytes.
    pub from: String,
    /// The message. At most 1 MiB.
    pub content: String,
    /// The thread that must own the agent; any, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// Texts of an event that are erased from every view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactRequest {
    /// The event.
    #[schemars(range(min = 1))]
    pub seq: u64,
    /// The texts.
    pub parts: Vec<PartWord>,
    /// Why. At most 1 MiB.
    pub reason: String,
}

/// A text of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartWord {
    /// The purpose of a task.
    Description,
    /// Why it failed.
    Error,
    /// What it gave.
    Result,
    /// A message, or progress.
    Content,
    /// The reason of a request.
    Reason,
}

/// Tells null, which is a value, from a field that is left out.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::{
        command::{
            Batch, Cancel, CancelTarget, Emit, Expect, Finish, ParentRef, Proposal, Redact, Spawn,
            Update,
        },
        event::{Cause, PartSet},
        ids::{Key, LedgerId, Seq},
        time::Millis,
        wire,
    };

    /// Every command, with every field given and left out.
    fn everything() -> Batch {
        let (thread, task): (taskledger::ids::ThreadId, taskledger::ids::TaskId) =
            ("t".parse().unwrap(), "a".parse().unwrap());
        let seq = Seq::new(7).unwrap();
        let spawn = || Spawn::new(thread.clone(), "tool");
        let mut batch = Batch::new();
        let first = batch.spawn(spawn());
        let parent = ParentRef::InLedger { ledger: LedgerId([9; 16]), id: task.clone() };
        let full = spawn().task(&task).name("n").description("d").parent(parent);
        let full = full.run("r".parse::<taskledger::ids::RunId>().unwrap()).created_at(Millis(5));
        let full = full.call("c".parse::<taskledger::ids::CallId>().unwrap());
        let full = full.agent("g".parse::<taskledger::ids::AgentId>().unwrap());
        let mut cause = Cause::default().task(task.clone());
        cause.run = Some("r".parse().unwrap());
        cause.call = Some("c".parse().unwrap());
        cause.agent = Some("g".parse().unwrap());
        let proposal = Proposal::new(full).key(Key([255; 16])).cause(cause).occurred_at(Millis(6));
        batch.add(proposal.expect(Expect::Thread(thread.clone(), Some(seq))));
        batch.add(spawn().parent(first));
        batch.add(Proposal::new(Update::new(&task)).expect(Expect::Task(task.clone(), None)));
        batch.add(Update::new(first).without_name().without_parent().description("x"));
        batch.add(Update::new(&task).name("m").parent(&task));
        batch.add(Finish::completed(first).result("null"));
        batch.add(Finish::failed(&task, "lost").result("[1]").completed_at(Millis(8)));
        batch.add(Emit::new(first, "progress", "null"));
        batch.add(Cancel::task(first));
        batch.add(Cancel::tree(&task).reason("late").deadline(Millis(9)));
        batch.add(Cancel::thread(thread));
        batch.add(Cancel::new(CancelTarget::Run("r".parse().unwrap())));
        batch.add(Redact::new(seq, PartSet::ALL, "secret"));
        batch
    }

    /// A field that the server reads and that is not told of is refused here; one that is told of and
    /// that it does not read is refused there, or is lost.
    #[test]
    fn the_requests_have_the_fields_that_are_read_and_no_others() {
        let json = wire::to_json(&everything()).unwrap();
        let read: BatchRequest = serde_json::from_str(&json).unwrap();
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(wire::from_json(again.as_bytes()).unwrap(), everything());
        let written: Value = serde_json::from_str(&again).unwrap();
        for (name, schema) in [
            ("spawn", crate::schemas::request::<SpawnRequest>()),
            ("update", crate::schemas::request::<UpdateRequest>()),
            ("end", crate::schemas::request::<EndRequest>()),
            ("emit", crate::schemas::request::<EmitRequest>()),
            ("cancel", crate::schemas::request::<CancelRequest>()),
            ("redact", crate::schemas::request::<RedactRequest>()),
        ] {
            let commands = written["commands"].as_array().unwrap().iter();
            let fields: std::collections::BTreeSet<&String> = commands
                .filter_map(|item| item["command"][name].as_object())
                .flat_map(serde_json::Map::keys)
                .collect();
            let told = schema.pointer("/properties").and_then(Value::as_object).unwrap();
            assert_eq!(fields, told.keys().collect(), "{name}: each field was tried");
        }
    }

    #[test]
    fn a_request_about_one_task_has_the_fields_of_its_command() {
        let json = r#"{"scope":"tree","reason":"late","deadline_ms":9}"#;
        let read: CancelTaskRequest = serde_json::from_str(json).unwrap();
        assert_eq!(read.scope, Some(TaskScope::Tree));
        assert!(serde_json::from_str::<CancelTaskRequest>(r#"{"target":"x"}"#).is_err());
    }
}
