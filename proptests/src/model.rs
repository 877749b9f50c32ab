//! The fold once more, as plainly as it can be said: lists that are searched from end to end.
//!
//! Written against the words of the design, not against `state/apply.rs`, so that one of the two
//! is caught when they differ. Start reading at [`Model::of`], then [`Model::check`].

mod check;
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
    state::{KEYS_MAX, Text, TextBody},
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
    /// Requests to stop all of it.
    cancels: Vec<Seq>,
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

    /// Its parent, the parent of that, and so on, as far as they are here and none comes twice.
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
            self.threads.push(ModelThread { id: thread.clone(), events: vec![], cancels: vec![] });
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
            if matches!(&event.action, Action::CancelRequested { scope: CancelScope::Thread, .. }) {
                thread.cancels.push(event.seq);
            }
        }
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

fn managed(record: &TaskRecord) -> bool {
    matches!(record.host, Host::Managed { .. })
}

fn trim(run: &RunId) -> String {
    run.as_str().trim().to_owned()
}
