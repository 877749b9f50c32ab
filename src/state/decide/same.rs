//! Recognises a command that is repeated, by the event that it became the first time.

use crate::{
    command::{
        CancelTarget, Command, Emit, Finish, Message, Orphan, ParentRef, Proposal, Redact, Restore,
        Spawn, TaskRef, Update,
    },
    event::{Action, Entry, Event, Parent, PartKind, Restored, TaskRecord},
    time::Millis,
};
use std::sync::Arc;

/// Returns true if `recorded` is the event of the same command as `proposal`.
///
/// The cause, the time of occurrence and the events that the caller had seen are not part of the
/// command. A value that the caller left open (an id, a time) may be anything in the event. An
/// erased text is compared by its length alone.
#[must_use]
pub fn same_command(proposal: &Proposal, recorded: &Entry) -> bool {
    let event = &recorded.event;
    match (&proposal.command, &event.action) {
        (Command::Spawn(spawn), Action::Upserted { record }) => {
            event.prev_in_task.is_none()
                && same_spawn(spawn, event, record)
                && same_description(recorded, &spawn.description)
        }
        (Command::Update(update), Action::Upserted { record }) => {
            event.prev_in_task.is_some() && same_update(update, recorded, record)
        }
        (Command::Finish(finish), Action::Terminated { outcome, completed }) => {
            let Finish { task, outcome: asked, error, result, completed: at } = finish;
            is_about(event, task)
                && outcome == asked
                && same_time(*at, event, *completed)
                && same_text(recorded, PartKind::Error, error.as_ref())
                && same_text(recorded, PartKind::Result, result.as_ref())
        }
        (Command::Restore(restore), Action::Restored { why }) => {
            same_restore(restore, recorded, why)
        }
        (Command::Orphan(Orphan { task, error }), Action::Restored { why }) => {
            matches!(why, Restored::Orphaned { .. })
                && is_about(event, task)
                && same_text(recorded, PartKind::Error, Some(error))
        }
        (Command::Cancel(cancel), Action::CancelRequested { scope, deadline }) => {
            cancel.target.scope() == *scope
                && cancel.deadline == *deadline
                && same_target(&cancel.target, event)
                && same_text(recorded, PartKind::Reason, cancel.reason.as_ref())
        }
        (
            Command::Message(Message { task, from, content, delivery }),
            Action::Messaged { from: sender, delivery: became },
        ) => {
            is_about(event, task)
                && from == sender
                && delivery == became
                && same_text(recorded, PartKind::Content, Some(content))
        }
        (
            Command::Emit(Emit { task, event_type, content }),
            Action::Emitted { event_type: told },
        ) => {
            is_about(event, task)
                && event_type == told
                && same_text(recorded, PartKind::Content, Some(content))
        }
        (
            Command::Redact(Redact { seq, parts, reason }),
            Action::Redacted { seq: of, parts: erased },
        ) => seq == of && parts == erased && same_text(recorded, PartKind::Reason, Some(reason)),
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
        ) => false,
    }
}

fn is_about(event: &Event, task: &TaskRef) -> bool {
    task.id().is_some() && task.id() == event.task.as_ref()
}

/// A request names its task or its thread; the event of a task has its thread too. The run is in
/// the scope.
fn same_target(target: &CancelTarget, event: &Event) -> bool {
    match target {
        CancelTarget::Task(task) | CancelTarget::Tree(task) => is_about(event, task),
        CancelTarget::Thread(thread) => {
            event.task.is_none() && event.thread.as_ref() == Some(thread)
        }
        CancelTarget::Run(_) => event.task.is_none() && event.thread.is_none(),
    }
}

fn same_spawn(spawn: &Spawn, event: &Event, record: &TaskRecord) -> bool {
    let Spawn {
        task,
        thread,
        task_type,
        name,
        description: _,
        parent,
        run,
        call,
        agent,
        created,
        host,
    } = spawn;
    (task.is_none() || *task == event.task)
        && event.thread.as_ref() == Some(thread)
        && *task_type == record.task_type
        && *name == record.name
        && same_parent(parent.as_ref(), record.parent.as_ref())
        && *run == record.run
        && *call == record.call
        && *agent == record.agent
        && same_time(*created, event, record.created)
        && *host == record.host
}

fn same_update(update: &Update, recorded: &Entry, record: &TaskRecord) -> bool {
    let Update { task, name, parent, description } = update;
    is_about(&recorded.event, task)
        && name.as_ref().is_none_or(|name| *name == record.name)
        && parent.as_ref().is_none_or(|parent| same_parent(parent.as_ref(), record.parent.as_ref()))
        && same_text(recorded, PartKind::Description, description.as_ref())
}

fn same_restore(restore: &Restore, recorded: &Entry, why: &Restored) -> bool {
    let Restored::Snapshot { record, status, completed } = why else { return false };
    same_spawn(&restore.spawn, &recorded.event, record)
        && same_description(recorded, &restore.spawn.description)
        && restore.status == *status
        && restore.completed == *completed
        && same_text(recorded, PartKind::Error, restore.error.as_ref())
        && same_text(recorded, PartKind::Result, restore.result.as_ref())
}

/// Compares a parent as the command names it with the parent in the event.
fn same_parent(asked: Option<&ParentRef>, recorded: Option<&Parent>) -> bool {
    match (asked, recorded) {
        (None, None) => true,
        (Some(asked), Some(Parent::Local(id))) => asked.id() == Some(id),
        (Some(asked), Some(Parent::External { ledger, id })) => {
            asked.id() == Some(id) && asked.ledger() == *ledger
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Compares a time. If the command left it open, it became that of the event.
fn same_time(asked: Option<Millis>, event: &Event, recorded: Millis) -> bool {
    asked.unwrap_or(event.occurred) == recorded
}

fn same_description(recorded: &Entry, asked: &Arc<str>) -> bool {
    same_text(recorded, PartKind::Description, Some(asked).filter(|text| !text.is_empty()))
}

fn same_text(recorded: &Entry, kind: PartKind, asked: Option<&Arc<str>>) -> bool {
    let promised = recorded.event.parts.iter().find(|part| part.kind == kind);
    match (asked, promised) {
        (None, None) => true,
        (Some(asked), Some(promised)) => match recorded.text(kind) {
            Some(text) => text == asked,
            None => usize::try_from(promised.len) == Ok(asked.len()),
        },
        (None, Some(_)) | (Some(_), None) => false,
    }
}
