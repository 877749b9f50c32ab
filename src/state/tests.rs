//! Given what happened, when something is asked for, then this is true or the rule is named.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cancelling;
mod encoding;
mod folding;
mod repeating;
mod rules;
mod tables;

pub(crate) use tables::full_state;

use super::{Draft, LedgerState, Rejection, Stamp, Task, TextBody, decide};
use crate::{
    command::{
        Cancel, CancelTarget, Command, Emit, Finish, Message, Orphan, ParentRef, Proposal, Redact,
        Restore, Spawn, Update,
    },
    event::{
        Action, Began, Commitment, Delivery, Entry, Event, Host, Outcome, Part, PartBody, PartKind,
        PartSet, TaskStatus,
    },
    ids::{AgentId, CallId, Epoch, Key, LedgerId, NodeId, RunId, Seq, TaskId, ThreadId},
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
        Millis(1_000 + self.state.size().get())
    }

    fn seq(&self) -> Seq {
        self.state.size().next_seq().unwrap()
    }

    fn when(self, proposal: impl Into<Proposal>) -> Asked {
        let stamp = Stamp { now: self.now(), number_floor: self.number_floor };
        let proposal = proposal.into();
        let mut answer = decide(&self.state, &proposal, stamp);
        if let (Ok(draft), Command::Redact(redact)) = (&mut answer, &proposal.command) {
            let about = self.entries.iter().find(|entry| entry.event.seq == redact.seq);
            let about = &about.unwrap().event;
            (draft.thread, draft.task) = (about.thread.clone(), about.task.clone());
        }
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
        self.fold(Entry { event, parts, withheld: PartSet::default(), batch_goes_on: false })
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
        self.fold(Entry {
            event,
            parts: vec![],
            withheld: PartSet::default(),
            batch_goes_on: false,
        })
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
    Spawn::new(thread_id("main"), "sub_agent").task(task_id(id))
}

impl Spawn {
    pub(crate) fn on(self, thread: &str) -> Self {
        Self { thread: thread_id(thread), ..self }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        self.name(name)
    }

    pub(crate) fn under(self, parent: &str) -> Self {
        self.parent(task_id(parent))
    }

    pub(crate) fn by_run(self, run: &str) -> Self {
        self.run(run_id(run))
    }

    pub(crate) fn managed(self) -> Self {
        self.host(MANAGED)
    }

    pub(crate) fn about(self, description: &str) -> Self {
        self.description(description)
    }

    pub(crate) fn spawned(self) -> Command {
        Command::Spawn(self)
    }

    fn restored(self, status: TaskStatus) -> Restore {
        Restore::new(self.created_at(Millis(500)), status)
    }
}

pub(crate) fn spawned(id: &str) -> Command {
    task(id).spawned()
}

pub(crate) fn finished(id: &str, outcome: Outcome) -> Command {
    Command::Finish(Finish::new(task_id(id), outcome))
}

pub(crate) fn completed(id: &str) -> Command {
    finished(id, Outcome::Completed)
}

pub(crate) fn failed(id: &str, error: &str) -> Command {
    Command::Finish(Finish::failed(task_id(id), error))
}

fn update(id: &str) -> Update {
    Update::new(task_id(id))
}

fn renamed(id: &str, name: &str) -> Command {
    Command::Update(update(id).name(name))
}

fn moved(id: &str, parent: &str) -> Command {
    Command::Update(update(id).parent(task_id(parent)))
}

fn described(id: &str, description: &str) -> Command {
    Command::Update(update(id).description(description))
}

fn orphaned(id: &str) -> Command {
    Command::from(Orphan::new(task_id(id), "its manager is gone"))
}

fn cancelled(id: &str) -> Command {
    Command::Cancel(Cancel::task(task_id(id)))
}

fn tree_cancelled(id: &str) -> Command {
    Command::Cancel(Cancel::tree(task_id(id)))
}

fn thread_cancelled(id: &str) -> Command {
    Command::Cancel(Cancel::thread(thread_id(id)))
}

fn run_cancelled(run: &str) -> Command {
    Command::Cancel(Cancel::run(run_id(run)))
}

fn messaged(id: &str, content: &str) -> Command {
    Command::from(Message::new(task_id(id), "user", content))
}

fn emitted(id: &str, event_type: &str) -> Command {
    Command::from(Emit::new(task_id(id), event_type, "{}"))
}

pub(crate) fn redacted(event: u64, parts: &[PartKind]) -> Command {
    let parts: PartSet = parts.iter().copied().collect();
    Command::from(Redact::new(seq(event), parts, "asked to"))
}
