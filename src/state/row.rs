//! A task as bytes: its thread and its parent are rows, and its id is elsewhere.
//!
//! Both encodings of a state use it; see `encode.rs` and `tables`.

use super::{
    DecodeError, LedgerState, TEXT_KEPT_BYTES_MAX, Task, Text, TextBody,
    bytes::{Encoder, Reader, Words},
};
use crate::{
    event::{Host, Parent, TaskRecord, TaskStatus},
    ids::{AgentId, CallId, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

impl Task {
    /// The task with the lengths of its texts, and none of their bodies.
    pub(super) fn without_texts(&self) -> Self {
        let bare = |text: &Text| Text { body: TextBody::Erased, ..text.clone() };
        Self {
            description: bare(&self.description),
            error: self.error.as_ref().map(bare),
            result: self.result.as_ref().map(bare),
            ..self.clone()
        }
    }
}

impl LedgerState {
    /// Writes a task without its id.
    pub(super) fn write_task(&self, to: &mut Encoder, words: &mut Dictionary, task: &Task) {
        to.count(task.home);
        self.write_record(to, words, &task.record);
        to.tag(status_tag(task.status));
        write_text(to, &task.description);
        to.option(task.error.as_ref(), write_text);
        to.option(task.result.as_ref(), write_text);
        to.option(task.completed, |to, at| to.number(at.0));
        to.seq(task.first_seq);
        to.seq(task.last_seq);
        to.optional_seq(task.terminal_seq);
        to.optional_seq(task.cancel_seq);
        to.optional_seq(task.tree_cancel_seq);
        to.number(task.last_activity.0);
        to.number(task.events);
    }

    fn write_record(&self, to: &mut Encoder, words: &mut Dictionary, record: &TaskRecord) {
        words.labels.write(to, &record.task_type);
        to.option(record.name.as_ref(), |to, name| words.labels.write(to, name));
        match &record.parent {
            None => to.tag(0),
            Some(Parent::Local(parent)) => {
                if let Some(row) = self.tasks.find(parent.as_str()) {
                    to.tag(1);
                    to.count(row);
                } else {
                    to.tag(2);
                    to.text(parent.as_str());
                }
            }
            Some(Parent::External { ledger, id }) => {
                to.tag(3);
                to.option(*ledger, |to, ledger| to.raw(&ledger.0));
                to.text(id.as_str());
            }
        }
        to.option(record.run.as_ref(), |to, run| words.runs.write(to, run));
        to.option(record.call.as_ref(), |to, call| to.text(call.as_str()));
        to.option(record.agent.as_ref(), |to, agent| words.agents.write(to, agent));
        to.number(record.created.0);
        match record.host {
            Host::Managed { incarnation, manager } => {
                to.tag(0);
                to.number(incarnation);
                to.number(manager.into());
            }
            Host::External => to.tag(1),
            Host::Imported => to.tag(2),
        }
    }
}

/// The words of some tasks that are written one after another.
#[derive(Default)]
pub(super) struct Dictionary {
    /// Names and types.
    labels: Words<Arc<str>>,
    runs: Words<RunId>,
    agents: Words<AgentId>,
}

/// The parent of a task, as its row tells it.
pub(super) enum Above {
    None,
    /// The parent is the task in this row.
    Row(usize),
    /// The state does not hold the parent.
    Absent(TaskId),
    /// The parent is in another ledger, or in an unknown one.
    External {
        ledger: Option<LedgerId>,
        id: TaskId,
    },
}

impl Above {
    /// The parent, unless it is told by its row.
    pub(super) fn parent(&self) -> Option<Parent> {
        match self {
            Self::None | Self::Row(_) => None,
            Self::Absent(id) => Some(Parent::Local(id.clone())),
            Self::External { ledger, id } => {
                Some(Parent::External { ledger: *ledger, id: id.clone() })
            }
        }
    }
}

/// A task as it is written: its thread and its parent are rows, and its id is not there.
pub(super) struct Row {
    pub(super) home: usize,
    pub(super) above: Above,
    record: TaskRecord,
    status: TaskStatus,
    description: Text,
    error: Option<Text>,
    result: Option<Text>,
    completed: Option<Millis>,
    first_seq: Seq,
    last_seq: Seq,
    terminal_seq: Option<Seq>,
    cancel_seq: Option<Seq>,
    tree_cancel_seq: Option<Seq>,
    last_activity: Millis,
    events: u64,
}

impl Row {
    pub(super) fn read(from: &mut Reader<'_>, words: &mut Dictionary) -> Result<Self, DecodeError> {
        let home = usize::try_from(from.number()?).unwrap_or(usize::MAX);
        let (record, above) = read_record(from, words)?;
        Ok(Self {
            home,
            above,
            record,
            status: read_status(from)?,
            description: read_text(from)?,
            error: from.option(read_text)?,
            result: from.option(read_text)?,
            completed: from.option(|from| from.number().map(Millis))?,
            first_seq: from.seq()?,
            last_seq: from.seq()?,
            terminal_seq: from.optional_seq()?,
            cancel_seq: from.optional_seq()?,
            tree_cancel_seq: from.optional_seq()?,
            last_activity: Millis(from.number()?),
            events: from.number()?,
        })
    }

    /// The task in a state that holds its thread at `home`.
    pub(super) fn into_task(
        self,
        id: TaskId,
        thread: ThreadId,
        home: usize,
        parent: Option<Parent>,
    ) -> Task {
        Task {
            id,
            thread,
            record: TaskRecord { parent, ..self.record },
            status: self.status,
            description: self.description,
            error: self.error,
            result: self.result,
            completed: self.completed,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            terminal_seq: self.terminal_seq,
            cancel_seq: self.cancel_seq,
            tree_cancel_seq: self.tree_cancel_seq,
            last_activity: self.last_activity,
            events: self.events,
            home,
        }
    }
}

/// A record without its parent, and this.
fn read_record(
    from: &mut Reader<'_>,
    words: &mut Dictionary,
) -> Result<(TaskRecord, Above), DecodeError> {
    let label = |text: &str| Ok(text.into());
    let task_type = words.labels.read(from, label)?;
    let name = from.option(|from| words.labels.read(from, label))?;
    let above = read_above(from)?;
    let record = TaskRecord {
        task_type,
        name,
        parent: None,
        run: from.option(|from| words.runs.read(from, RunId::new))?,
        call: from.option(|from| from.id(CallId::new))?,
        agent: from.option(|from| words.agents.read(from, AgentId::new))?,
        created: Millis(from.number()?),
        host: match from.tag()? {
            0 => Host::Managed {
                incarnation: from.number()?,
                manager: u32::try_from(from.number()?).map_err(|_| from.invalid("manager"))?,
            },
            1 => Host::External,
            2 => Host::Imported,
            _ => return Err(from.invalid("host")),
        },
    };
    Ok((record, above))
}

fn read_above(from: &mut Reader<'_>) -> Result<Above, DecodeError> {
    Ok(match from.tag()? {
        0 => Above::None,
        1 => Above::Row(usize::try_from(from.number()?).unwrap_or(usize::MAX)),
        2 => Above::Absent(from.id(TaskId::new)?),
        3 => Above::External {
            ledger: from.option(|from| from.array().map(LedgerId))?,
            id: from.id(TaskId::new)?,
        },
        _ => return Err(from.invalid("parent")),
    })
}

const fn status_tag(status: TaskStatus) -> u8 {
    match status {
        TaskStatus::Running => 0,
        TaskStatus::Completed => 1,
        TaskStatus::Failed => 2,
        TaskStatus::Cancelled => 3,
    }
}

fn read_status(from: &mut Reader<'_>) -> Result<TaskStatus, DecodeError> {
    let tag = from.tag()?;
    let status = TaskStatus::ALL.into_iter().find(|status| status_tag(*status) == tag);
    status.ok_or_else(|| from.invalid("status"))
}

fn write_text(to: &mut Encoder, text: &Text) {
    to.seq(text.seq);
    match &text.body {
        TextBody::Kept(kept) | TextBody::Saved(kept) => {
            to.tag(0);
            to.text(kept);
        }
        TextBody::Stored => {
            to.tag(1);
            to.number(text.len.into());
        }
        TextBody::Erased => {
            to.tag(2);
            to.number(text.len.into());
        }
        TextBody::Withheld => {
            to.tag(3);
            to.number(text.len.into());
        }
    }
}

/// Reads a text. One that is there is only [saved](TextBody::Saved): nothing proves it.
fn read_text(from: &mut Reader<'_>) -> Result<Text, DecodeError> {
    let seq = from.seq()?;
    let body = match from.tag()? {
        0 => {
            let text = from.text()?;
            if text.len() > TEXT_KEPT_BYTES_MAX {
                return Err(from.invalid("text: it is too long to be held"));
            }
            return Ok(Text::saved(seq, text.into()));
        }
        1 => TextBody::Stored,
        2 => TextBody::Erased,
        3 => TextBody::Withheld,
        _ => return Err(from.invalid("text")),
    };
    let len = u32::try_from(from.number()?).map_err(|_| from.invalid("length"))?;
    Ok(Text { seq, len, body })
}
