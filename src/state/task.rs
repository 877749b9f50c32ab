//! The facts about one task and about one thread.

use super::roster::Row;
use crate::{
    event::{Entry, Event, Part, PartKind, PartSet, TaskRecord, TaskStatus},
    ids::{Seq, TaskId, ThreadId},
    time::Millis,
};
use imbl::Vector;
use std::sync::Arc;

/// The longest text that a state holds, in bytes. A longer one is read from its event.
pub const TEXT_KEPT_BYTES_MAX: usize = 4 * 1024;

/// A task, as its events so far describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The thread that owns it. Never changes.
    pub thread: ThreadId,
    /// The values from its spawn; name and parent may have changed since.
    pub record: TaskRecord,
    /// Its status.
    pub status: TaskStatus,
    /// Its description.
    pub description: Text,
    /// The error with which it failed or was cancelled.
    pub error: Option<Text>,
    /// Its result, as JSON text.
    pub result: Option<Text>,
    /// The time at which it ended.
    pub completed: Option<Millis>,
    /// The event that created it.
    pub first_seq: Seq,
    /// Its newest event, of any kind.
    pub last_seq: Seq,
    /// The event that ended it.
    pub terminal_seq: Option<Seq>,
    /// The first request to stop it, or the tree below it.
    pub cancel_seq: Option<Seq>,
    /// The first request to stop the tree below it: nothing is spawned there afterwards.
    pub tree_cancel_seq: Option<Seq>,
    /// The time of the newest of its own events. Requests to stop it and redactions do not count.
    pub last_activity: Millis,
    /// The number of events about it.
    pub events: u64,
    /// The place of its thread among the threads.
    pub(super) home: usize,
}

impl Row for Task {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Task {
    /// Counts one more event about this task.
    pub(super) fn note(&mut self, event: &Event) {
        self.last_seq = event.seq;
        self.events += 1;
    }

    /// Counts one more event that the task itself caused.
    pub(super) fn note_activity(&mut self, event: &Event) {
        self.note(event);
        self.last_activity = self.last_activity.max(event.occurred);
    }

    /// Removes the texts that came with event `seq`. Leaves an empty text, which may stand for an
    /// event without such a part.
    pub(super) fn erase(&mut self, seq: Seq, parts: PartSet) {
        let Self { description, error, result, .. } = self;
        let texts = [
            (PartKind::Description, Some(description)),
            (PartKind::Error, error.as_mut()),
            (PartKind::Result, result.as_mut()),
        ];
        for (kind, text) in texts {
            if let Some(text) = text.filter(|text| text.seq == seq && parts.contains(kind))
                && text.len > 0
            {
                text.body = TextBody::Erased;
            }
        }
    }
}

/// Says whether a state holds this text of an event: other texts need not be held against their
/// commitments for a fold.
pub(crate) fn holds(part: &Part) -> bool {
    let short = part.body.as_ref().is_some_and(|body| body.text.len() <= TEXT_KEPT_BYTES_MAX);
    short
        && match part.kind {
            PartKind::Description | PartKind::Error | PartKind::Result => true,
            PartKind::Content | PartKind::Reason => false,
        }
}

/// A text of a task, and its event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The event that it came with.
    pub seq: Seq,
    /// Its length in bytes, also when it is erased.
    pub len: u32,
    /// The text, if it is here.
    pub body: TextBody,
}

/// The body of a text, as far as a state holds it.
#[derive(Debug, Clone)]
pub enum TextBody {
    /// The whole text, which was held against its event.
    Kept(Arc<str>),
    /// The whole text as a snapshot has it. A snapshot proves nothing: before the text is shown, it
    /// is read from event `seq`. Equal to the same text that is kept.
    Saved(Arc<str>),
    /// Nothing, since it is longer than [`TEXT_KEPT_BYTES_MAX`]: read it from event `seq`.
    Stored,
    /// Nothing: the text was redacted and is gone.
    Erased,
    /// Nothing: the text that is stored is not the one that event `seq` commits to.
    Withheld,
}

impl PartialEq for TextBody {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kept(a) | Self::Saved(a), Self::Kept(b) | Self::Saved(b)) => a == b,
            (Self::Stored, Self::Stored)
            | (Self::Erased, Self::Erased)
            | (Self::Withheld, Self::Withheld) => true,
            (
                Self::Kept(_) | Self::Saved(_) | Self::Stored | Self::Erased | Self::Withheld,
                Self::Kept(_) | Self::Saved(_) | Self::Stored | Self::Erased | Self::Withheld,
            ) => false,
        }
    }
}

impl Eq for TextBody {}

impl Text {
    /// The text of this kind that came with an event; `None` if the event has none.
    pub(super) fn of(entry: &Entry, kind: PartKind) -> Option<Self> {
        let promised = entry.event.parts.iter().find(|part| part.kind == kind)?;
        let text = match entry.text(kind) {
            None if entry.withheld.contains(kind) => {
                Self { seq: entry.event.seq, len: promised.len, body: TextBody::Withheld }
            }
            None if promised.len == 0 => Self::empty(entry.event.seq),
            None => Self { seq: entry.event.seq, len: promised.len, body: TextBody::Erased },
            Some(text) if text.len() <= TEXT_KEPT_BYTES_MAX => {
                Self::keeping(entry.event.seq, Arc::clone(text))
            }
            Some(_) => Self { seq: entry.event.seq, len: promised.len, body: TextBody::Stored },
        };
        Some(text)
    }

    /// A text whose body the state holds.
    pub(super) fn keeping(seq: Seq, text: Arc<str>) -> Self {
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { seq, len, body: TextBody::Kept(text) }
    }

    /// The empty text, for a task whose event has none.
    pub(super) fn empty(seq: Seq) -> Self {
        Self::keeping(seq, Arc::default())
    }

    /// A text whose body a snapshot has. The empty one is known from its length alone.
    pub(super) fn saved(seq: Seq, text: Arc<str>) -> Self {
        let kept = Self::keeping(seq, Arc::clone(&text));
        if text.is_empty() { kept } else { Self { body: TextBody::Saved(text), ..kept } }
    }

    /// The text, if it is here, from wherever it came: for comparisons, not to be shown.
    pub(crate) fn held(&self) -> Option<&Arc<str>> {
        match &self.body {
            TextBody::Kept(text) | TextBody::Saved(text) => Some(text),
            TextBody::Stored | TextBody::Erased | TextBody::Withheld => None,
        }
    }

    /// The text, if it is here and was held against its event. Any other one is read from the event
    /// by [`query::text`](crate::query::text).
    #[must_use]
    pub fn kept(&self) -> Option<&Arc<str>> {
        match &self.body {
            TextBody::Kept(text) => Some(text),
            TextBody::Saved(_) | TextBody::Stored | TextBody::Erased | TextBody::Withheld => None,
        }
    }
}

/// A thread, as its events so far describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// The number of its tasks of each status.
    pub counts: Counts,
    /// The number of its tasks.
    pub tasks: u64,
    /// The number of its events.
    pub events: u64,
    /// The time at which its first event happened.
    pub first: Millis,
    /// The latest time at which an event of it happened.
    pub last: Millis,
    /// Its first event.
    pub first_seq: Seq,
    /// Its newest event.
    pub last_seq: Seq,
    /// Every request to stop all of it, oldest first.
    pub(super) cancels: Vector<Seq>,
    /// The places of its tasks.
    pub(super) rows: Vector<usize>,
}

impl Row for Thread {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Thread {
    /// A new thread whose first event this is; does not count the event yet.
    pub(super) fn starting(id: ThreadId, event: &Event) -> Self {
        Self {
            id,
            counts: Counts::default(),
            tasks: 0,
            events: 0,
            first: event.occurred,
            last: event.occurred,
            first_seq: event.seq,
            last_seq: event.seq,
            cancels: Vector::new(),
            rows: Vector::new(),
        }
    }

    /// Counts one more event of this thread.
    pub(super) fn note(&mut self, event: &Event) {
        self.last_seq = event.seq;
        self.last = self.last.max(event.occurred);
        self.events += 1;
    }
}

/// The number of tasks of each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Without a terminal event.
    pub running: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl Counts {
    /// The number of tasks with this status.
    #[must_use]
    pub fn of(&self, status: TaskStatus) -> u64 {
        match status {
            TaskStatus::Running => self.running,
            TaskStatus::Completed => self.completed,
            TaskStatus::Failed => self.failed,
            TaskStatus::Cancelled => self.cancelled,
        }
    }

    /// The number of all tasks.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.running + self.completed + self.failed + self.cancelled
    }

    /// Counts one more task.
    pub(super) fn add(&mut self, status: TaskStatus) {
        *self.slot(status) += 1;
    }

    /// Counts the end of a running task.
    pub(super) fn end(&mut self, status: TaskStatus) {
        self.running = self.running.saturating_sub(1);
        self.add(status);
    }

    fn slot(&mut self, status: TaskStatus) -> &mut u64 {
        match status {
            TaskStatus::Running => &mut self.running,
            TaskStatus::Completed => &mut self.completed,
            TaskStatus::Failed => &mut self.failed,
            TaskStatus::Cancelled => &mut self.cancelled,
        }
    }
}
