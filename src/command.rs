//! The requests that a caller can make. [`decide`](crate::state::decide) turns each into an event,
//! or refuses it.
//!
//! Start reading at [`Command`]. Each of its structs has a constructor with its required fields, and
//! a method for each optional one. A command becomes a [`Proposal`] by
//! `into`, and several of them a [`Batch`].
//!
//! ```
//! use taskledger::{
//!     Ledger, Options,
//!     command::{Finish, Proposal, Spawn},
//!     ids::{Key, TaskId, ThreadId},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::in_memory(Options::default())?;
//! let (thread, task) = (ThreadId::new("session-1")?, TaskId::new("review-17")?);
//! let spawn = Spawn::new(thread, "sub_agent").task(&task).name("reviewer");
//! let end = Finish::completed(&task).result(r#"{"comments":3}"#);
//! // With a key, asking twice is the same as asking once.
//! let spawn = Proposal::new(spawn).key(Key::of("review of change 17"));
//! ledger.append_blocking([spawn, end.into()])?;
//! # Ok(())
//! # }
//! ```

use crate::{
    event::Cause,
    ids::{Key, Seq, TaskId, ThreadId},
    time::Millis,
};

mod ask;
mod batch;
mod reference;
mod task;

pub use ask::{Cancel, CancelTarget, Emit, Message, Redact};
pub use batch::Batch;
pub use reference::{ParentRef, Spawned, TaskRef};
pub use task::{Finish, Orphan, Restore, Spawn, Update};

/// One command with its cause, key and times: becomes exactly one event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// The request.
    pub command: Command,
    /// The task, run, call and agent that ask.
    pub cause: Cause,
    /// The idempotency key: with it, asking twice is the same as asking once.
    pub key: Option<Key>,
    /// The time when it happened; the clock at append if not given.
    pub occurred: Option<Millis>,
    /// The last event that the caller has seen; refused with a conflict if there is another.
    pub expect: Option<Expect>,
}

impl Proposal {
    /// A command without a cause or a key, that happens now.
    #[must_use]
    pub fn new(command: impl Into<Command>) -> Self {
        let command = command.into();
        Self { command, cause: Cause::default(), key: None, occurred: None, expect: None }
    }

    /// Names the task, run, call and agent that ask.
    #[must_use]
    pub fn cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// Makes asking twice the same as asking once: the second answer is the first event.
    #[must_use]
    pub fn key(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Says when it happened, if that is not now.
    #[must_use]
    pub fn occurred_at(self, at: Millis) -> Self {
        Self { occurred: Some(at), ..self }
    }

    /// Names the last event that the caller has seen: refused with a conflict if there is another.
    #[must_use]
    pub fn expect(self, expect: Expect) -> Self {
        Self { expect: Some(expect), ..self }
    }
}

impl<C: Into<Command>> From<C> for Proposal {
    fn from(command: C) -> Self {
        Self::new(command)
    }
}

/// The last event that a caller has taken into account; `None` for nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The last event of a task.
    Task(TaskId, Option<Seq>),
    /// The last event of a thread.
    Thread(ThreadId, Option<Seq>),
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Record a task that starts.
    Spawn(Spawn),
    /// Change a running task's name, parent or description.
    Update(Update),
    /// Record that a running task ended.
    Finish(Finish),
    /// Bring a task back from a snapshot.
    Restore(Restore),
    /// End a running task whose manager is gone, as Failed.
    Orphan(Orphan),
    /// Ask for a stop.
    Cancel(Cancel),
    /// Record a message to a task's inbox.
    Message(Message),
    /// Record progress of a task.
    Emit(Emit),
    /// Erase texts of an earlier event from every view.
    Redact(Redact),
}

macro_rules! commands {
    ($($name:ident)*) => {$(
        impl From<$name> for Command {
            fn from(asked: $name) -> Self {
                Self::$name(asked)
            }
        }
    )*};
}

commands! { Spawn Update Finish Restore Orphan Cancel Message Emit Redact }
