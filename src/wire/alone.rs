//! One command by itself: an object of its fields, with those of any command beside them.
//!
//! The task that it is about is named elsewhere, as in the path of a request. The object is read where it
//! stands, so that an error names a line and a column of what was sent. Start at [`alone_from_json`].

use super::{
    WireError,
    form::{
        CancelForm, CauseForm, EmitForm, EndForm, ExpectForm, Form, Item, RedactForm, SpawnForm,
        TargetForm, TaskForm, Text, UpdateForm,
    },
};
use crate::{command::Proposal, ids::TaskId};
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, Visitor, value},
};
use std::fmt;

/// A command whose fields are an object of its own, and the task that is named elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone<'a> {
    /// A spawn.
    Spawn,
    /// A change of this task.
    Update(&'a TaskId),
    /// The end of this task.
    End(&'a TaskId),
    /// Progress of this task.
    Emit(&'a TaskId),
    /// A request that this task stops; with `"scope":"tree"`, it and all below it.
    Cancel(&'a TaskId),
    /// A redaction.
    Redact,
}

impl Alone<'_> {
    /// The name of the command, as a batch has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Update(_) => "update",
            Self::End(_) => "end",
            Self::Emit(_) => "emit",
            Self::Cancel(_) => "cancel",
            Self::Redact => "redact",
        }
    }
}

/// Reads a command that stands alone: its fields, and `cause`, `occurred_ms` and `expect` beside them.
/// O(bytes).
///
/// # Errors
/// [`WireError::NotAlone`].
pub fn alone_from_json(command: Alone<'_>, json: &[u8]) -> Result<Proposal, WireError> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let read = from.deserialize_map(Reading(command));
    let item = read.and_then(|item| from.end().map(|()| item));
    item.map(Proposal::from)
        .map_err(|source| WireError::NotAlone { command: command.name(), source })
}

/// Makes the command of an object.
struct Reading<'a>(Alone<'a>);

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
        let mut beside = Beside::default();
        let task = match self.0 {
            Alone::Update(task) | Alone::End(task) | Alone::Emit(task) => Some(task.as_str()),
            Alone::Spawn | Alone::Cancel(_) | Alone::Redact => None,
        };
        let fields = Fields { map, task, beside: &mut beside };
        let from = value::MapAccessDeserializer::new(fields);
        let command = match self.0 {
            Alone::Spawn => Form::Spawn(SpawnForm::deserialize(from)?),
            Alone::Update(_) => Form::Update(UpdateForm::deserialize(from)?),
            Alone::End(_) => Form::End(EndForm::deserialize(from)?),
            Alone::Emit(_) => Form::Emit(EmitForm::deserialize(from)?),
            Alone::Cancel(task) => Form::Cancel(CancelAlone::deserialize(from)?.of(task)),
            Alone::Redact => Form::Redact(RedactForm::deserialize(from)?),
        };
        Ok(Item {
            command,
            key: None,
            cause: beside.cause.unwrap_or_default(),
            occurred_ms: beside.occurred_ms.flatten(),
            expect: beside.expect.flatten(),
        })
    }
}

/// A request to stop without its target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelAlone {
    #[serde(default)]
    scope: Option<Scope>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    Task,
    Tree,
}

impl CancelAlone {
    fn of(self, task: &TaskId) -> CancelForm {
        let task = TaskForm::Id(Text(task.clone()));
        let target = match self.scope {
            None | Some(Scope::Task) => TargetForm::Task(task),
            Some(Scope::Tree) => TargetForm::Tree(task),
        };
        CancelForm { target, reason: self.reason, deadline_ms: self.deadline_ms }
    }
}

/// The fields of any command, as far as they were met. The second `Option` is null.
#[derive(Default)]
#[allow(clippy::option_option, reason = "a field that is left out is not null")]
struct Beside {
    cause: Option<CauseForm>,
    occurred_ms: Option<Option<u64>>,
    expect: Option<Option<ExpectForm>>,
}

impl Beside {
    /// Takes the value of a field, if it is one of these.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "cause" => once("cause", &mut self.cause, map)?,
            "occurred_ms" => once("occurred_ms", &mut self.occurred_ms, map)?,
            "expect" => once("expect", &mut self.expect, map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    name: &'static str,
    field: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    match field.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(A::Error::duplicate_field(name)),
    }
}

/// The fields of the command: first its task, then those of the object that are not of any command.
struct Fields<'a, A> {
    map: A,
    task: Option<&'a str>,
    beside: &'a mut Beside,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error>
    where
        K: DeserializeSeed<'de>,
    {
        if self.task.is_some() {
            return seed.deserialize("task_id".into_deserializer()).map(Some);
        }
        while let Some(name) = self.map.next_key::<String>()? {
            if !self.beside.take(&name, &mut self.map)? {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V>(&mut self, seed: V) -> Result<V::Value, A::Error>
    where
        V: DeserializeSeed<'de>,
    {
        match self.task.take() {
            Some(task) => seed.deserialize(task.into_deserializer()),
            None => self.map.next_value_seed(seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Batch, Cancel, Command, Emit, Expect, Finish, Redact, Spawn, Update},
        event::{Cause, PartSet},
        ids::{Seq, ThreadId},
        time::Millis,
        wire,
    };

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    #[test]
    fn a_command_alone_is_the_one_of_a_batch() {
        let task = id("a \"\u{1f600}");
        let full = Spawn::new(ThreadId::new("t").unwrap(), "x").name("n").created_at(Millis(5));
        let finish = Finish::completed(&task).result(r#"{"a":1.50,"a":[ 1 , -0e5 ]}"#);
        let redact = Redact::new(Seq::new(7).unwrap(), PartSet::ALL, "secret");
        let all: [(Alone<'_>, Command); 6] = [
            (Alone::Spawn, full.into()),
            (Alone::Update(&task), Update::new(&task).without_name().parent(id("b")).into()),
            (Alone::End(&task), finish.into()),
            (Alone::Emit(&task), Emit::new(&task, "progress", "null").into()),
            (Alone::Cancel(&task), Cancel::task(&task).reason("late").deadline(Millis(9)).into()),
            (Alone::Redact, redact.into()),
        ];
        for (alone, command) in all {
            let mut proposal = Proposal::from(command).occurred_at(Millis(6));
            proposal.cause = Cause::default().task(id("boss"));
            proposal.expect = Some(Expect::Task(task.clone(), None));
            // The fields of the batch, without what names the task.
            let json = wire::to_json(&Batch::from(proposal.clone())).unwrap();
            let json = json.split_once(&format!("{{\"{}\":{{", alone.name())).unwrap().1;
            let (fields, beside) = json.rsplit_once("}},\"cause\"").unwrap();
            let task = serde_json::to_string(task.as_str()).unwrap();
            let fields = fields.replacen(&format!("\"task_id\":{task},"), "", 1);
            let fields = fields.replacen(&format!("\"target\":{{\"task\":{task}}},"), "", 1);
            let beside = beside.strip_suffix("}]}").unwrap();
            let json = format!("{{\"cause\"{beside},\n{fields}}}");
            assert_eq!(alone_from_json(alone, json.as_bytes()).unwrap(), proposal, "{json}");
        }
        let tree = alone_from_json(Alone::Cancel(&task), br#"{"scope":"tree"}"#).unwrap();
        assert_eq!(tree.command, Cancel::tree(&task).into());
        let null = br#"{"scope":null,"occurred_ms":null,"expect":null}"#;
        let null = alone_from_json(Alone::Cancel(&task), null).unwrap();
        assert_eq!(null, Proposal::from(Cancel::task(&task)));
    }

    /// The server once read a batch that it had made of the body, and told of places in that.
    #[test]
    fn what_is_no_command_is_refused_with_its_place_in_what_was_sent() {
        let task = id("a");
        for (alone, json, place) in [
            (Alone::Spawn, "{\"thread_id\":\"t\"}", (1, 17)),
            (Alone::Spawn, "{\n  \"thread_id\": \"t\",\n  \"task_type\": 5\n}", (3, 16)),
            (Alone::Spawn, "{\"thread_id\":\"t\",\n\"colour\":1}", (2, 8)),
            (Alone::End(&task), "{\"status\":\"running\"}", (1, 19)),
            (Alone::End(&task), "{\"task_id\":\"b\",\"status\":\"failed\"}", (1, 10)),
            (Alone::End(&task), "{\"status\":\"failed\",\n\"occurred_ms\":-1}", (2, 16)),
            (Alone::End(&task), "{\"cause\":{},\n\"cause\":{}}", (2, 11)),
            (Alone::Emit(&task), "{\"event_type\":\"x\",\n \"content\":}", (2, 12)),
            (Alone::Cancel(&task), "{\"scope\":\"all\"}", (1, 14)),
            (Alone::Cancel(&task), "{} {}", (1, 4)),
            (Alone::Redact, "[1]", (1, 0)),
            (Alone::Redact, "", (1, 0)),
        ] {
            let refused = alone_from_json(alone, json.as_bytes()).unwrap_err();
            let WireError::NotAlone { command, source } = refused else { panic!("{refused}") };
            assert_eq!(command, alone.name());
            assert_eq!((source.line(), source.column()), place, "{json}: {source}");
        }
    }
}
