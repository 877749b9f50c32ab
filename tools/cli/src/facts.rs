//! Facts of a ledger that commands need to record: from its reader, or by asking its server.

use crate::remote::{Remote, Unsent};
use anyhow::{Error, Result};
use taskledger::{
    Code,
    event::{Action, ActionKind, Entry, Parent, PartKind, PartSet, TaskStatus},
    ids::{Key, LedgerId, Seq, TaskId},
    ledger::Reader,
    query::{Position, history_of_task},
};
use taskledger_contract::{
    answers::{EventLine, ProcessItem, ShowBody, process_of},
    questions::{CheckpointQuestion, EventQuestion, LogQuestion, ShowQuestion},
};

/// A ledger that tells facts.
#[derive(Debug, Clone)]
pub enum Facts {
    /// It is read here.
    Read(Reader),
    /// Its server is asked.
    Asked(Remote),
}

/// A task, as far as commands that record must know it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where it stands.
    pub status: TaskStatus,
    /// The key of the event that spawned it.
    pub key: Option<Key>,
    /// The process that runs it, as its spawn recorded it.
    pub process: Option<ProcessItem>,
}

/// A task that was just recorded.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// The key that a server has given the event that spawned it, where it is asked.
    pub key: Option<Key>,
    /// The parent, if the ledger does not hold it.
    pub external: Option<TaskId>,
}

/// A request to stop a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The key of its event.
    pub key: Option<Key>,
    /// The reason, if there is one.
    pub reason: Option<String>,
}

impl Facts {
    /// The ledger.
    pub fn ledger(&self) -> Result<LedgerId> {
        match self {
            Self::Read(reader) => Ok(reader.ledger_id()),
            Self::Asked(remote) => {
                if remote.ledger().is_none() {
                    remote.ask(&CheckpointQuestion, None)?;
                }
                let unnamed = || Unsent::NoAnswer("it does not say of which ledger".to_owned());
                Ok(remote.ledger().ok_or_else(unnamed)?)
            }
        }
    }

    /// Says whether the ledger holds a task.
    pub fn has_task(&self, id: &TaskId) -> Result<bool> {
        match self {
            Self::Read(reader) => Ok(reader.task(id)?.is_some()),
            Self::Asked(remote) => Ok(shown(remote, id)?.is_some()),
        }
    }

    /// A task, if the ledger holds it.
    pub fn task(&self, id: &TaskId) -> Result<Option<Known>> {
        let reader = match self {
            Self::Read(reader) => reader,
            Self::Asked(remote) => return Ok(shown(remote, id)?.map(|shown| of_shown(&shown))),
        };
        let Some(task) = reader.task(id)? else { return Ok(None) };
        let spawn = reader.entry(task.first_seq)?;
        let next = task.first_seq.next().filter(|_| spawn.batch_goes_on);
        let next = next.map(|next| reader.entry(next)).transpose()?;
        Ok(Some(Known {
            status: task.status,
            key: spawn.event.key,
            process: next.and_then(|next| process_of(&spawn, &next)),
        }))
    }

    /// A task that was just recorded, by its spawn. Of a ledger that is read here no event is: it may be
    /// closed by now. Of a server's nothing else is asked: a task may have more than one answer takes.
    pub fn begun(&self, id: &TaskId, spawn: Seq) -> Result<Begun> {
        match self {
            Self::Read(reader) => {
                let parent = reader.task(id)?.and_then(|task| task.record.parent.clone());
                let external = match parent {
                    Some(Parent::External { id, .. }) => Some(id),
                    Some(Parent::Local(_)) | None => None,
                };
                Ok(Begun { key: None, external })
            }
            Self::Asked(remote) => {
                let spawn = remote.ask(&EventQuestion { seq: spawn }, None)?;
                let parent = spawn.record.as_ref().and_then(|record| record.parent.as_ref());
                let external = parent.filter(|parent| parent.external);
                Ok(Begun {
                    key: spawn.key.as_deref().and_then(key),
                    external: external.and_then(|parent| parent.task_id.parse().ok()),
                })
            }
        }
    }

    /// True if the event that spawned a task has this key; where the key is not known, if it is about
    /// this task. A task that cannot be read, or its spawn, is taken for that one.
    ///
    /// # Errors
    /// A server does not say so now, and may in a while.
    pub fn is_spawn(&self, id: &TaskId, spawn: Seq, key: Option<Key>) -> Result<bool> {
        match self {
            Self::Read(reader) => Ok(match reader.task(id) {
                Ok(Some(task)) => reader
                    .entry(task.first_seq)
                    .map_or(true, |it| key.is_none() || it.event.key == key),
                Ok(None) => false,
                Err(_) => true,
            }),
            Self::Asked(remote) => match remote.ask(&EventQuestion { seq: spawn }, None) {
                Ok(event) => Ok(is_spawn_of(&event, id, key)),
                Err(error) => match error.downcast_ref() {
                    Some(Unsent::Refused { code: Some(Code::NoSuchEvent), .. }) => Ok(false),
                    Some(unsent @ Unsent::Refused { .. }) if !unsent.is_passing() => Ok(true),
                    Some(_) | None => Err(error),
                },
            },
        }
    }

    /// The requests to stop a task. What cannot be read says nothing.
    pub fn stops(&self, id: &TaskId) -> Vec<Stop> {
        match self {
            Self::Read(reader) => {
                let upto = Position::Log(reader.head().size);
                let history = history_of_task(reader, id, upto).unwrap_or_default();
                history.iter().filter_map(stop).collect()
            }
            Self::Asked(remote) => {
                let question = LogQuestion {
                    task: Some(id.clone()),
                    actions: vec![ActionKind::CancelRequested],
                    ..LogQuestion::default()
                };
                let asked = remote.ask(&question, None).map(|listed| listed.items);
                let stops = asked.unwrap_or_default().into_iter().map(|mut event| Stop {
                    key: event.key.as_deref().and_then(key),
                    reason: event.texts.remove(PartKind::Reason.as_str()).flatten(),
                });
                stops.collect()
            }
        }
    }

    /// The texts that an event has.
    pub fn parts(&self, seq: Seq) -> Result<PartSet> {
        match self {
            Self::Read(reader) => {
                Ok(reader.cursor().event(seq)?.parts.iter().map(|part| part.kind).collect())
            }
            Self::Asked(remote) => {
                let event = remote.ask(&EventQuestion { seq }, None)?;
                let kinds = PartKind::ALL.into_iter();
                Ok(kinds.filter(|kind| event.texts.contains_key(kind.as_str())).collect())
            }
        }
    }
}

fn stop(entry: &Entry) -> Option<Stop> {
    let asks = matches!(entry.event.action, Action::CancelRequested { .. });
    let reason = entry.text(PartKind::Reason).map(ToString::to_string);
    asks.then_some(Stop { key: entry.event.key, reason })
}

/// A task as a server shows it; none if its ledger does not hold it.
fn shown(remote: &Remote, id: &TaskId) -> Result<Option<ShowBody>> {
    match remote.ask(&ShowQuestion { task: id.clone() }, None) {
        Ok(shown) => Ok(Some(shown)),
        Err(error) if is_unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(Unsent::Refused { code: Some(Code::UnknownTask), .. }))
}

fn is_spawn_of(event: &EventLine, id: &TaskId, spawned: Option<Key>) -> bool {
    let is_about = event.task_id.as_deref() == Some(id.as_str()) && event.action == "upserted";
    is_about && (spawned.is_none() || event.key.as_deref().and_then(key) == spawned)
}

fn of_shown(shown: &ShowBody) -> Known {
    let (status, key) = (shown.task.status.into(), spawn_key(shown));
    Known { status, key, process: shown.process.clone() }
}

fn spawn_key(shown: &ShowBody) -> Option<Key> {
    key(shown.history.first()?.key.as_deref()?)
}

fn key(hex: &str) -> Option<Key> {
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
    Some(Key(number.to_be_bytes()))
}
