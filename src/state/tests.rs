//! Given what happened, when something is asked for, then this is true or the rule is named.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cancelling;
mod encoding;
mod folding;
mod repeating;
mod rules;

use super::{Draft, LedgerState, Rejection, Stamp, Task, TextBody, decide};
use crate::{
    command::{Cancel, Command, Finish, ParentRef, Proposal, Restore, Spawn, Update},
    event::{
        Action, Began, CancelScope, Commitment, Delivery, Entry, Event, Host, Outcome, Part,
        PartBody, PartKind, PartSet, TaskStatus,
    },
    ids::{Epoch, Key, LedgerId, NodeId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

pub(crate) const EPOCH: Epoch = Epoch { number: 1, nonce: 7 };
pub(crate) const LEDGER: LedgerId = LedgerId([1; 16]);
const MANAGED: Host = Host::Managed { incarnation: 1, manager: 0 };

/// A ledger without bytes: what was decided, and the state that it folds to.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) state: LedgerState,
    pub(crate) entries: Vec<Entry>,
    number_floor: u64,
}

/// A history in which these commands were accepted, one millisecond apart.
#[track_caller]
pub(crate) fn given(commands: impl IntoIterator<Item = Command>) -> History {
    let mut history = History::default();
    for command in commands {
        history = history.and(command);
    }
    history
}

impl History {
    /// One more command, which must be accepted.
    #[track_caller]
    pub(crate) fn and(self, command: impl Into<Proposal>) -> Self {
        self.when(command).then()
    }

    fn now(&self) -> Millis {
        Millis(1_000 + self.state.size())
    }

    fn seq(&self) -> Seq {
        Seq::new(self.state.size() + 1).unwrap()
    }

    fn when(self, proposal: impl Into<Proposal>) -> Asked {
        let stamp = Stamp { now: self.now(), number_floor: self.number_floor };
        let answer = decide(&self.state, &proposal.into(), stamp);
        Asked { history: self, answer }
    }

    /// Completes a draft as the writer does, but without hashing.
    fn write(self, draft: Draft) -> Self {
        let Draft { thread, task, occurred, action, texts, cause, key } = draft;
        let of_task = task.as_ref().and_then(|task| self.state.task(task));
        let of_thread = thread.as_ref().and_then(|thread| self.state.thread(thread));
        let event = Event {
            seq: self.seq(),
            epoch: EPOCH,
            recorded: self.now(),
            occurred,
            prev_in_task: of_task.map(|task| task.last_seq),
            prev_in_thread: of_thread.map(|thread| thread.last_seq),
            thread,
            task,
            cause,
            key,
            action,
            parts: texts.iter().map(|(kind, text)| commitment(*kind, text)).collect(),
        };
        let parts = texts.into_iter().map(|(kind, text)| part(kind, text)).collect();
        self.fold(Entry { event, parts, batch_goes_on: false })
    }

    /// Folds an entry that `decide` did not make.
    pub(crate) fn fold(mut self, entry: Entry) -> Self {
        self.state.apply(&entry);
        self.entries.push(entry);
        self
    }

    /// An event like the newest one, one later.
    fn again(&self) -> Entry {
        let mut entry = self.entries.last().unwrap().clone();
        entry.event.seq = self.seq();
        entry
    }

    /// A writer takes charge.
    fn began(self, epoch: Epoch, incarnation: u64, why: Began) -> Self {
        let (ledger, node) = (LEDGER, NodeId([2; 16]));
        let action = Action::Began { ledger, node, version: "0.1.0".into(), incarnation, why };
        let event = Event {
            seq: self.seq(),
            epoch,
            recorded: self.now(),
            occurred: self.now(),
            thread: None,
            task: None,
            prev_in_thread: None,
            prev_in_task: None,
            cause: crate::event::Cause::default(),
            key: None,
            action,
            parts: vec![],
        };
        self.fold(Entry { event, parts: vec![], batch_goes_on: false })
    }

    #[track_caller]
    pub(crate) fn task(&self, id: &str) -> &Arc<Task> {
        self.state.task(&task_id(id)).unwrap_or_else(|| panic!("no task {id}"))
    }
}

/// A command and the answer to it.
struct Asked {
    history: History,
    answer: Result<Draft, Rejection>,
}

impl Asked {
    #[track_caller]
    fn then(self) -> History {
        let draft = self.answer.unwrap_or_else(|rejection| panic!("rejected: {rejection}"));
        self.history.write(draft)
    }

    #[track_caller]
    fn then_rejected(self, rejection: &Rejection) {
        assert_eq!(self.answer.as_ref(), Err(rejection));
    }

    #[track_caller]
    fn then_says(self, text: &str) {
        assert_eq!(self.answer.unwrap_err().to_string(), text);
    }
}

fn commitment(kind: PartKind, text: &str) -> Commitment {
    Commitment { kind, len: u32::try_from(text.len()).unwrap(), digest: [0; 32] }
}

fn part(kind: PartKind, text: Arc<str>) -> Part {
    Part { kind, body: Some(PartBody { salt: [0; 16], text }) }
}

pub(crate) fn task_id(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

pub(crate) fn thread_id(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

fn run_id(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn ids<'t>(tasks: impl Iterator<Item = &'t Arc<Task>>) -> Vec<&'t str> {
    tasks.map(|task| task.id.as_str()).collect()
}

/// A task on thread `main`, reported from elsewhere; the builders below change it.
pub(crate) fn task(id: &str) -> Spawn {
    Spawn { task: Some(task_id(id)), ..Spawn::new(thread_id("main"), "sub_agent") }
}

impl Spawn {
    pub(crate) fn on(self, thread: &str) -> Self {
        Self { thread: thread_id(thread), ..self }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    pub(crate) fn under(self, parent: &str) -> Self {
        Self { parent: Some(ParentRef { ledger: None, id: task_id(parent) }), ..self }
    }

    pub(crate) fn by_run(self, run: &str) -> Self {
        Self { run: Some(run_id(run)), ..self }
    }

    pub(crate) fn managed(self) -> Self {
        Self { host: MANAGED, ..self }
    }

    pub(crate) fn about(self, description: &str) -> Self {
        Self { description: description.into(), ..self }
    }

    pub(crate) fn spawned(self) -> Command {
        Command::Spawn(self)
    }

    fn restored(self, status: TaskStatus) -> Restore {
        let spawn = Spawn { created: Some(Millis(500)), ..self };
        Restore { spawn, status, error: None, result: None, completed: None }
    }
}

pub(crate) fn spawned(id: &str) -> Command {
    task(id).spawned()
}

pub(crate) fn finished(id: &str, outcome: Outcome) -> Command {
    let task = task_id(id);
    Command::Finish(Finish { task, outcome, error: None, result: None, completed: None })
}

pub(crate) fn completed(id: &str) -> Command {
    finished(id, Outcome::Completed)
}

pub(crate) fn failed(id: &str, error: &str) -> Command {
    let (task, error) = (task_id(id), Some(error.into()));
    Command::Finish(Finish { task, outcome: Outcome::Failed, error, result: None, completed: None })
}

fn update(id: &str) -> Update {
    Update { task: task_id(id), name: None, parent: None, description: None }
}

fn renamed(id: &str, name: &str) -> Command {
    Command::Update(Update { name: Some(Some(name.into())), ..update(id) })
}

fn moved(id: &str, parent: &str) -> Command {
    let parent = ParentRef { ledger: None, id: task_id(parent) };
    Command::Update(Update { parent: Some(Some(parent)), ..update(id) })
}

fn described(id: &str, description: &str) -> Command {
    Command::Update(Update { description: Some(description.into()), ..update(id) })
}

fn orphaned(id: &str) -> Command {
    Command::Orphan { task: task_id(id), error: "its manager is gone".into() }
}

fn cancel(scope: CancelScope) -> Cancel {
    Cancel { scope, task: None, thread: None, deadline: None, reason: None }
}

fn cancelled(id: &str) -> Command {
    Command::Cancel(Cancel { task: Some(task_id(id)), ..cancel(CancelScope::Task) })
}

fn tree_cancelled(id: &str) -> Command {
    Command::Cancel(Cancel { task: Some(task_id(id)), ..cancel(CancelScope::Tree) })
}

fn thread_cancelled(id: &str) -> Command {
    Command::Cancel(Cancel { thread: Some(thread_id(id)), ..cancel(CancelScope::Thread) })
}

fn run_cancelled(run: &str) -> Command {
    Command::Cancel(cancel(CancelScope::Run(run_id(run))))
}

fn messaged(id: &str, content: &str) -> Command {
    let (task, from, content) = (task_id(id), "user".into(), content.into());
    Command::Message { task, from, content, delivery: Delivery::Delivered }
}

fn emitted(id: &str, event_type: &str) -> Command {
    Command::Emit { task: task_id(id), event_type: event_type.into(), content: "{}".into() }
}

pub(crate) fn redacted(event: u64, about: &str, parts: &[PartKind]) -> Command {
    let parts: PartSet = parts.iter().copied().collect();
    let about = (Some(thread_id("main")), Some(task_id(about)));
    Command::Redact { seq: seq(event), about, parts, reason: "asked to".into() }
}
