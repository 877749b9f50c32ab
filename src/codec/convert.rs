//! Between the wire types of format 1 and the words of the domain.
//!
//! Towards the wire nothing can fail. From the wire, identifiers and sequence numbers are checked
//! against the rules of their types; this module knows no other rule.

use super::{error::DecodeError, v1};
use crate::{
    event::{
        Action, Began, CancelScope, Cause, Commitment, Delivery, Event, Host, Origin, Outcome,
        Parent, PartKind, PartSet, Restored, TaskRecord, TaskStatus,
    },
    ids::{
        AgentId, CallId, Epoch, IdError, Key, LedgerId, NodeId, Root, RunId, Seq, TaskId, ThreadId,
    },
    time::Millis,
};

impl<'a> From<&'a Event> for v1::Event<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            seq: event.seq.get(),
            epoch: v1::Epoch { number: event.epoch.number, nonce: event.epoch.nonce.to_le_bytes() },
            recorded: event.recorded.0,
            occurred: event.occurred.0,
            thread: event.thread.as_ref().map(ThreadId::as_str),
            task: event.task.as_ref().map(TaskId::as_str),
            prev_in_thread: event.prev_in_thread.map(Seq::get),
            prev_in_task: event.prev_in_task.map(Seq::get),
            cause: v1::Cause {
                task: event.cause.task.as_ref().map(TaskId::as_str),
                run: event.cause.run.as_ref().map(RunId::as_str),
                call: event.cause.call.as_ref().map(CallId::as_str),
                agent: event.cause.agent.as_ref().map(AgentId::as_str),
            },
            key: event.key.map(|key| key.0),
            action: (&event.action).into(),
            parts: event.parts.iter().map(Into::into).collect(),
        }
    }
}

/// Turns the wire type into the event.
pub(super) fn event(wire: v1::Event<'_>) -> Result<Event, DecodeError> {
    Ok(Event {
        seq: seq("sequence number", wire.seq)?,
        epoch: Epoch { number: wire.epoch.number, nonce: u64::from_le_bytes(wire.epoch.nonce) },
        recorded: Millis(wire.recorded),
        occurred: Millis(wire.occurred),
        thread: id("thread id", wire.thread, ThreadId::new)?,
        task: id("task id", wire.task, TaskId::new)?,
        prev_in_thread: optional_seq("link in its thread", wire.prev_in_thread)?,
        prev_in_task: optional_seq("link of its task", wire.prev_in_task)?,
        cause: Cause {
            task: id("task id of its cause", wire.cause.task, TaskId::new)?,
            run: id("run id of its cause", wire.cause.run, RunId::new)?,
            call: id("call id of its cause", wire.cause.call, CallId::new)?,
            agent: id("agent id of its cause", wire.cause.agent, AgentId::new)?,
        },
        key: wire.key.map(Key),
        action: action(wire.action)?,
        parts: wire.parts.into_iter().map(commitment).collect(),
    })
}

impl<'a> From<&'a Action> for v1::Action<'a> {
    fn from(action: &'a Action) -> Self {
        match action {
            Action::Upserted { record } => Self::Upserted { record: record.into() },
            Action::Terminated { outcome, completed } => {
                Self::Terminated { outcome: (*outcome).into(), completed: completed.0 }
            }
            Action::Restored { why } => Self::Restored { why: why.into() },
            Action::CancelRequested { scope, deadline } => Self::CancelRequested {
                scope: scope.into(),
                deadline: deadline.map(|deadline| deadline.0),
            },
            Action::Messaged { from, delivery } => {
                Self::Messaged { from, delivery: (*delivery).into() }
            }
            Action::Emitted { event_type } => Self::Emitted { event_type },
            Action::Redacted { seq, parts } => {
                Self::Redacted { seq: seq.get(), parts: parts.bits() }
            }
            Action::Began { ledger, node, version, incarnation, why } => Self::Began {
                ledger: ledger.0,
                node: node.0,
                version,
                incarnation: *incarnation,
                why: (*why).clone().into(),
            },
        }
    }
}

fn action(wire: v1::Action<'_>) -> Result<Action, DecodeError> {
    Ok(match wire {
        v1::Action::Upserted { record: wire } => Action::Upserted { record: record(wire)? },
        v1::Action::Terminated { outcome, completed } => {
            Action::Terminated { outcome: outcome.into(), completed: Millis(completed) }
        }
        v1::Action::Restored { why } => Action::Restored { why: restored(why)? },
        v1::Action::CancelRequested { scope: wire, deadline } => {
            Action::CancelRequested { scope: scope(wire)?, deadline: deadline.map(Millis) }
        }
        v1::Action::Messaged { from, delivery } => {
            Action::Messaged { from: from.into(), delivery: delivery.into() }
        }
        v1::Action::Emitted { event_type } => Action::Emitted { event_type: event_type.into() },
        v1::Action::Redacted { seq: number, parts } => Action::Redacted {
            seq: seq("number of the redacted event", number)?,
            parts: part_set(parts)?,
        },
        v1::Action::Began { ledger, node, version, incarnation, why } => Action::Began {
            ledger: LedgerId(ledger),
            node: NodeId(node),
            version: version.into(),
            incarnation,
            why: began(why)?,
        },
    })
}

impl<'a> From<&'a TaskRecord> for v1::TaskRecord<'a> {
    fn from(record: &'a TaskRecord) -> Self {
        Self {
            task_type: &record.task_type,
            name: record.name.as_deref(),
            parent: record.parent.as_ref().map(Into::into),
            run: record.run.as_ref().map(RunId::as_str),
            call: record.call.as_ref().map(CallId::as_str),
            agent: record.agent.as_ref().map(AgentId::as_str),
            created: record.created.0,
            host: record.host.into(),
        }
    }
}

fn record(wire: v1::TaskRecord<'_>) -> Result<TaskRecord, DecodeError> {
    Ok(TaskRecord {
        task_type: wire.task_type.into(),
        name: wire.name.map(Into::into),
        parent: wire.parent.map(parent).transpose()?,
        run: id("run id", wire.run, RunId::new)?,
        call: id("call id", wire.call, CallId::new)?,
        agent: id("agent id", wire.agent, AgentId::new)?,
        created: Millis(wire.created),
        host: wire.host.into(),
    })
}

impl<'a> From<&'a Parent> for v1::Parent<'a> {
    fn from(parent: &'a Parent) -> Self {
        match parent {
            Parent::Local(id) => Self::Local(id.as_str()),
            Parent::External { ledger, id } => {
                Self::External { ledger: ledger.map(|ledger| ledger.0), id: id.as_str() }
            }
        }
    }
}

fn parent(wire: v1::Parent<'_>) -> Result<Parent, DecodeError> {
    const WHAT: &str = "task id of its parent";
    Ok(match wire {
        v1::Parent::Local(text) => Parent::Local(TaskId::new(text).map_err(|e| bad_id(WHAT, e))?),
        v1::Parent::External { ledger, id } => Parent::External {
            ledger: ledger.map(LedgerId),
            id: TaskId::new(id).map_err(|e| bad_id(WHAT, e))?,
        },
    })
}

impl<'a> From<&'a Restored> for v1::Restored<'a> {
    fn from(why: &'a Restored) -> Self {
        match why {
            Restored::Snapshot { record, status, completed } => Self::Snapshot {
                record: record.into(),
                status: (*status).into(),
                completed: completed.map(|completed| completed.0),
            },
            Restored::Orphaned { completed } => Self::Orphaned { completed: completed.0 },
        }
    }
}

fn restored(wire: v1::Restored<'_>) -> Result<Restored, DecodeError> {
    Ok(match wire {
        v1::Restored::Snapshot { record: wire, status, completed } => Restored::Snapshot {
            record: record(wire)?,
            status: status.into(),
            completed: completed.map(Millis),
        },
        v1::Restored::Orphaned { completed } => Restored::Orphaned { completed: Millis(completed) },
    })
}

impl<'a> From<&'a CancelScope> for v1::CancelScope<'a> {
    fn from(scope: &'a CancelScope) -> Self {
        match scope {
            CancelScope::Task => Self::Task,
            CancelScope::Tree => Self::Tree,
            CancelScope::Thread => Self::Thread,
            CancelScope::Run(run) => Self::Run(run.as_str()),
        }
    }
}

fn scope(wire: v1::CancelScope<'_>) -> Result<CancelScope, DecodeError> {
    Ok(match wire {
        v1::CancelScope::Task => CancelScope::Task,
        v1::CancelScope::Tree => CancelScope::Tree,
        v1::CancelScope::Thread => CancelScope::Thread,
        v1::CancelScope::Run(text) => {
            CancelScope::Run(RunId::new(text).map_err(|e| bad_id("run id of its scope", e))?)
        }
    })
}

impl From<Began> for v1::Began {
    fn from(why: Began) -> Self {
        match why {
            Began::Created => Self::Created,
            Began::Opened => Self::Opened,
            Began::Promoted => Self::Promoted,
            Began::Forked(origin) => Self::Forked(origin.into()),
            Began::RestoredFrom(origin) => Self::RestoredFrom(origin.into()),
        }
    }
}

fn began(wire: v1::Began) -> Result<Began, DecodeError> {
    Ok(match wire {
        v1::Began::Created => Began::Created,
        v1::Began::Opened => Began::Opened,
        v1::Began::Promoted => Began::Promoted,
        v1::Began::Forked(wire) => Began::Forked(origin(wire)?),
        v1::Began::RestoredFrom(wire) => Began::RestoredFrom(origin(wire)?),
    })
}

impl From<Origin> for v1::Origin {
    fn from(Origin { ledger, at, root }: Origin) -> Self {
        Self { ledger: ledger.0, at: at.map(Seq::get), root: root.0 }
    }
}

fn origin(v1::Origin { ledger, at, root }: v1::Origin) -> Result<Origin, DecodeError> {
    let at = optional_seq("last event of its origin", at)?;
    Ok(Origin { ledger: LedgerId(ledger), at, root: Root(root) })
}

impl From<&Commitment> for v1::Commitment {
    fn from(&Commitment { kind, len, digest }: &Commitment) -> Self {
        Self { kind: kind.into(), len, digest }
    }
}

fn commitment(v1::Commitment { kind, len, digest }: v1::Commitment) -> Commitment {
    Commitment { kind: kind.into(), len, digest }
}

/// Enums without identifiers, the same on both sides.
macro_rules! same {
    ($name:ident { $($variant:ident $({ $($field:ident),+ })?),+ }) => {
        impl From<$name> for v1::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant $({ $($field),+ })? => Self::$variant $({ $($field),+ })?,)+
                }
            }
        }

        impl From<v1::$name> for $name {
            fn from(value: v1::$name) -> Self {
                match value {
                    $(v1::$name::$variant $({ $($field),+ })? => {
                        Self::$variant $({ $($field),+ })?
                    })+
                }
            }
        }
    };
}

same! { Host { Managed { incarnation, manager }, External, Imported } }
same! { Outcome { Completed, Failed, Cancelled } }
same! { TaskStatus { Running, Completed, Failed, Cancelled } }
same! { Delivery { Delivered, InboxFull, InboxClosed } }
same! { PartKind { Description, Error, Result, Content, Reason } }

/// A bit that is not known stands for a part kind that is not known.
fn part_set(bits: u8) -> Result<PartSet, DecodeError> {
    PartSet::from_bits(bits).ok_or(DecodeError::UnsupportedFormat {
        what: "part set",
        found: bits.into(),
        max: PartSet::ALL.bits().into(),
    })
}

fn seq(what: &'static str, number: u64) -> Result<Seq, DecodeError> {
    Seq::new(number).ok_or(DecodeError::ZeroSeq { what })
}

fn optional_seq(what: &'static str, number: Option<u64>) -> Result<Option<Seq>, DecodeError> {
    number.map(|number| seq(what, number)).transpose()
}

fn id<'a, T>(
    what: &'static str,
    text: Option<&'a str>,
    new: impl FnOnce(&'a str) -> Result<T, IdError>,
) -> Result<Option<T>, DecodeError> {
    text.map(new).transpose().map_err(|e| bad_id(what, e))
}

fn bad_id(what: &'static str, source: IdError) -> DecodeError {
    if let IdError::TooLong { len } = source {
        let max = crate::ids::ID_BYTES_MAX;
        return DecodeError::TooLarge { what, len, max };
    }
    DecodeError::BadId { what, source }
}
