//! Notes: what a recording leaves in doubt about a task, said where every view shows it.
//!
//! A note is a progress event of a kind of its own, [`NOTE`], whose content is a JSON string. Each
//! has a key made of the task and the kind of doubt, so that a doubt is noted once.

use std::sync::Arc;
use taskledger::{event::Outcome, time::Millis};

/// The event type of a note.
pub const NOTE: &str = "taskledger.note";

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The kind of doubt: a task has at most one note of a kind.
    pub(crate) kind: &'static str,
    /// In words.
    pub(crate) text: String,
    /// When what it is about happened.
    pub(crate) at: Option<Millis>,
    /// Where it goes among the other events.
    pub(crate) order: u64,
}

impl Note {
    pub(crate) fn new(
        kind: &'static str,
        text: impl Into<String>,
        at: (Option<Millis>, u64),
    ) -> Self {
        Self { kind, text: text.into(), at: at.0, order: at.1 }
    }

    /// The content of the event.
    pub(crate) fn content(&self) -> Arc<str> {
        crate::text::json_string(&self.text)
    }
}

/// `completed`, `failed` or `cancelled`.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    taskledger::event::TaskStatus::from(outcome).as_str()
}
