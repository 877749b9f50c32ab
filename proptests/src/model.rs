//! The fold once more, as plainly as it can be said: lists that are searched from end to end.
//!
//! Written against the words of the design, not against `state/apply.rs`, so that one of the two
//! is caught when they differ. Start reading at [`Model::of`], then [`Model::check`].

mod rules;

pub use rules::{Broken, Said};

use rules::canonical_number;
use std::{collections::BTreeMap, sync::Arc};
use taskledger::{
    event::{
        Action, CancelScope, Entry, Event, Host, Parent, PartKind, PartSet, Restored, TaskRecord,
        TaskStatus,
    },
    ids::{Epoch, Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    state::{Counts, KEYS_MAX, LedgerState, Task, Text, TextBody, Thread},
    time::Millis,
};

/// What is true after some events, in lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    size: u64,
    recorded: Millis,
    ledger: Option<LedgerId>,
    incarnation: u64,
    epochs: Vec<(Seq, Epoch)>,
    tasks: Vec<ModelTask>,
    threads: Vec<ModelThread>,
    keys: Vec<(Key, Seq)>,
    redactions: BTreeMap<Seq, PartSet>,
    run_marks: BTreeMap<String, Seq>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelTask {
    id: TaskId,
    thread: ThreadId,
    record: TaskRecord,
    status: TaskStatus,
    texts: BTreeMap<PartKind, Text>,
    completed: Option<Millis>,
    terminal_seq: Option<Seq>,
    cancel_seq: Option<Seq>,
    tree_cancel_seq: Option<Seq>,
    last_activity: Millis,
    events: Vec<Seq>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelThread {
    id: ThreadId,
    events: Vec<(Seq, Millis)>,
}

impl Model {
    /// Folds these entries.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut model = Self::default();
        entries.into_iter().for_each(|entry| model.fold(entry));
        model
    }

    /// Folds one more entry.
    pub fn fold(&mut self, entry: &Entry) {
        let event = &entry.event;
        self.size = event.seq.get();
        self.recorded = event.recorded;
        self.keys.extend(event.key.map(|key| (key, event.seq)));
        match &event.action {
            Action::Began { ledger, incarnation, .. } => {
                self.ledger = Some(*ledger);
                self.incarnation = *incarnation;
                if self.epochs.last().map(|(_, epoch)| epoch) != Some(&event.epoch) {
                    self.epochs.push((event.seq, event.epoch));
                }
            }
            Action::CancelRequested { scope: CancelScope::Run(run), .. } => {
                self.run_marks.entry(trim(run)).or_insert(event.seq);
            }
            Action::Redacted { seq, parts } => self.redact(event, *seq, *parts),
            Action::Upserted { .. }
            | Action::Terminated { .. }
            | Action::Restored { .. }
            | Action::CancelRequested { .. }
            | Action::Messaged { .. }
            | Action::Emitted { .. } => {}
        }
        let known = self.tasks.iter().any(|task| Some(&task.id) == event.task.as_ref());
        if known {
            self.change(entry);
        } else {
            self.insert(entry);
        }
        self.count_in_thread(event);
    }

    /// The number of the last event in it; 0 before the first.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When the last event in it was recorded.
    #[must_use]
    pub fn recorded(&self) -> Millis {
        self.recorded
    }

    /// Which ledger this is, once a writer has said so.
    #[must_use]
    pub fn ledger(&self) -> Option<LedgerId> {
        self.ledger
    }

    /// The last writer's number.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The epoch in charge.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epochs.last().map(|(_, epoch)| *epoch)
    }

    /// The newest event of a task.
    #[must_use]
    pub fn last_of_task(&self, id: &TaskId) -> Option<Seq> {
        self.find(id)?.events.last().copied()
    }

    /// The newest event of a thread.
    #[must_use]
    pub fn last_of_thread(&self, id: &ThreadId) -> Option<Seq> {
        let thread = self.threads.iter().find(|thread| thread.id == *id)?;
        thread.events.last().map(|(seq, _)| *seq)
    }

    /// Every task with its thread, in the order in which they came.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &ThreadId)> {
        self.tasks.iter().map(|task| (&task.id, &task.thread))
    }

    /// Every thread, in the order in which they came.
    pub fn threads(&self) -> impl Iterator<Item = &ThreadId> {
        self.threads.iter().map(|thread| &thread.id)
    }

    /// The event that has this key.
    #[must_use]
    pub fn key(&self, key: &Key) -> Option<Seq> {
        let known = self.keys.iter().rev().take(KEYS_MAX);
        known.filter(|(known, _)| known == key).map(|(_, seq)| *seq).next()
    }

    /// Which texts are redacted, of which events.
    #[must_use]
    pub fn redactions(&self) -> &BTreeMap<Seq, PartSet> {
        &self.redactions
    }

    /// One more than the highest number of an id `bg_n`; 0 if there are none.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        let numbers = self.tasks.iter().filter_map(|task| canonical_number(task.id.as_str()));
        numbers.max().map_or(0, |highest| highest + 1)
    }

    fn find(&self, id: &TaskId) -> Option<&ModelTask> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    fn redact(&mut self, event: &Event, seq: Seq, parts: PartSet) {
        let known = self.redactions.entry(seq).or_default();
        *known = PartKind::ALL
            .into_iter()
            .filter(|kind| known.contains(*kind) || parts.contains(*kind))
            .collect();
        for task in self.tasks.iter_mut().filter(|task| Some(&task.id) == event.task.as_ref()) {
            for (kind, text) in &mut task.texts {
                // An empty text, which may stand for none, has nothing to erase.
                if parts.contains(*kind) && text.seq == seq && text.len > 0 {
                    text.body = TextBody::Erased;
                }
            }
        }
    }

    fn insert(&mut self, entry: &Entry) {
        let event = &entry.event;
        let (Some(task), Some(thread)) = (&event.task, &event.thread) else { return };
        let (record, status, completed) = match &event.action {
            Action::Upserted { record } => (record, TaskStatus::Running, None),
            Action::Restored { why: Restored::Snapshot { record, status, completed } } => {
                (record, *status, *completed)
            }
            Action::Terminated { .. }
            | Action::Restored { why: Restored::Orphaned { .. } }
            | Action::CancelRequested { .. }
            | Action::Messaged { .. }
            | Action::Emitted { .. }
            | Action::Redacted { .. }
            | Action::Began { .. } => return,
        };
        let mut texts = texts(entry);
        texts.entry(PartKind::Description).or_insert_with(|| Text {
            seq: event.seq,
            len: 0,
            body: TextBody::Kept("".into()),
        });
        self.tasks.push(ModelTask {
            id: task.clone(),
            thread: thread.clone(),
            record: record.clone(),
            status,
            texts,
            completed,
            terminal_seq: (status != TaskStatus::Running).then_some(event.seq),
            cancel_seq: None,
            tree_cancel_seq: None,
            last_activity: event.occurred,
            events: vec![event.seq],
        });
        if self.threads.iter().all(|held| held.id != *thread) {
            self.threads.push(ModelThread { id: thread.clone(), events: vec![] });
        }
    }

    fn change(&mut self, entry: &Entry) {
        let event = &entry.event;
        let mut tasks = self.tasks.iter_mut();
        let task = tasks.find(|task| Some(&task.id) == event.task.as_ref());
        let Some(task) = task.filter(|task| Some(&task.thread) == event.thread.as_ref()) else {
            return;
        };
        if matches!(&event.action, Action::CancelRequested { scope, .. }
            if matches!(scope, CancelScope::Thread | CancelScope::Run(_)))
            || matches!(event.action, Action::Began { .. })
        {
            return;
        }
        task.events.push(event.seq);
        let active = match &event.action {
            Action::Upserted { record } => {
                task.record.name.clone_from(&record.name);
                task.record.parent.clone_from(&record.parent);
                let new = texts(entry).remove(&PartKind::Description);
                task.texts.extend(new.map(|text| (PartKind::Description, text)));
                true
            }
            Action::Terminated { outcome, completed } => {
                task.end(entry, (*outcome).into(), *completed)
            }
            Action::Restored { why: Restored::Orphaned { completed } } => {
                task.end(entry, TaskStatus::Failed, *completed)
            }
            Action::CancelRequested { scope, .. } => {
                task.cancel_seq = task.cancel_seq.or(Some(event.seq));
                if *scope == CancelScope::Tree {
                    task.tree_cancel_seq = task.tree_cancel_seq.or(Some(event.seq));
                }
                false
            }
            Action::Messaged { .. } | Action::Emitted { .. } => true,
            Action::Restored { why: Restored::Snapshot { .. } }
            | Action::Redacted { .. }
            | Action::Began { .. } => false,
        };
        if active && event.occurred > task.last_activity {
            task.last_activity = event.occurred;
        }
    }

    /// A thread's events are those of its tasks, and those about all of it.
    fn count_in_thread(&mut self, event: &Event) {
        let owned = self.tasks.iter().any(|task| task.events.last() == Some(&event.seq));
        let whole = match &event.action {
            Action::CancelRequested { scope, .. } => {
                matches!(scope, CancelScope::Thread | CancelScope::Run(_))
            }
            Action::Redacted { .. } => event.task.is_none(),
            Action::Upserted { .. }
            | Action::Terminated { .. }
            | Action::Restored { .. }
            | Action::Messaged { .. }
            | Action::Emitted { .. }
            | Action::Began { .. } => false,
        };
        let thread = self.threads.iter_mut().find(|held| Some(&held.id) == event.thread.as_ref());
        if let Some(thread) = thread.filter(|_| owned || whole) {
            thread.events.push((event.seq, event.occurred));
        }
    }

    /// Asks `state` everything, and tells the first answer that differs.
    ///
    /// # Errors
    /// What was asked, and both answers.
    pub fn check(&self, state: &LedgerState) -> Result<(), String> {
        same("size", &state.size(), &self.size)?;
        same("recorded", &state.recorded(), &self.recorded)?;
        same("ledger", &state.ledger(), &self.ledger)?;
        same("incarnation", &state.incarnation(), &self.incarnation)?;
        same("epochs", &state.epochs().collect(), &self.epochs)?;
        same("epoch", &state.epoch(), &self.epochs.last().map(|(_, epoch)| *epoch))?;
        let redactions: BTreeMap<Seq, PartSet> = state.redactions().collect();
        same("redactions", &redactions, &self.redactions)?;
        self.check_numbers(state)?;
        self.check_keys(state)?;
        self.check_tasks(state)?;
        self.check_threads(state)?;
        self.check_runs(state)?;
        self.check_running(state)
    }

    fn check_numbers(&self, state: &LedgerState) -> Result<(), String> {
        same("next number", &state.next_number(), &self.next_number())
    }

    fn check_keys(&self, state: &LedgerState) -> Result<(), String> {
        let forgotten = self.keys.len().saturating_sub(KEYS_MAX);
        let last: BTreeMap<Key, Seq> = self.keys.iter().skip(forgotten).copied().collect();
        for byte in 0..=u8::MAX {
            let key = Key([byte; 16]);
            same("key", &state.key(&key), &last.get(&key).copied())?;
        }
        Ok(())
    }

    fn check_tasks(&self, state: &LedgerState) -> Result<(), String> {
        let ids = |tasks: &mut dyn Iterator<Item = &ModelTask>| -> Vec<TaskId> {
            tasks.map(|task| task.id.clone()).collect()
        };
        same("tasks", &listed(state.tasks()), &ids(&mut self.tasks.iter()))?;
        same("count of tasks", &state.tasks_len(), &self.tasks.len())?;
        same("counts", &state.counts(), &counts(self.tasks.iter()))?;
        for task in &self.tasks {
            let held = state.task(&task.id).ok_or_else(|| format!("no task {}", task.id))?;
            task.check(held)?;
            same("tree mark", &state.tree_mark(&task.id), &task.tree_cancel_seq)?;
            let mut above = self.ancestors(task).into_iter();
            same("ancestors", &listed(state.ancestors(&task.id)), &ids(&mut above))?;
            same("depth", &state.depth(&task.id), &(1 + self.ancestors(task).len()))?;
            let parent = Some(Parent::Local(task.id.clone()));
            let mut below = self.tasks.iter().filter(|child| child.record.parent == parent);
            same("children", &listed(state.children(&task.id)), &ids(&mut below))?;
        }
        Ok(())
    }

    fn ancestors(&self, task: &ModelTask) -> Vec<&ModelTask> {
        let mut above: Vec<&ModelTask> = Vec::new();
        let mut at = task;
        while let Some(Parent::Local(parent)) = &at.record.parent
            && let Some(next) = self.tasks.iter().find(|held| held.id == *parent)
            && next.id != task.id
            && above.iter().all(|known| known.id != next.id)
        {
            above.push(next);
            at = next;
        }
        above
    }

    fn check_threads(&self, state: &LedgerState) -> Result<(), String> {
        let ids: Vec<&ThreadId> = self.threads.iter().map(|thread| &thread.id).collect();
        same("threads", &state.threads().map(|thread| &thread.id).collect(), &ids)?;
        for thread in &self.threads {
            let held = state.thread(&thread.id).ok_or_else(|| format!("no {}", thread.id))?;
            let tasks = || self.tasks.iter().filter(|task| task.thread == thread.id);
            let owned: Vec<TaskId> = tasks().map(|task| task.id.clone()).collect();
            same("tasks of a thread", &listed(state.tasks_in(&thread.id)), &owned)?;
            same("tasks counted", &usize::try_from(held.tasks).ok(), &Some(owned.len()))?;
            same("counts of a thread", &held.counts, &counts(tasks()))?;
            thread.check(held)?;
        }
        Ok(())
    }

    fn check_runs(&self, state: &LedgerState) -> Result<(), String> {
        for run in ["r0", " r0", "r1", "r2", "r3"] {
            let run = RunId::new(run).map_err(|error| error.to_string())?;
            let of_run = |task: &&ModelTask| {
                task.record.run.as_ref().is_some_and(|held| trim(held) == trim(&run))
            };
            let tasks = self.tasks.iter().filter(of_run).map(|task| task.id.clone()).collect();
            same("tasks of a run", &listed(state.tasks_of_run(&run)), &tasks)?;
            let mark = self.run_marks.get(&trim(&run)).copied();
            same("mark of a run", &state.run_mark(&run), &mark)?;
        }
        Ok(())
    }

    fn check_running(&self, state: &LedgerState) -> Result<(), String> {
        let managed =
            |task: &&ModelTask| task.status == TaskStatus::Running && managed(&task.record);
        let all = self.tasks.iter().filter(managed).map(|task| task.id.clone()).collect();
        same("running managed", &listed(state.running_managed()), &all)?;
        for thread in self.threads.iter().map(|thread| &thread.id) {
            for name in ["build", "test", "all", "bg_1", "buil", ""] {
                let mut holders = self.tasks.iter().filter(managed).filter(|task| {
                    task.thread == *thread && task.record.name.as_deref() == Some(name)
                });
                let holder = holders.next().map(|task| task.id.clone());
                let found = state.running_named(thread, name).map(|task| task.id.clone());
                same("running named", &found, &holder)?;
            }
        }
        Ok(())
    }
}

impl ModelTask {
    /// Ends the task, unless it has ended; tells whether it did.
    fn end(&mut self, entry: &Entry, status: TaskStatus, completed: Millis) -> bool {
        if self.terminal_seq.is_some() {
            return false;
        }
        self.status = status;
        self.terminal_seq = Some(entry.event.seq);
        self.completed = Some(completed);
        let description = self.texts.remove(&PartKind::Description);
        self.texts = texts(entry);
        self.texts.remove(&PartKind::Description);
        self.texts.extend(description.map(|text| (PartKind::Description, text)));
        true
    }

    fn check(&self, held: &Task) -> Result<(), String> {
        let text = |kind| self.texts.get(&kind).cloned();
        same("thread of a task", &held.thread, &self.thread)?;
        same("record", &held.record, &self.record)?;
        same("status", &held.status, &self.status)?;
        same("description", &Some(held.description.clone()), &text(PartKind::Description))?;
        same("error", &held.error, &text(PartKind::Error))?;
        same("result", &held.result, &text(PartKind::Result))?;
        same("completed", &held.completed, &self.completed)?;
        same("first", &Some(&held.first_seq), &self.events.first())?;
        same("last", &Some(&held.last_seq), &self.events.last())?;
        same("terminal", &held.terminal_seq, &self.terminal_seq)?;
        same("cancel", &held.cancel_seq, &self.cancel_seq)?;
        same("tree cancel", &held.tree_cancel_seq, &self.tree_cancel_seq)?;
        same("activity", &held.last_activity, &self.last_activity)?;
        same("events", &usize::try_from(held.events).ok(), &Some(self.events.len()))
    }
}

impl ModelThread {
    fn check(&self, held: &Thread) -> Result<(), String> {
        let first = self.events.first().copied();
        same("thread began", &Some((held.first_seq, held.first)), &first)?;
        same("thread's last", &Some(held.last_seq), &self.events.last().map(|(seq, _)| *seq))?;
        same("thread's end", &Some(held.last), &self.events.iter().map(|(_, at)| *at).max())?;
        same("events of a thread", &usize::try_from(held.events).ok(), &Some(self.events.len()))
    }
}

fn texts(entry: &Entry) -> BTreeMap<PartKind, Text> {
    let text = |kind: PartKind, len: u32| {
        let body = match entry.text(kind) {
            None if len == 0 => TextBody::Kept("".into()),
            None => TextBody::Erased,
            Some(text) if text.len() > 4_096 => TextBody::Stored,
            Some(text) => TextBody::Kept(Arc::clone(text)),
        };
        (kind, Text { seq: entry.event.seq, len, body })
    };
    let kept = [PartKind::Description, PartKind::Error, PartKind::Result];
    let parts = entry.event.parts.iter().filter(|part| kept.contains(&part.kind));
    parts.map(|part| text(part.kind, part.len)).collect()
}

fn counts<'t>(tasks: impl Iterator<Item = &'t ModelTask>) -> Counts {
    let mut counts = Counts::default();
    for task in tasks {
        match task.status {
            TaskStatus::Running => counts.running += 1,
            TaskStatus::Completed => counts.completed += 1,
            TaskStatus::Failed => counts.failed += 1,
            TaskStatus::Cancelled => counts.cancelled += 1,
        }
    }
    counts
}

fn listed<'t>(tasks: impl IntoIterator<Item = &'t Arc<Task>>) -> Vec<TaskId> {
    tasks.into_iter().map(|task| task.id.clone()).collect()
}

fn managed(record: &TaskRecord) -> bool {
    matches!(record.host, Host::Managed { .. })
}

fn trim(run: &RunId) -> String {
    run.as_str().trim().to_owned()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, state: &T, model: &T) -> Result<(), String> {
    if state == model { Ok(()) } else { Err(format!("{what}: state {state:?}, model {model:?}")) }
}
