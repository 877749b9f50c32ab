//! Whether a command that comes with a known key is the one that the key was used for.
//!
//! A log holds what a command came to, not the command. So what a caller left open (an id, a time,
//! a field that is not to change) may be anything in the event, and a text that was erased has
//! nothing but a length: such commands are [`Asked::Unclear`], and nothing is claimed of them.

use std::sync::Arc;
use taskledger::command::{Command, Finish, ParentRef, Restore, Spawn, Update};

/// What a command is that comes with a known key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The same once more.
    Again,
    /// Certainly another one.
    Another,
    /// The log cannot tell.
    Unclear,
}

/// Compares what is asked with what was asked. A text of `stored` may have been erased if it is
/// `redacted`.
#[must_use]
pub fn asked_again(asked: &Command, stored: &Command, redacted: bool) -> Asked {
    if asked == stored {
        return Asked::Again;
    }
    let differ = Differ { redacted };
    if differ.certainly(asked, stored) { Asked::Another } else { Asked::Unclear }
}

struct Differ {
    redacted: bool,
}

impl Differ {
    fn certainly(&self, asked: &Command, stored: &Command) -> bool {
        match (asked, stored) {
            (Command::Spawn(a), Command::Spawn(b)) => self.spawns(a, b),
            (Command::Update(a), Command::Update(b)) => self.updates(a, b),
            (Command::Finish(a), Command::Finish(b)) => self.ends(a, b),
            (Command::Restore(a), Command::Restore(b)) => self.restores(a, b),
            (Command::Orphan(a), Command::Orphan(b)) => {
                a.task != b.task || self.texts(Some(&a.error), Some(&b.error))
            }
            (Command::Cancel(a), Command::Cancel(b)) => {
                (&a.target, a.deadline) != (&b.target, b.deadline)
                    || self.texts(a.reason.as_ref(), b.reason.as_ref())
            }
            (Command::Message(a), Command::Message(b)) => {
                (&a.task, &a.from, a.delivery) != (&b.task, &b.from, b.delivery)
                    || self.texts(Some(&a.content), Some(&b.content))
            }
            (Command::Emit(a), Command::Emit(b)) => {
                (&a.task, &a.event_type) != (&b.task, &b.event_type)
                    || self.texts(Some(&a.content), Some(&b.content))
            }
            (Command::Redact(a), Command::Redact(b)) => {
                (a.seq, a.parts) != (b.seq, b.parts) || self.texts(Some(&a.reason), Some(&b.reason))
            }
            (
                Command::Spawn(_)
                | Command::Update(_)
                | Command::Finish(_)
                | Command::Restore(_)
                | Command::Orphan(_)
                | Command::Cancel(_)
                | Command::Message(_)
                | Command::Emit(_)
                | Command::Redact(_),
                _,
            ) => true,
        }
    }

    fn spawns(&self, a: &Spawn, b: &Spawn) -> bool {
        given(a.task.as_ref(), b.task.as_ref())
            || given(a.created, b.created)
            || (&a.thread, &a.task_type, &a.name) != (&b.thread, &b.task_type, &b.name)
            || (&a.run, &a.call, &a.agent, a.host) != (&b.run, &b.call, &b.agent, b.host)
            || parents(a.parent.as_ref(), b.parent.as_ref())
            || self.texts(described(&a.description), described(&b.description))
    }

    fn updates(&self, a: &Update, b: &Update) -> bool {
        let moved = a.parent.as_ref().zip(b.parent.as_ref());
        a.task != b.task
            || given(a.name.as_ref(), b.name.as_ref())
            || moved.is_some_and(|(a, b)| parents(a.as_ref(), b.as_ref()))
            || self.texts(a.description.as_ref(), b.description.as_ref())
    }

    fn ends(&self, a: &Finish, b: &Finish) -> bool {
        (&a.task, a.outcome) != (&b.task, b.outcome)
            || given(a.completed, b.completed)
            || self.texts(a.error.as_ref(), b.error.as_ref())
            || self.texts(a.result.as_ref(), b.result.as_ref())
    }

    fn restores(&self, a: &Restore, b: &Restore) -> bool {
        self.spawns(&a.spawn, &b.spawn)
            || (a.status, a.completed) != (b.status, b.completed)
            || self.texts(a.error.as_ref(), b.error.as_ref())
            || self.texts(a.result.as_ref(), b.result.as_ref())
    }

    fn texts(&self, a: Option<&Arc<str>>, b: Option<&Arc<str>>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) if self.redacted => a.len() != b.len(),
            (a, b) => a != b,
        }
    }
}

/// Both say something, and not the same.
fn given<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
}

/// A parent of this ledger may be named with or without the ledger.
fn parents(a: Option<&ParentRef>, b: Option<&ParentRef>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.id() != b.id(),
        (a, b) => a.is_some() != b.is_some(),
    }
}

fn described(text: &Arc<str>) -> Option<&Arc<str>> {
    Some(text).filter(|text| !text.is_empty())
}
