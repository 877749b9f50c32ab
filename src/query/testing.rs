//! A log in memory for tests: events that `decide` accepts, and events that only a forger could
//! write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::{Now, Scope, Source};
use crate::{
    command::{Cancel, Command, Finish, Message, ParentRef, Proposal, Redact, Spawn, Update},
    event::{
        Action, Began, CancelScope, Cause, Commitment, Entry, Event, Host, Outcome, Parent, Part,
        PartBody, PartKind, PartSet,
    },
    ids::{Epoch, Head, LedgerId, NodeId, Root, RunId, Seq, Size, TaskId, ThreadId},
    ledger::ReadError,
    state::{Draft, LedgerState, Stamp, decide},
    time::Millis,
};
use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, Mutex},
    thread::{self, ThreadId as Reading},
};

pub(super) fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

pub(super) fn thread(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

pub(super) fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

/// A log of events 1, 2, 3, ..; time stands still unless the test moves it.
#[derive(Debug)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// The same, before any was forged.
    told: Vec<Entry>,
    state: LedgerState,
    clock: Millis,
    occurring: Option<Millis>,
    cause: Cause,
    run: Option<RunId>,
    /// The reads of single events: each with its thread.
    reads: Mutex<Vec<Reading>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            told: Vec::new(),
            state: LedgerState::default(),
            clock: Millis(1),
            occurring: None,
            cause: Cause::default(),
            run: None,
            reads: Mutex::default(),
        }
    }

    /// From now on events are recorded, and occur, at this time.
    pub(super) fn at(&mut self, at: u64) -> &mut Self {
        self.clock = Millis(at);
        self
    }

    /// The next event occurred at this time.
    pub(super) fn occurring(&mut self, at: u64) -> &mut Self {
        self.occurring = Some(Millis(at));
        self
    }

    /// From now on events have this cause.
    pub(super) fn by(&mut self, cause: Cause) -> &mut Self {
        self.cause = cause;
        self
    }

    /// From now on spawns belong to this run.
    pub(super) fn in_run(&mut self, id: Option<&str>) -> &mut Self {
        self.run = id.map(run);
        self
    }

    pub(super) fn began(&mut self) -> &mut Self {
        let action = Action::Began {
            ledger: LedgerId([1; 16]),
            node: NodeId([2; 16]),
            version: "0".into(),
            incarnation: self.state.incarnation() + 1,
            why: Began::Created,
        };
        let (occurred, cause) = (self.clock, Cause::default());
        let texts = vec![];
        self.push(Draft { thread: None, task: None, occurred, action, texts, cause, key: None })
    }

    pub(super) fn spawn(&mut self, on: &str, id: &str, parent: Option<&str>) -> &mut Self {
        let mut spawn = Spawn::new(thread(on), "sub_agent");
        spawn.task = Some(task(id));
        spawn.description = format!("what {id} is for").into();
        spawn.parent = parent.map(|id| ParentRef::from(task(id)));
        spawn.run.clone_from(&self.run);
        spawn.host = Host::Imported;
        self.say(Command::Spawn(spawn))
    }

    pub(super) fn finish(&mut self, id: &str) -> &mut Self {
        self.end(id, Outcome::Completed, None, Some("{}"))
    }

    pub(super) fn fail(&mut self, id: &str, error: &str) -> &mut Self {
        self.end(id, Outcome::Failed, Some(error), None)
    }

    pub(super) fn end(
        &mut self,
        id: &str,
        outcome: Outcome,
        error: Option<&str>,
        result: Option<&str>,
    ) -> &mut Self {
        let (error, result) = (error.map(Arc::from), result.map(Arc::from));
        self.say(Command::Finish(Finish { error, result, ..Finish::new(task(id), outcome) }))
    }

    pub(super) fn reparent(&mut self, id: &str, parent: Option<&str>) -> &mut Self {
        let parent = parent.map(|id| ParentRef::from(task(id)));
        self.say(Command::Update(Update { parent: Some(parent), ..Update::new(task(id)) }))
    }

    pub(super) fn rename(&mut self, id: &str, name: &str, description: &str) -> &mut Self {
        self.say(Command::Update(Update::new(task(id)).name(name).description(description)))
    }

    pub(super) fn message(&mut self, id: &str, content: &str) -> &mut Self {
        self.say(Message::new(task(id), "main", content).into())
    }

    pub(super) fn cancel(&mut self, scope: CancelScope, id: &str) -> &mut Self {
        let cancel = match scope {
            CancelScope::Task => Cancel::task(task(id)),
            CancelScope::Tree => Cancel::tree(task(id)),
            CancelScope::Thread => Cancel::thread(thread(id)),
            CancelScope::Run(run) => Cancel::run(run),
        };
        self.say(cancel.reason("enough").into())
    }

    pub(super) fn redact(&mut self, seq: u64, parts: PartSet) -> &mut Self {
        let seq = Seq::new(seq).unwrap();
        self.say(Redact::new(seq, parts, "secret").into())
    }

    /// Records the events of a command.
    pub(super) fn say(&mut self, command: Command) -> &mut Self {
        let mut proposal = Proposal::new(command);
        proposal.occurred = self.occurring.take();
        proposal.cause.clone_from(&self.cause);
        let stamp = Stamp { now: self.clock, number_floor: 0 };
        let mut draft = decide(&self.state, &proposal, stamp).unwrap();
        if let Command::Redact(redact) = &proposal.command {
            let about = &self.entries[usize::try_from(redact.seq.leaf_index()).unwrap()].event;
            (draft.thread, draft.task) = (about.thread.clone(), about.task.clone());
        }
        self.push(draft)
    }

    fn push(&mut self, draft: Draft) -> &mut Self {
        let state = &self.state;
        let commit = |(kind, text): &(PartKind, Arc<str>)| Commitment {
            kind: *kind,
            len: u32::try_from(text.len()).unwrap(),
            digest: [0; 32],
        };
        let part = |(kind, text): &(PartKind, Arc<str>)| Part {
            kind: *kind,
            body: Some(PartBody { salt: [0; 16], text: Arc::clone(text) }),
        };
        let of_thread = draft.thread.as_ref().and_then(|id| state.thread(id));
        let of_task = draft.task.as_ref().and_then(|id| state.task(id));
        let entry = Entry {
            event: Event {
                seq: state.size().next_seq().unwrap(),
                epoch: Epoch { number: 1, nonce: 1 },
                recorded: self.clock,
                occurred: draft.occurred,
                prev_in_thread: of_thread.map(|thread| thread.last_seq),
                prev_in_task: of_task.map(|task| task.last_seq),
                thread: draft.thread,
                task: draft.task,
                cause: draft.cause,
                key: draft.key,
                action: draft.action,
                parts: draft.texts.iter().map(commit).collect(),
            },
            withheld: PartSet::default(),
            parts: draft.texts.iter().map(part).collect(),
            batch_goes_on: false,
        };
        self.state.apply(&entry);
        self.told.push(entry.clone());
        self.entries.push(entry);
        self
    }

    /// Changes an event that is in the log already; the state stays what it was.
    pub(super) fn forge(&mut self, seq: u64, change: impl FnOnce(&mut Event)) {
        change(&mut self.entries[usize::try_from(seq - 1).unwrap()].event);
    }

    /// Gives a task a parent that no rule would allow.
    pub(super) fn forge_parent(&mut self, id: &str, parent: Option<&str>) {
        let held = Arc::clone(self.state.task(&task(id)).unwrap());
        let mut record = held.record.clone();
        record.parent = parent.map(|id| Parent::Local(task(id)));
        self.push(Draft {
            thread: Some(held.thread.clone()),
            task: Some(held.id.clone()),
            occurred: self.clock,
            action: Action::Upserted { record },
            texts: vec![],
            cause: Cause::default(),
            key: None,
        });
    }

    pub(super) fn state_now(&self) -> LedgerState {
        self.state.clone()
    }

    /// The number of reads of single events.
    pub(super) fn reads(&self) -> usize {
        self.reads.lock().unwrap().len()
    }

    /// The number of threads that read single events.
    pub(super) fn readers(&self) -> usize {
        let mut readers: Vec<Reading> = Vec::new();
        for reader in &*self.reads.lock().unwrap() {
            if !readers.contains(reader) {
                readers.push(*reader);
            }
        }
        readers.len()
    }

    fn masked(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        entry.erase(self.state.redacted(entry.event.seq));
        entry
    }

    fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        self.reads.lock().unwrap().push(thread::current().id());
        let found = self.entries.get(usize::try_from(seq.leaf_index()).unwrap());
        let head = Head { size: self.state.size(), root: Root::EMPTY };
        found.map(|entry| self.masked(entry)).ok_or(ReadError::NoSuchEvent { seq, head })
    }
}

impl Source for Log {
    fn now(&self) -> Result<Now, ReadError> {
        Ok(Now::of(&self.state))
    }

    fn redacted(&self, seq: Seq) -> Result<PartSet, ReadError> {
        Ok(self.state.redacted(seq))
    }

    /// No more than a source has to give.
    fn state_of(&self, scope: Scope<'_>) -> Result<LedgerState, ReadError> {
        Ok(narrow(&self.state, &self.told, scope))
    }

    fn state_at(&self, size: Size) -> Result<LedgerState, ReadError> {
        let mut state = LedgerState::default();
        for entry in self.entries.iter().take(usize::try_from(size.get()).unwrap()) {
            state.apply(&self.masked(entry));
        }
        Ok(state)
    }

    fn cursor(&self) -> impl FnMut(Seq) -> Result<Entry, ReadError> {
        |seq| self.entry(seq)
    }

    fn scan<E: From<ReadError>>(
        &self,
        from: Seq,
        to: Seq,
        mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        for entry in self.entries.iter().filter(|e| e.event.seq >= from && e.event.seq <= to) {
            if visit(self.masked(entry))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The least that [`Source::state_of`] may answer: the events of the scope and of its ancestors,
/// the requests to stop their threads, the marks of runs, what is redacted, and the end of the log.
fn narrow(now: &LedgerState, entries: &[Entry], scope: Scope<'_>) -> LedgerState {
    let mut tasks: Vec<&TaskId> = match scope {
        Scope::All => return now.clone(),
        Scope::Thread(id) => now.tasks_in(id).map(|task| &task.id).collect(),
        Scope::Task(id) => now.task(id).map(|task| &task.id).into_iter().collect(),
    };
    // The last event is there as well, so its task is: all of it or nothing.
    tasks.extend(entries.last().and_then(|entry| entry.event.task.as_ref()));
    let above = tasks.iter().flat_map(|id| now.ancestors(id)).map(|task| &task.id);
    let wanted: BTreeSet<&TaskId> = above.chain(tasks.iter().copied()).collect();
    let threads: BTreeSet<&ThreadId> =
        wanted.iter().filter_map(|id| now.task(id)).map(|task| &task.thread).collect();
    let stops_thread = |event: &Event| {
        matches!(event.action, Action::CancelRequested { scope: CancelScope::Thread, .. })
            && event.thread.as_ref().is_some_and(|thread| threads.contains(thread))
    };
    let belongs = |event: &Event| {
        event.task.as_ref().is_some_and(|task| wanted.contains(task))
            || matches!(scope, Scope::Thread(id) if event.thread.as_ref() == Some(id))
            || matches!(
                event.action,
                Action::CancelRequested { scope: CancelScope::Run(_), .. }
                    | Action::Redacted { .. }
            )
            || stops_thread(event)
            || event.seq.get() == now.size()
    };
    let mut state = LedgerState::default();
    entries.iter().filter(|entry| belongs(&entry.event)).for_each(|entry| state.apply(entry));
    state
}
