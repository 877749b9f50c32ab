//! The rules once more, and what a command comes to: written against the words of the design, not
//! against `state::decide`.
//!
//! A command may break several rules at once, and nobody promises which of them is named. So
//! [`Model::broken`] answers with all of them: the ledger must accept exactly what breaks none, and
//! name one of them otherwise.

use super::{Model, ModelTask, managed, trim};
use std::{collections::BTreeSet, sync::Arc};
use taskledger::{
    command::{
        Cancel, CancelTarget, Command, Expect, ParentRef, Proposal, Redact, Restore, Spawn,
        TaskRef, Update,
    },
    event::{
        Action, CancelScope, Entry, Host, Parent, PartKind, PartSet, Restored, TaskRecord,
        TaskStatus,
    },
    ids::{RunId, Seq, TaskId, ThreadId},
    time::Millis,
};

/// The names of rules that a command breaks: those of the variants of `Rejection` and
/// `AppendError`.
pub type Broken = BTreeSet<&'static str>;

/// What a command comes to: what an event says, without its number, times and links.
#[derive(Debug, Clone)]
pub struct Said {
    /// The thread that it belongs to.
    pub thread: Option<ThreadId>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// What is said.
    pub action: Action,
    /// The texts beside it.
    pub texts: Vec<(PartKind, Arc<str>)>,
}

impl Model {
    /// Every rule that `proposal` breaks behind `entries`, which this model is the fold of.
    #[must_use]
    pub fn broken(&self, entries: &[Entry], proposal: &Proposal) -> Broken {
        let mut broken = Broken::new();
        if !self.is_as_expected(proposal.expect.as_ref()) {
            broken.insert("Conflict");
        }
        match &proposal.command {
            Command::Spawn(spawn) => self.check_spawn(spawn, true, &mut broken),
            Command::Update(update) => self.check_update(update, &mut broken),
            Command::Finish(finish) => self.check_running_task(id(&finish.task), &mut broken),
            Command::Restore(restore) => self.check_restore(restore, &mut broken),
            Command::Orphan(orphan) => {
                let task = id(&orphan.task);
                self.check_running_task(task, &mut broken);
                if self.find(task).is_some_and(|task| !managed(&task.record)) {
                    broken.insert("NotManaged");
                }
            }
            Command::Cancel(cancel) => self.check_cancel(cancel, &mut broken),
            Command::Message(message) => {
                check_label(&message.from, &mut broken);
                self.check_known(id(&message.task), &mut broken);
            }
            Command::Emit(emit) => {
                check_label(&emit.event_type, &mut broken);
                self.check_known(id(&emit.task), &mut broken);
            }
            Command::Redact(redact) => {
                self.check_redaction(entries, redact.seq, redact.parts, &mut broken);
            }
        }
        broken
    }

    /// What `proposal`, which breaks no rule, comes to. `number` is what an id that is assigned
    /// has.
    #[must_use]
    pub fn said(
        &self,
        entries: &[Entry],
        proposal: &Proposal,
        occurred: Millis,
        number: u64,
    ) -> Said {
        match &proposal.command {
            Command::Spawn(spawn) => {
                let record = self.record(spawn, spawn.created.unwrap_or(occurred));
                let task = spawn.task.clone().or_else(|| TaskId::new(format!("bg_{number}")).ok());
                let action = Action::Upserted { record };
                let said = Said { thread: Some(spawn.thread.clone()), task, action, texts: vec![] };
                said.described(&spawn.description)
            }
            Command::Update(update) => {
                let record = self.updated(update);
                let said =
                    self.about(id(&update.task), record.map(|r| Action::Upserted { record: r }));
                said.with(PartKind::Description, update.description.as_ref())
            }
            Command::Finish(finish) => {
                let completed = finish.completed.unwrap_or(occurred);
                let action = Action::Terminated { outcome: finish.outcome, completed };
                let said = self.about(id(&finish.task), Some(action));
                said.with(PartKind::Error, finish.error.as_ref())
                    .with(PartKind::Result, finish.result.as_ref())
            }
            Command::Restore(restore) => {
                let Restore { spawn, status, error, result, completed, .. } = restore;
                let record = self.record(spawn, spawn.created.unwrap_or(occurred));
                let why = Restored::Snapshot { record, status: *status, completed: *completed };
                let (thread, task) = (Some(spawn.thread.clone()), spawn.task.clone());
                let action = Action::Restored { why };
                let said = Said { thread, task, action, texts: vec![] };
                said.described(&spawn.description)
                    .with(PartKind::Error, error.as_ref())
                    .with(PartKind::Result, result.as_ref())
            }
            Command::Orphan(orphan) => {
                let why = Restored::Orphaned { completed: occurred };
                let said = self.about(id(&orphan.task), Some(Action::Restored { why }));
                said.with(PartKind::Error, Some(&orphan.error))
            }
            Command::Cancel(cancel) => self.said_of_cancel(cancel),
            Command::Message(message) => {
                let (from, delivery) = (Arc::clone(&message.from), message.delivery);
                let action = Action::Messaged { from, delivery };
                let said = self.about(id(&message.task), Some(action));
                said.with(PartKind::Content, Some(&message.content))
            }
            Command::Emit(emit) => {
                let action = Action::Emitted { event_type: Arc::clone(&emit.event_type) };
                let said = self.about(id(&emit.task), Some(action));
                said.with(PartKind::Content, Some(&emit.content))
            }
            Command::Redact(Redact { seq, parts, reason, .. }) => {
                let of = entries.iter().find(|entry| entry.event.seq == *seq);
                let thread = of.and_then(|entry| entry.event.thread.clone());
                let task = of.and_then(|entry| entry.event.task.clone());
                let action = Action::Redacted { seq: *seq, parts: *parts };
                let said = Said { thread, task, action, texts: vec![] };
                said.with(PartKind::Reason, Some(reason))
            }
        }
    }

    fn said_of_cancel(&self, cancel: &Cancel) -> Said {
        let deadline = cancel.deadline;
        let action = |scope| Action::CancelRequested { scope, deadline };
        let whole =
            |thread, scope| Said { thread, task: None, action: action(scope), texts: vec![] };
        let said = match &cancel.target {
            CancelTarget::Task(task) => self.about(id(task), Some(action(CancelScope::Task))),
            CancelTarget::Tree(task) => self.about(id(task), Some(action(CancelScope::Tree))),
            CancelTarget::Thread(thread) => whole(Some(thread.clone()), CancelScope::Thread),
            CancelTarget::Run(run) => whole(None, CancelScope::Run(run.clone())),
        };
        said.with(PartKind::Reason, cancel.reason.as_ref())
    }

    fn is_as_expected(&self, expect: Option<&Expect>) -> bool {
        match expect {
            None => true,
            Some(Expect::Task(id, seen)) => *seen == self.last_of_task(id),
            Some(Expect::Thread(id, seen)) => *seen == self.last_of_thread(id),
        }
    }

    fn check_spawn(&self, spawn: &Spawn, starts: bool, broken: &mut Broken) {
        check_label(&spawn.task_type, broken);
        check_name(spawn.name.as_ref(), broken);
        check_description(&spawn.description, broken);
        if let Some(id) = &spawn.task {
            self.check_new(id, broken);
        }
        if let (Some(id), Some(parent)) = (&spawn.task, &spawn.parent)
            && parent.id() == Some(id)
            && (parent.ledger().is_none() || parent.ledger() == self.ledger)
        {
            broken.insert("Cycle");
        }
        if starts && matches!(spawn.host, Host::Managed { .. }) {
            self.check_managed_name(&spawn.thread, spawn.name.as_ref(), broken);
            let parent = spawn.parent.as_ref().map(|parent| self.resolved(parent));
            self.check_not_cancelled(spawn.run.as_ref(), parent.as_ref(), broken);
        }
    }

    fn check_restore(&self, restore: &Restore, broken: &mut Broken) {
        let Restore { spawn, status, error, result, completed, .. } = restore;
        self.check_spawn(spawn, false, broken);
        if spawn.task.is_none() {
            broken.insert("RestoreWithoutId");
        }
        if spawn.created.is_none() {
            broken.insert("RestoreWithoutCreated");
        }
        if *status == TaskStatus::Running {
            if error.is_some() || result.is_some() || completed.is_some() {
                broken.insert("RestoreRunningWithOutcome");
            }
            if matches!(spawn.host, Host::Managed { .. }) {
                self.check_managed_name(&spawn.thread, spawn.name.as_ref(), broken);
            }
        }
    }

    fn check_update(&self, update: &Update, broken: &mut Broken) {
        let Update { task, name, parent, description, .. } = update;
        let task = id(task);
        self.check_running_task(task, broken);
        if name.is_none() && parent.is_none() && description.is_none() {
            broken.insert("NothingToUpdate");
        }
        if let Some(text) = description {
            check_description(text, broken);
        }
        let Some(held) = self.find(task) else { return };
        if let Some(name) = name
            && *name != held.record.name
        {
            check_name(name.as_ref(), broken);
            if managed(&held.record) {
                self.check_managed_name(&held.thread, name.as_ref(), broken);
            }
        }
        if let Some(Some(parent)) = parent {
            let parent = self.resolved(parent);
            if matches!(&parent, Parent::Local(id) if self.is_at_or_below(id, task)) {
                broken.insert("Cycle");
            }
            if managed(&held.record) && held.record.parent.as_ref() != Some(&parent) {
                self.check_not_cancelled(None, Some(&parent), broken);
            }
        }
    }

    fn check_cancel(&self, cancel: &Cancel, broken: &mut Broken) {
        match &cancel.target {
            CancelTarget::Task(task) | CancelTarget::Tree(task) => {
                self.check_known(id(task), broken);
            }
            CancelTarget::Thread(thread) => {
                if self.threads.iter().all(|held| held.id != *thread) {
                    broken.insert("UnknownThread");
                }
            }
            CancelTarget::Run(_) => {}
        }
    }

    fn check_redaction(&self, entries: &[Entry], seq: Seq, parts: PartSet, broken: &mut Broken) {
        let Some(entry) = entries.iter().find(|entry| entry.event.seq == seq) else {
            broken.insert("RedactUnknown");
            return;
        };
        if !entry.event.parts.iter().any(|part| parts.contains(part.kind)) {
            broken.insert("RedactNoSuchText");
        }
        if parts.is_empty() {
            broken.insert("RedactNothing");
        }
        let known = self.redactions.get(&seq).copied().unwrap_or_default();
        if PartKind::ALL.iter().all(|kind| !parts.contains(*kind) || known.contains(*kind)) {
            broken.insert("AlreadyRedacted");
        }
    }

    fn check_known(&self, task: &TaskId, broken: &mut Broken) {
        if self.find(task).is_none() {
            broken.insert("UnknownTask");
        }
    }

    fn check_running_task(&self, task: &TaskId, broken: &mut Broken) {
        self.check_known(task, broken);
        if self.find(task).is_some_and(|task| task.terminal_seq.is_some()) {
            broken.insert("AlreadyEnded");
        }
    }

    fn check_new(&self, id: &TaskId, broken: &mut Broken) {
        if self.find(id).is_some() {
            broken.insert("TaskExists");
        }
        if looks_like_a_number(id.as_str()) && canonical_number(id.as_str()).is_none() {
            broken.insert("BadNumber");
        }
    }

    fn check_managed_name(&self, thread: &ThreadId, name: Option<&Arc<str>>, broken: &mut Broken) {
        let Some(name) = name else { return };
        if ["parent", "self", "all", "broadcast"].contains(&&**name) {
            broken.insert("ReservedName");
        }
        if looks_like_a_number(name) {
            broken.insert("NameLooksLikeId");
        }
        let holds = |task: &&ModelTask| {
            task.thread == *thread
                && task.terminal_seq.is_none()
                && managed(&task.record)
                && task.record.name.as_ref() == Some(name)
        };
        if self.tasks.iter().any(|task| holds(&task)) {
            broken.insert("NameTaken");
        }
    }

    /// Neither the run itself, nor that of the root above, nor any tree above was cancelled.
    fn check_not_cancelled(
        &self,
        run: Option<&RunId>,
        parent: Option<&Parent>,
        broken: &mut Broken,
    ) {
        let marked =
            |run: Option<&RunId>| run.is_some_and(|run| self.run_marks.contains_key(&trim(run)));
        if marked(run) {
            broken.insert("ParentRunCancelled");
        }
        let Some(Parent::Local(parent)) = parent else { return };
        let Some(parent) = self.find(parent) else { return };
        let mut above = self.ancestors(parent);
        above.push(parent);
        for task in above {
            if task.tree_cancel_seq.is_some() {
                broken.insert("ParentCancelled");
            }
            let spawned_here = matches!(task.record.parent, Some(Parent::Local(_)));
            if !spawned_here && marked(task.record.run.as_ref()) {
                broken.insert("ParentRunCancelled");
            }
        }
    }

    fn is_at_or_below(&self, id: &TaskId, top: &TaskId) -> bool {
        let above = self.find(id).map(|task| self.ancestors(task)).unwrap_or_default();
        id == top || above.iter().any(|task| task.id == *top)
    }

    fn resolved(&self, parent: &ParentRef) -> Parent {
        let (ledger, id) = match parent {
            ParentRef::Task(task) => (None, id(task).clone()),
            ParentRef::InLedger { ledger, id } => (Some(*ledger), id.clone()),
        };
        let ours = ledger.is_none() || ledger == self.ledger;
        if ours && self.find(&id).is_some() {
            Parent::Local(id)
        } else {
            Parent::External { ledger, id }
        }
    }

    fn record(&self, spawn: &Spawn, created: Millis) -> TaskRecord {
        TaskRecord {
            task_type: Arc::clone(&spawn.task_type),
            name: spawn.name.clone(),
            parent: spawn.parent.as_ref().map(|parent| self.resolved(parent)),
            run: spawn.run.clone(),
            call: spawn.call.clone(),
            agent: spawn.agent.clone(),
            created,
            host: spawn.host,
        }
    }

    fn updated(&self, update: &Update) -> Option<TaskRecord> {
        let mut record = self.find(id(&update.task))?.record.clone();
        if let Some(name) = &update.name {
            record.name.clone_from(name);
        }
        if let Some(parent) = &update.parent {
            record.parent = parent.as_ref().map(|parent| self.resolved(parent));
        }
        Some(record)
    }

    /// Says something about a task that is known. What is said of another is never asked for.
    fn about(&self, task: &TaskId, action: Option<Action>) -> Said {
        let thread = self.find(task).map(|task| task.thread.clone());
        let action = action.unwrap_or(Action::Emitted { event_type: "unknown task".into() });
        Said { thread, task: Some(task.clone()), action, texts: vec![] }
    }
}

/// The id of a task that is asked about: nothing here is asked about a task without one.
fn id(task: &TaskRef) -> &TaskId {
    task.id().unwrap_or_else(|| unreachable!("a task is named by its id"))
}

impl Said {
    fn with(mut self, kind: PartKind, text: Option<&Arc<str>>) -> Self {
        self.texts.extend(text.map(|text| (kind, Arc::clone(text))));
        self
    }

    /// A task that is not described has no such text.
    fn described(self, text: &Arc<str>) -> Self {
        self.with(PartKind::Description, Some(text).filter(|text| !text.is_empty()))
    }
}

/// An identifier or nothing at all.
fn check_label(label: &str, broken: &mut Broken) {
    if label.len() > 256 || label.chars().any(char::is_control) {
        broken.insert("InvalidLabel");
    }
}

fn check_name(name: Option<&Arc<str>>, broken: &mut Broken) {
    let Some(name) = name else { return };
    if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        broken.insert("InvalidName");
    }
}

fn check_description(text: &str, broken: &mut Broken) {
    if text.len() > 4_096 {
        broken.insert("TooLarge");
    }
}

fn looks_like_a_number(id: &str) -> bool {
    let digits = id.strip_prefix("bg_").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The n of `bg_n`, spelled in its one way.
pub(super) fn canonical_number(id: &str) -> Option<u64> {
    let number: u64 = id.strip_prefix("bg_")?.parse().ok()?;
    (id == format!("bg_{number}") && number < 1 << 53).then_some(number)
}
