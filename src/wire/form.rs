//! The shape of each command in JSON, apart from the commands themselves: those may change, and this
//! stays. Start reading at [`Item`].

use super::{
    WireError,
    importers::{self, EmitTextForm, EndTextForm, MessageForm, RestoreForm},
};
use crate::{
    command::{
        Cancel, CancelTarget, Command, Emit, Expect, Finish, ParentRef, Proposal, Redact, Spawn,
        Spawned, TaskRef, Update,
    },
    event::{Cause, Host, Outcome, PartKind, PartSet},
    ids::{AgentId, CallId, Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;
use std::{fmt::Display, str::FromStr, sync::Arc};

/// One proposal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) command: Form,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Hex>,
    #[serde(default, skip_serializing_if = "CauseForm::is_empty")]
    pub(super) cause: CauseForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) occurred_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expect: Option<ExpectForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    Spawn(SpawnForm),
    Update(UpdateForm),
    End(EndForm),
    Emit(EmitForm),
    Cancel(CancelForm),
    Redact(RedactForm),
    // Of importers alone.
    Imported(SpawnForm),
    Restore(RestoreForm),
    Message(MessageForm),
    EndText(EndTextForm),
    EmitText(EmitTextForm),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names in the JSON")]
pub(super) struct CauseForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task_id: Option<Text<TaskId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<Text<RunId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_id: Option<Text<CallId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<Text<AgentId>>,
}

/// The last event that was seen; `seq` is null for none.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected task_id or thread_id, and seq: a number or null"
)]
pub(super) enum ExpectForm {
    Task { task_id: Text<TaskId>, seq: Option<Number> },
    Thread { thread_id: Text<ThreadId>, seq: Option<Number> },
}

/// A task: its id, or the place of the command that spawns it.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected the id of a task, or {\"spawned\":N}")]
pub(super) enum TaskForm {
    Id(Text<TaskId>),
    Spawned { spawned: usize },
}

/// A parent: a task, or one of the ledger with this id.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected the id of a task, {\"spawned\":N}, or ledger_id and task_id"
)]
pub(super) enum ParentForm {
    Task(TaskForm),
    InLedger { ledger_id: Hex, task_id: Text<TaskId> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpawnForm {
    thread_id: Text<ThreadId>,
    task_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task_id: Option<Text<TaskId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_task_id: Option<ParentForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<Text<RunId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_id: Option<Text<CallId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<Text<AgentId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at_ms: Option<u64>,
}

/// A field that is left out stays as it is; null takes a name away, and makes a root.
#[allow(clippy::option_option, reason = "a field that is left out is not null")]
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateForm {
    task_id: TaskForm,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    parent_task_id: Option<Option<ParentForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndForm {
    task_id: TaskForm,
    status: StatusForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at_ms: Option<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusForm {
    Completed,
    Failed,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmitForm {
    task_id: TaskForm,
    event_type: String,
    content: Box<RawValue>,
}

/// The target and its scope in one field.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelForm {
    pub(super) target: TargetForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetForm {
    Task(TaskForm),
    Tree(TaskForm),
    Thread(Text<ThreadId>),
    Run(Text<RunId>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedactForm {
    seq: Number,
    parts: Vec<PartForm>,
    reason: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartForm {
    Description,
    Error,
    Result,
    Content,
    Reason,
}

/// A value that stands as its text.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// 16 bytes as 32 hexadecimal digits.
pub(super) struct Hex([u8; 16]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Key(self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_hex);
        let bytes = number.map(u128::to_be_bytes).map(Self);
        bytes.ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
    }
}

/// The number of an event, which is never 0.
pub(super) struct Number(Seq);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0.get())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seq = Seq::new(u64::deserialize(from)?).map(Self);
        seq.ok_or_else(|| D::Error::custom("no event has the number 0"))
    }
}

/// Tells null, which is a value, from a field that is left out.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl Item {
    /// The form of the proposal at `index` in its batch.
    pub(super) fn of(index: usize, proposal: &Proposal) -> Result<Self, WireError> {
        Ok(Self::with(Form::of(index, &proposal.command)?, proposal))
    }

    /// The same for an importer.
    pub(super) fn of_import(index: usize, proposal: &Proposal) -> Result<Self, WireError> {
        let form = match importers::form_of(&proposal.command) {
            Some(form) => form,
            None => Form::of(index, &proposal.command)?,
        };
        Ok(Self::with(form, proposal))
    }

    fn with(command: Form, proposal: &Proposal) -> Self {
        Self {
            command,
            key: proposal.key.map(|key| Hex(key.0)),
            cause: CauseForm::of(&proposal.cause),
            occurred_ms: proposal.occurred.map(|at| at.0),
            expect: proposal.expect.as_ref().map(ExpectForm::of),
        }
    }
}

impl From<Item> for Proposal {
    fn from(item: Item) -> Self {
        let mut proposal = Self::new(item.command);
        proposal.key = item.key.map(|hex| Key(hex.0));
        proposal.cause = item.cause.into();
        proposal.occurred = item.occurred_ms.map(Millis);
        proposal.expect = item.expect.map(Into::into);
        proposal
    }
}

impl Form {
    fn of(index: usize, command: &Command) -> Result<Self, WireError> {
        Ok(match command {
            Command::Spawn(spawn) => match spawn.host {
                Host::External => Self::Spawn(SpawnForm::of(spawn)),
                Host::Managed { .. } | Host::Imported => return Err(WireError::NoForm { index }),
            },
            Command::Update(update) => Self::Update(UpdateForm::of(update)),
            Command::Finish(finish) => Self::End(EndForm {
                task_id: TaskForm::of(&finish.task),
                status: StatusForm::of(finish.outcome),
                error: finish.error.as_deref().map(str::to_owned),
                result: finish
                    .result
                    .as_ref()
                    .map(|text| raw(index, "result", text))
                    .transpose()?,
                completed_at_ms: finish.completed.map(|at| at.0),
            }),
            Command::Emit(emit) => Self::Emit(EmitForm {
                task_id: TaskForm::of(&emit.task),
                event_type: emit.event_type.to_string(),
                content: raw(index, "content", &emit.content)?,
            }),
            Command::Cancel(cancel) => Self::Cancel(CancelForm {
                target: TargetForm::of(&cancel.target),
                reason: cancel.reason.as_deref().map(str::to_owned),
                deadline_ms: cancel.deadline.map(|at| at.0),
            }),
            Command::Redact(redact) => Self::Redact(RedactForm {
                seq: Number(redact.seq),
                parts: PartForm::of(redact.parts),
                reason: redact.reason.to_string(),
            }),
            Command::Restore(_) | Command::Orphan(_) | Command::Message(_) => {
                return Err(WireError::NoForm { index });
            }
        })
    }
}

/// A JSON text as a part of a document, if it comes out of it byte for byte.
pub(super) fn as_is(text: &Arc<str>) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_string()).ok().filter(|raw| *raw.get() == **text)
}

fn raw(index: usize, what: &'static str, text: &Arc<str>) -> Result<Box<RawValue>, WireError> {
    as_is(text).ok_or(WireError::NotJson { index, what })
}

fn text_of(raw: &RawValue) -> Arc<str> {
    raw.get().into()
}

impl From<Form> for Command {
    fn from(form: Form) -> Self {
        match form {
            Form::Spawn(spawn) => Self::Spawn(spawn.into()),
            Form::Update(update) => Self::Update(update.into()),
            Form::End(end) => {
                let mut finish = Finish::new(TaskRef::from(end.task_id), end.status.into());
                finish.error = end.error.map(Into::into);
                finish.result = end.result.as_deref().map(text_of);
                finish.completed = end.completed_at_ms.map(Millis);
                Self::Finish(finish)
            }
            Form::Emit(emit) => {
                let content = text_of(&emit.content);
                Self::Emit(Emit::new(TaskRef::from(emit.task_id), emit.event_type, content))
            }
            Form::Cancel(form) => {
                let mut cancel = Cancel::new(form.target.into());
                cancel.reason = form.reason.map(Into::into);
                cancel.deadline = form.deadline_ms.map(Millis);
                Self::Cancel(cancel)
            }
            Form::Redact(form) => {
                let parts: PartSet = form.parts.iter().map(|part| part.kind()).collect();
                Self::Redact(Redact::new(form.seq.0, parts, form.reason))
            }
            Form::Imported(spawn) => Self::Spawn(Spawn::from(spawn).host(Host::Imported)),
            Form::Restore(form) => Self::Restore(form.into()),
            Form::Message(form) => Self::Message(form.into()),
            Form::EndText(form) => Self::Finish(form.into()),
            Form::EmitText(form) => Self::Emit(form.into()),
        }
    }
}

impl CauseForm {
    fn of(cause: &Cause) -> Self {
        Self {
            task_id: cause.task.clone().map(Text),
            run_id: cause.run.clone().map(Text),
            call_id: cause.call.clone().map(Text),
            agent_id: cause.agent.clone().map(Text),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { task_id, run_id, call_id, agent_id } = self;
        task_id.is_none() && run_id.is_none() && call_id.is_none() && agent_id.is_none()
    }
}

impl From<CauseForm> for Cause {
    fn from(form: CauseForm) -> Self {
        Self {
            task: form.task_id.map(|id| id.0),
            run: form.run_id.map(|id| id.0),
            call: form.call_id.map(|id| id.0),
            agent: form.agent_id.map(|id| id.0),
        }
    }
}

impl ExpectForm {
    fn of(expect: &Expect) -> Self {
        let number = |seq: &Option<Seq>| seq.map(Number);
        match expect {
            Expect::Task(id, seq) => Self::Task { task_id: Text(id.clone()), seq: number(seq) },
            Expect::Thread(id, seq) => {
                Self::Thread { thread_id: Text(id.clone()), seq: number(seq) }
            }
        }
    }
}

impl From<ExpectForm> for Expect {
    fn from(form: ExpectForm) -> Self {
        match form {
            ExpectForm::Task { task_id, seq } => Self::Task(task_id.0, seq.map(|seq| seq.0)),
            ExpectForm::Thread { thread_id, seq } => {
                Self::Thread(thread_id.0, seq.map(|seq| seq.0))
            }
        }
    }
}

impl TaskForm {
    pub(super) fn of(task: &TaskRef) -> Self {
        match task {
            TaskRef::Id(id) => Self::Id(Text(id.clone())),
            TaskRef::Spawned(spawned) => Self::Spawned { spawned: spawned.index() },
        }
    }
}

impl From<TaskForm> for TaskRef {
    fn from(form: TaskForm) -> Self {
        match form {
            TaskForm::Id(Text(id)) => Self::Id(id),
            TaskForm::Spawned { spawned } => Self::Spawned(Spawned::at(spawned)),
        }
    }
}

impl ParentForm {
    fn of(parent: &ParentRef) -> Self {
        match parent {
            ParentRef::Task(task) => Self::Task(TaskForm::of(task)),
            ParentRef::InLedger { ledger, id } => {
                Self::InLedger { ledger_id: Hex(ledger.0), task_id: Text(id.clone()) }
            }
        }
    }
}

impl From<ParentForm> for ParentRef {
    fn from(form: ParentForm) -> Self {
        match form {
            ParentForm::Task(task) => Self::Task(task.into()),
            ParentForm::InLedger { ledger_id, task_id } => {
                Self::InLedger { ledger: LedgerId(ledger_id.0), id: task_id.0 }
            }
        }
    }
}

impl SpawnForm {
    pub(super) fn of(spawn: &Spawn) -> Self {
        Self {
            thread_id: Text(spawn.thread.clone()),
            task_type: spawn.task_type.to_string(),
            task_id: spawn.task.clone().map(Text),
            name: spawn.name.as_deref().map(str::to_owned),
            description: spawn.description.to_string(),
            parent_task_id: spawn.parent.as_ref().map(ParentForm::of),
            run_id: spawn.run.clone().map(Text),
            call_id: spawn.call.clone().map(Text),
            agent_id: spawn.agent.clone().map(Text),
            created_at_ms: spawn.created.map(|at| at.0),
        }
    }
}

impl From<SpawnForm> for Spawn {
    fn from(form: SpawnForm) -> Self {
        let mut spawn = Self::new(form.thread_id.0, form.task_type).description(form.description);
        spawn.task = form.task_id.map(|id| id.0);
        spawn.name = form.name.map(Into::into);
        spawn.parent = form.parent_task_id.map(Into::into);
        spawn.run = form.run_id.map(|id| id.0);
        spawn.call = form.call_id.map(|id| id.0);
        spawn.agent = form.agent_id.map(|id| id.0);
        spawn.created = form.created_at_ms.map(Millis);
        spawn
    }
}

impl UpdateForm {
    fn of(update: &Update) -> Self {
        let name = update.name.as_ref();
        let parent = update.parent.as_ref();
        Self {
            task_id: TaskForm::of(&update.task),
            name: name.map(|name| name.as_deref().map(str::to_owned)),
            parent_task_id: parent.map(|parent| parent.as_ref().map(ParentForm::of)),
            description: update.description.as_deref().map(str::to_owned),
        }
    }
}

impl From<UpdateForm> for Update {
    fn from(form: UpdateForm) -> Self {
        let mut update = Self::new(TaskRef::from(form.task_id));
        update.name = form.name.map(|name| name.map(Into::into));
        update.parent = form.parent_task_id.map(|parent| parent.map(Into::into));
        update.description = form.description.map(Into::into);
        update
    }
}

impl StatusForm {
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

impl From<StatusForm> for Outcome {
    fn from(form: StatusForm) -> Self {
        match form {
            StatusForm::Completed => Self::Completed,
            StatusForm::Failed => Self::Failed,
            StatusForm::Cancelled => Self::Cancelled,
        }
    }
}

impl TargetForm {
    fn of(target: &CancelTarget) -> Self {
        match target {
            CancelTarget::Task(task) => Self::Task(TaskForm::of(task)),
            CancelTarget::Tree(task) => Self::Tree(TaskForm::of(task)),
            CancelTarget::Thread(thread) => Self::Thread(Text(thread.clone())),
            CancelTarget::Run(run) => Self::Run(Text(run.clone())),
        }
    }
}

impl From<TargetForm> for CancelTarget {
    fn from(form: TargetForm) -> Self {
        match form {
            TargetForm::Task(task) => Self::Task(task.into()),
            TargetForm::Tree(task) => Self::Tree(task.into()),
            TargetForm::Thread(Text(thread)) => Self::Thread(thread),
            TargetForm::Run(Text(run)) => Self::Run(run),
        }
    }
}

impl PartForm {
    const ALL: [Self; 5] =
        [Self::Description, Self::Error, Self::Result, Self::Content, Self::Reason];

    fn of(parts: PartSet) -> Vec<Self> {
        Self::ALL.into_iter().filter(|form| parts.contains(form.kind())).collect()
    }

    fn kind(self) -> PartKind {
        match self {
            Self::Description => PartKind::Description,
            Self::Error => PartKind::Error,
            Self::Result => PartKind::Result,
            Self::Content => PartKind::Content,
            Self::Reason => PartKind::Reason,
        }
    }
}
