//! The commands that only an importer records: it tells what other processes did.

use super::form::{Form, SpawnForm, StatusForm, TaskForm, as_is};
use crate::{
    command::{Command, Emit, Finish, Message, Restore, Spawn, TaskRef},
    event::{Delivery, Host, Outcome, TaskStatus},
    time::Millis,
};
use serde::{Deserialize, Serialize};

/// A task as a snapshot holds it. Its result is JSON text, as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreForm {
    spawn: SpawnForm,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    external: bool,
    /// Left out while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<StatusForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageForm {
    task_id: TaskForm,
    from: String,
    content: String,
    delivery: DeliveryForm,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryForm {
    Delivered,
    InboxFull,
    InboxClosed,
}

/// An end whose result is a text that need not be JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndTextForm {
    task_id: TaskForm,
    status: StatusForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at_ms: Option<u64>,
}

/// Progress whose content is a text that need not be JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmitTextForm {
    task_id: TaskForm,
    event_type: String,
    content: String,
}

/// The form that only an importer gives a command; `None` for all that others record as well.
pub(super) fn form_of(command: &Command) -> Option<Form> {
    Some(match command {
        Command::Spawn(spawn) if spawn.host == Host::Imported => {
            Form::Imported(SpawnForm::of(spawn))
        }
        Command::Restore(restore) if !restore.spawn.host.is_managed() => {
            Form::Restore(RestoreForm::of(restore))
        }
        Command::Message(message) => Form::Message(MessageForm {
            task_id: TaskForm::of(&message.task),
            from: message.from.to_string(),
            content: message.content.to_string(),
            delivery: message.delivery.into(),
        }),
        Command::Finish(finish) => {
            let result = finish.result.as_ref().filter(|text| as_is(text).is_none())?;
            Form::EndText(EndTextForm {
                task_id: TaskForm::of(&finish.task),
                status: StatusForm::of(finish.outcome),
                error: finish.error.as_deref().map(str::to_owned),
                result: result.to_string(),
                completed_at_ms: finish.completed.map(|at| at.0),
            })
        }
        Command::Emit(emit) if as_is(&emit.content).is_none() => Form::EmitText(EmitTextForm {
            task_id: TaskForm::of(&emit.task),
            event_type: emit.event_type.to_string(),
            content: emit.content.to_string(),
        }),
        Command::Spawn(_)
        | Command::Restore(_)
        | Command::Emit(_)
        | Command::Update(_)
        | Command::Cancel(_)
        | Command::Redact(_)
        | Command::Orphan(_) => return None,
    })
}

impl RestoreForm {
    fn of(restore: &Restore) -> Self {
        let status = match restore.status {
            TaskStatus::Running => None,
            TaskStatus::Completed => Some(StatusForm::Completed),
            TaskStatus::Failed => Some(StatusForm::Failed),
            TaskStatus::Cancelled => Some(StatusForm::Cancelled),
        };
        Self {
            spawn: SpawnForm::of(&restore.spawn),
            external: restore.spawn.host == Host::External,
            status,
            error: restore.error.as_deref().map(str::to_owned),
            result: restore.result.as_deref().map(str::to_owned),
            completed_at_ms: restore.completed.map(|at| at.0),
        }
    }
}

impl From<RestoreForm> for Restore {
    fn from(form: RestoreForm) -> Self {
        let host = if form.external { Host::External } else { Host::Imported };
        let status = form.status.map_or(TaskStatus::Running, |status| Outcome::from(status).into());
        let mut restore = Self::new(Spawn::from(form.spawn).host(host), status);
        restore.error = form.error.map(Into::into);
        restore.result = form.result.map(Into::into);
        restore.completed = form.completed_at_ms.map(Millis);
        restore
    }
}

impl From<Delivery> for DeliveryForm {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Delivered => Self::Delivered,
            Delivery::InboxFull => Self::InboxFull,
            Delivery::InboxClosed => Self::InboxClosed,
        }
    }
}

impl From<DeliveryForm> for Delivery {
    fn from(form: DeliveryForm) -> Self {
        match form {
            DeliveryForm::Delivered => Self::Delivered,
            DeliveryForm::InboxFull => Self::InboxFull,
            DeliveryForm::InboxClosed => Self::InboxClosed,
        }
    }
}

impl From<MessageForm> for Message {
    fn from(form: MessageForm) -> Self {
        let message = Self::new(TaskRef::from(form.task_id), form.from, form.content);
        message.delivery(form.delivery.into())
    }
}

impl From<EndTextForm> for Finish {
    fn from(form: EndTextForm) -> Self {
        let mut finish = Self::new(TaskRef::from(form.task_id), form.status.into());
        finish.error = form.error.map(Into::into);
        finish.result = Some(form.result.into());
        finish.completed = form.completed_at_ms.map(Millis);
        finish
    }
}

impl From<EmitTextForm> for Emit {
    fn from(form: EmitTextForm) -> Self {
        Self::new(TaskRef::from(form.task_id), form.event_type, form.content)
    }
}
