//! Notes: what a recording leaves in doubt about a task, said where every view shows it.
//!
//! A note is a progress event of a kind of its own, [`NOTE`], whose content is a JSON string. Each
//! has a key made of the task and the kind of doubt, so that a doubt is noted once.

use std::sync::Arc;
use taskledger::{
    event::{Outcome, TaskStatus},
    time::Millis,
};

/// Says when what a note is about happened, and where it goes among the other events.
pub(crate) type At = (Option<Millis>, u64);

/// The event type of a note.
pub const NOTE: &str = "taskledger.note";

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The kind of doubt: a task has at most one note of a kind.
    pub(crate) kind: &'static str,
    /// In words.
    pub(crate) text: String,
    /// Says when what it is about happened.
    pub(crate) at: Option<Millis>,
    /// Says where it goes among the other events.
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

    /// Its end says nothing of how it ended.
    pub(crate) fn no_status(at: At) -> Self {
        let text = "nothing says how it ended: taken as completed, since it is no error";
        Self::new("end", text, at)
    }

    /// Its end says so in a word that is not known.
    pub(crate) fn unknown_status(status: &str, at: At) -> Self {
        let status: String = status.escape_debug().take(64).collect();
        let text = format!("its result has the unknown status {status}: taken as completed");
        Self::new("end", text, at)
    }

    /// Its end answers a call that is missing.
    pub(crate) fn no_call(at: At) -> Self {
        let text = "its end stands in the answer to a call that is not in the recording";
        Self::new("end", text, at)
    }

    /// A teammate agreed to end.
    pub(crate) fn agreed(at: At) -> Self {
        Self::new("end", "it agreed to shut down, and nothing says that it did", at)
    }

    /// It has not ended, and a line is broken.
    pub(crate) fn torn(at: At) -> Self {
        let text = "a line of its recording cannot be read: its end may stand there";
        Self::new("half", text, at)
    }

    /// Text of a model or a person tells of an end.
    pub(crate) fn claim(outcome: Outcome, at: At) -> Self {
        let word = TaskStatus::from(outcome).as_str();
        let text =
            format!("a text that is not the runtime's says that it ended as {word}: not believed");
        Self::new("claim", text, at)
    }

    /// The agent that made its call is unknown.
    pub(crate) fn no_parent(agent: &str, at: At) -> Self {
        let agent: String = agent.escape_debug().take(256).collect();
        let text = format!(
            "its parent is not in the recording: agent {agent} made the call, and nothing says \
             which call started that agent"
        );
        Self::new("parent", text, at)
    }

    /// Its id is that of other calls too.
    pub(crate) fn used_again(id: &str, at: At) -> Self {
        Self::new("id", format!("the id {id} is used for several calls in this session"), at)
    }

    /// Its name was changed.
    pub(crate) fn renamed(at: At) -> Self {
        let text = "its name broke the rules of names: control characters are escaped, and what is \
                    over the limit is cut";
        Self::new("name", text, at)
    }

    /// The ledger holds another end.
    pub(crate) fn other_end(held: TaskStatus, told: TaskStatus, at: At) -> Self {
        let text = format!(
            "the ledger holds that it ended as {}, and its recording tells that it ended as {}: \
             the end that was recorded first stays",
            held.as_str(),
            told.as_str()
        );
        Self::new("other-end", text, at)
    }

    /// The ledger holds an end that the recording does not tell.
    pub(crate) fn untold_end(held: TaskStatus, at: At) -> Self {
        let text = format!(
            "the ledger holds that it ended as {}, and its recording does not tell of an end: the \
             end that was recorded stays",
            held.as_str()
        );
        Self::new("untold-end", text, at)
    }

    /// The content of the event.
    pub(crate) fn content(&self) -> Arc<str> {
        crate::text::json_string(&self.text)
    }
}
