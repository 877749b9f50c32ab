//! The fold: a state and one more event make the next state.
//!
//! Pure, total and deterministic: it reads no clock and no random number, refuses nothing, and lets
//! no unordered iteration reach a result. It takes any ascending part of a log (one thread, or the
//! events up to some moment), so it never asks for the event before. An event about a task that the
//! state does not hold moves the head and nothing else.
//! about a task that the state does not hold moves the head and nothing else.

use super::{
    LedgerState, Place, RunningName, Task, Text, Thread, index::Slot, number_of, roster::Run,
    trimmed,
};
use crate::{
    event::{
        Action, CancelScope, Entry, Event, Parent, PartKind, PartSet, Restored, TaskRecord,
        TaskStatus,
    },
    ids::{LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use imbl::Vector;
use std::sync::Arc;

impl LedgerState {
    /// Folds one more event in. About a microsecond.
    pub fn apply(&mut self, entry: &Entry) {
        let place = self.locate(&entry.event);
        self.apply_at(place, entry);
    }

    /// Folds one more event in, with its [place](Self::locate) in this state.
    ///
    /// # Panics
    /// If another event came after the place was found.
    pub(crate) fn apply_at(&mut self, place: Place, entry: &Entry) {
        assert_eq!(place.size, self.size, "a place is found again after each event");
        let event = &entry.event;
        self.size = event.seq.get();
        self.recorded = event.recorded;
        if let Some(key) = event.key {
            self.keys.push(key, event.seq);
        }
        match &event.action {
            Action::Upserted { record } => match Subject::of(place, event) {
                Subject::Held(row) => self.updated(row, entry, record),
                Subject::New(new) => {
                    self.inserted(new, entry, record, (TaskStatus::Running, None));
                }
                Subject::Nothing => {}
            },
            Action::Terminated { outcome, completed } => {
                self.ended(place, entry, (*outcome).into(), *completed);
            }
            Action::Restored { why } => self.restored(place, entry, why),
            Action::CancelRequested { scope, deadline: _ } => {
                self.cancel_requested(place, event, scope);
            }
            Action::Messaged { .. } | Action::Emitted { .. } => {
                self.about_task(place, event, Task::note_activity);
            }
            Action::Redacted { seq, parts } => self.redacted_event(place, event, *seq, *parts),
            Action::Began { ledger, node: _, version: _, incarnation, why: _ } => {
                self.began(event, *ledger, *incarnation);
            }
        }
    }

    /// Counts an event about a task of this state, and gives the task to `change`.
    fn about_task(&mut self, place: Place, event: &Event, change: impl FnOnce(&mut Task, &Event)) {
        if let Subject::Held(row) = Subject::of(place, event)
            && let Some(task) = self.tasks.row_mut(row)
        {
            change(task, event);
            if let Some(thread) = self.threads.row_mut(task.home) {
                thread.note(event);
            }
        }
    }

    fn inserted(
        &mut self,
        new: New<'_>,
        entry: &Entry,
        record: &TaskRecord,
        (status, completed): (TaskStatus, Option<Millis>),
    ) {
        let New { slot, task: id, home, thread } = new;
        let event = &entry.event;
        let row = self.tasks.len();
        let new_thread = || Arc::new(Thread::starting(thread.clone(), event));
        let home = home.unwrap_or_else(|slot| self.threads.push(slot, new_thread()));
        let Some(held) = self.threads.row_mut(home) else { return };
        held.note(event);
        held.tasks += 1;
        held.counts.add(status);
        held.rows.push_back(row);
        let thread = held.id.clone();
        self.counts.add(status);
        let ended = status.is_terminal().then_some(event.seq);
        let task = Task {
            id: id.clone(),
            thread,
            record: record.clone(),
            status,
            description: description(entry).unwrap_or_else(|| Text::empty(event.seq)),
            error: Text::of(entry, PartKind::Error),
            result: Text::of(entry, PartKind::Result),
            completed,
            first_seq: event.seq,
            last_seq: event.seq,
            terminal_seq: ended,
            cancel_seq: None,
            tree_cancel_seq: None,
            last_activity: event.occurred,
            events: 1,
            home,
        };
        if let Some(Parent::Local(id)) = &task.record.parent {
            self.children.link(id, self.tasks.find(id.as_str()), row);
        }
        self.enter(slot, task);
    }

    /// Enters a new task in every index except that of its parent's children.
    pub(super) fn enter(&mut self, slot: Slot, task: Task) {
        let task = Arc::new(task);
        let row = self.tasks.push(slot, Arc::clone(&task));
        if let Some(Some(number)) = number_of(task.id.as_str()) {
            self.next_number = self.next_number.max(number + 1);
        }
        self.children.arrived(&task.id, row);
        if let Some(run) = &task.record.run {
            let new = || Run { id: trimmed_run(run), rows: Vector::new() };
            let place = self.runs.place(trimmed(run), new);
            if let Some(run) = self.runs.row_mut(place) {
                run.rows.push_back(row);
            }
        }
        if task.status == TaskStatus::Running && task.record.host.is_managed() {
            self.managed.insert(row);
            self.names.extend(running_name(row, &task));
        }
    }

    /// The place of a parent, if this state holds it.
    fn local(&self, parent: Option<&Parent>) -> Option<usize> {
        match parent {
            Some(Parent::Local(id)) => self.tasks.find(id.as_str()),
            Some(Parent::External { .. }) | None => None,
        }
    }

    fn relink(&mut self, row: usize, before: Option<&Parent>, after: Option<&Parent>) {
        if let Some(Parent::Local(id)) = before {
            self.children.unlink(id, self.local(before), row);
        }
        if let Some(Parent::Local(id)) = after {
            self.children.link(id, self.local(after), row);
        }
    }

    fn updated(&mut self, row: usize, entry: &Entry, record: &TaskRecord) {
        let Some(task) = self.tasks.row_mut(row) else { return };
        let named = task.status == TaskStatus::Running && task.record.host.is_managed();
        let renamed = named && task.record.name != record.name;
        if renamed && let Some(name) = running_name(row, task) {
            self.names.remove(&name);
        }
        task.note_activity(&entry.event);
        task.record.name.clone_from(&record.name);
        if let Some(text) = description(entry) {
            task.description = text;
        }
        if renamed {
            self.names.extend(running_name(row, task));
        }
        if let Some(thread) = self.threads.row_mut(task.home) {
            thread.note(&entry.event);
        }
        if task.record.parent != record.parent {
            let before = std::mem::replace(&mut task.record.parent, record.parent.clone());
            self.relink(row, before.as_ref(), record.parent.as_ref());
        }
    }

    /// Ends a task of this state, unless it has ended before.
    fn ended(&mut self, place: Place, entry: &Entry, status: TaskStatus, completed: Millis) {
        let event = &entry.event;
        let Subject::Held(row) = Subject::of(place, event) else { return };
        let Some(task) = self.tasks.row_mut(row) else { return };
        let Some(thread) = self.threads.row_mut(task.home) else { return };
        thread.note(event);
        if task.status.is_terminal() {
            task.note(event);
            return;
        }
        task.note_activity(event);
        if task.record.host.is_managed() {
            self.managed.remove(&row);
            if let Some(name) = running_name(row, task) {
                self.names.remove(&name);
            }
        }
        task.status = status;
        task.error = Text::of(entry, PartKind::Error);
        task.result = Text::of(entry, PartKind::Result);
        task.completed = Some(completed);
        task.terminal_seq = Some(event.seq);
        thread.counts.end(status);
        self.counts.end(status);
    }

    fn restored(&mut self, place: Place, entry: &Entry, why: &Restored) {
        let event = &entry.event;
        match why {
            Restored::Orphaned { completed } => {
                self.ended(place, entry, TaskStatus::Failed, *completed);
            }
            Restored::Snapshot { record, status, completed } => match Subject::of(place, event) {
                Subject::New(new) => self.inserted(new, entry, record, (*status, *completed)),
                Subject::Held(_) => self.about_task(place, event, Task::note),
                Subject::Nothing => {}
            },
        }
    }

    fn cancel_requested(&mut self, place: Place, event: &Event, scope: &CancelScope) {
        match scope {
            CancelScope::Task => self.about_task(place, event, |task, event| {
                task.note(event);
                task.cancel_seq.get_or_insert(event.seq);
            }),
            CancelScope::Tree => self.about_task(place, event, |task, event| {
                task.note(event);
                task.cancel_seq.get_or_insert(event.seq);
                task.tree_cancel_seq.get_or_insert(event.seq);
            }),
            CancelScope::Thread => {
                self.about_thread(place, event);
                if let Some(Ok(row)) = place.thread
                    && let Some(thread) = self.threads.row_mut(row)
                {
                    thread.cancels.push_back(event.seq);
                }
            }
            CancelScope::Run(run) => {
                self.run_marks.entry(trimmed_run(run)).or_insert(event.seq);
                self.about_thread(place, event);
            }
        }
    }

    /// Counts an event about a whole thread of this state.
    fn about_thread(&mut self, place: Place, event: &Event) {
        if let Some(Ok(row)) = place.thread
            && let Some(thread) = self.threads.row_mut(row)
        {
            thread.note(event);
        }
    }

    fn redacted_event(&mut self, place: Place, event: &Event, seq: Seq, parts: PartSet) {
        let known = self.redactions.entry(seq).or_default();
        known.parts = known.parts.union(parts);
        known.task = known.task.take().or_else(|| event.task.clone());
        if let Some(Ok(row)) = place.task
            && let Some(task) = self.tasks.row_mut(row)
        {
            task.erase(seq, parts);
        }
        if event.task.is_some() {
            self.about_task(place, event, Task::note);
        } else {
            self.about_thread(place, event);
        }
    }

    fn began(&mut self, event: &Event, ledger: LedgerId, incarnation: u64) {
        self.ledger = Some(ledger);
        self.incarnation = incarnation;
        if self.epoch() != Some(event.epoch) {
            self.epochs.push_back((event.seq, event.epoch));
        }
    }
}

/// The task of a state that an event is about.
enum Subject<'e> {
    /// The task in this place.
    Held(usize),
    /// A task that the state does not hold.
    New(New<'e>),
    /// No task, or one of another thread.
    Nothing,
}

impl<'e> Subject<'e> {
    /// The task that an event at this place is about.
    fn of(place: Place, event: &'e Event) -> Self {
        match (place, event) {
            (Place { task: Some(Ok(row)), is_own: true, .. }, _) => Self::Held(row),
            (
                Place { task: Some(Err(slot)), thread: Some(home), .. },
                Event { task: Some(task), thread: Some(thread), .. },
            ) => Self::New(New { slot, task, home, thread }),
            _ => Self::Nothing,
        }
    }
}

/// A task that the state does not hold, and its future place.
#[derive(Clone, Copy)]
struct New<'e> {
    slot: Slot,
    task: &'e TaskId,
    /// The place of its thread, or the free place for it.
    home: Result<usize, Slot>,
    thread: &'e ThreadId,
}

fn description(entry: &Entry) -> Option<Text> {
    Text::of(entry, PartKind::Description)
}

fn running_name(row: usize, task: &Task) -> Option<RunningName> {
    let name = Arc::clone(task.record.name.as_ref()?);
    Some(RunningName { thread: task.thread.clone(), name, row })
}

/// The run id without spaces around it.
fn trimmed_run(run: &RunId) -> RunId {
    let text = trimmed(run);
    if text.len() == run.as_str().len() {
        return run.clone();
    }
    RunId::new(text).unwrap_or_else(|_| run.clone())
}
