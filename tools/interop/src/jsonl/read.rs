//! From lines of the native format back to proposals.
//!
//! Tasks come back as Imported, whoever ran them: an import must not make a manager believe that
//! it owns them. What only concerns the ledger that wrote a line (`began`, `redacted`) is skipped;
//! redacted texts are already missing from the lines that had them.

use super::shape::{EventLine, RecordLine, bytes16, delivery, id, outcome, status};
use crate::{
    error::ReadError,
    input::Input,
    lines::{Bad, Span, Walk},
    options::{Progress, ReadOptions},
    plan::{key, name},
    recording::Recording,
    sort::{Class, Fill, Sorter, Step},
    text,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use taskledger::{
    command::{
        Cancel, Command, Emit, Finish, Message, ParentRef, Proposal, Restore, Spawn, Update,
    },
    event::{Cause, Host, Outcome, TaskStatus},
    ids::{Key, LedgerId, RunId, TaskId, ThreadId, check_id},
    time::Millis,
};

/// Reads exported events. The first pass checks every line; nothing of it is kept but its place.
pub(super) fn read(
    inputs: &[Input],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    let mut walk = Walk::new(inputs, options, progress);
    let mut events = Events::default();
    for (number, input) in inputs.iter().enumerate() {
        walk.file(number, input, |tally, record| {
            let line = parse(record.text)?;
            if record.behind && line.action.is_empty() {
                return Err(Bad::Json("a part of a record".to_owned()));
            }
            if let Some(thread) = id::<ThreadId>("thread_id", line.thread_id.as_ref())? {
                events.threads.insert(options.thread.clone().unwrap_or(thread));
            }
            let Some(proposal) = convert(&line, true, options)? else {
                tally.skipped += 1;
                return Ok(());
            };
            events.add(&line, &proposal, record.span);
            Ok(())
        })?;
    }
    Ok(Recording {
        format: super::ID,
        tally: walk.finish(),
        spawns_grow: false,
        inputs: inputs.into(),
        options: options.clone(),
        threads: events.threads.iter().cloned().collect(),
        steps: events.steps(),
        ..Recording::empty(super::ID)
    })
}

/// A line that the first pass took, but the second or later `upserted` of its task.
#[derive(Debug)]
struct Once;

/// The second or later `upserted` of a task.
#[derive(Debug)]
struct Again;

impl Fill for Once {
    fn proposal(&self, record: &str, options: &ReadOptions) -> Option<Proposal> {
        convert(&parse(record).ok()?, true, options).ok().flatten()
    }
}

impl Fill for Again {
    fn proposal(&self, record: &str, options: &ReadOptions) -> Option<Proposal> {
        convert(&parse(record).ok()?, false, options).ok().flatten()
    }
}

/// The lines of a recording, in order of their numbers if those are an order, else of occurrence.
#[derive(Debug, Default)]
struct Events {
    threads: BTreeSet<ThreadId>,
    found: Vec<Found>,
    /// Every task that a line names has a number here.
    numbers: BTreeMap<TaskId, u32>,
    tasks: Vec<TaskId>,
    /// Says whether a line has no number.
    unnumbered: bool,
}

/// There is one for each line, so it is small.
#[derive(Debug)]
struct Found {
    seq: u64,
    occurred: u64,
    span: Span,
    task: Option<u32>,
    parent: Option<u32>,
    class: Class,
}

impl Events {
    fn add(&mut self, line: &EventLine, proposal: &Proposal, span: Span) {
        let task = proposal.command.task_id();
        let (class, parent) = match &proposal.command {
            Command::Spawn(begun) | Command::Restore(Restore { spawn: begun, .. }) => {
                (Class::Spawn, begun.parent.as_ref().and_then(ParentRef::id))
            }
            Command::Finish(_) | Command::Orphan(_) => (Class::End, None),
            Command::Update(_)
            | Command::Message(_)
            | Command::Emit(_)
            | Command::Cancel(_)
            | Command::Redact(_) => (Class::Middle, None),
        };
        let last = self.found.last().map_or(0, |found| found.occurred);
        self.unnumbered |= line.seq.is_none();
        let found = Found {
            seq: line.seq.unwrap_or_default(),
            occurred: line.occurred_ms.unwrap_or(last),
            span,
            task: task.map(|task| self.number(task)),
            parent: parent.map(|parent| self.number(parent)),
            class,
        };
        self.found.push(found);
    }

    fn number(&mut self, id: &TaskId) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id.clone(), number);
        self.tasks.push(id.clone());
        number
    }

    fn steps(self) -> Vec<Step> {
        let Self { mut found, tasks, unnumbered, .. } = self;
        found.sort_unstable_by_key(|found| (found.seq, found.span.file, found.span.offset));
        let repeated = found.windows(2).any(|pair| matches!(pair, [a, b] if a.seq == b.seq));
        let numbered = !unnumbered && !repeated;
        if !numbered {
            found
                .sort_unstable_by_key(|found| (found.occurred, found.span.file, found.span.offset));
        }
        let id = |number: Option<u32>| tasks.get(usize::try_from(number?).ok()?);
        let mut sorter = Sorter::with_capacity(found.len());
        let mut spawned = vec![false; tasks.len()];
        for event in found {
            let order = if numbered { event.seq } else { event.occurred };
            let span = event.span;
            let seen = event.task.and_then(|task| spawned.get_mut(usize::try_from(task).ok()?));
            match (event.class, id(event.task), seen) {
                // The first record of a task, in the order that counts, is its spawn.
                (Class::Spawn, Some(task), Some(seen)) if !*seen => {
                    *seen = true;
                    let step = Step::Read { span, fill: Box::new(Once) };
                    sorter.spawn(task, id(event.parent), order, step);
                }
                (Class::Spawn, task, _) => {
                    let step = Step::Read { span, fill: Box::new(Again) };
                    sorter.about(task, Class::Middle, order, step);
                }
                (class, task, _) => {
                    sorter.about(task, class, order, Step::Read { span, fill: Box::new(Once) });
                }
            }
        }
        sorter.sort()
    }
}

fn parse(text: &str) -> Result<EventLine, serde_json::Error> {
    serde_json::from_str(text)
}

/// Says what a line proposes; nothing if it only concerns the ledger that wrote it.
fn convert(
    line: &EventLine,
    first: bool,
    options: &ReadOptions,
) -> Result<Option<Proposal>, String> {
    if line.schema != super::SCHEMA && !line.schema.is_empty() {
        return Err(format!("schema {:?} is not {:?}", line.schema, super::SCHEMA));
    }
    let Some(command) = command(line, first, options)? else { return Ok(None) };
    let cause = Cause::default()
        .task(id("cause.task_id", line.cause.task_id.as_ref())?)
        .run(id("cause.run_id", line.cause.run_id.as_ref())?)
        .call(id("cause.call_id", line.cause.call_id.as_ref())?)
        .agent(id("cause.agent_id", line.cause.agent_id.as_ref())?);
    let key = match &line.key {
        Some(hex) => {
            bytes16(hex).map(Key).ok_or_else(|| format!("key {hex:?} is not 32 digits"))?
        }
        None => derived(line),
    };
    let mut proposal = Proposal::new(command).cause(cause).key(key);
    proposal.occurred = line.occurred_ms.map(Millis);
    Ok(Some(proposal))
}

fn derived(line: &EventLine) -> Key {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let (seq, at) = (number(line.seq), number(line.occurred_ms));
    let texts = line.texts.iter().flat_map(|(kind, text)| [Some(kind), text.as_ref()]).flatten();
    let words = [&line.thread_id, &line.task_id].map(|id| id.as_deref().unwrap_or_default());
    let words = words.into_iter().chain(["jsonl", &line.action, &seq, &at]);
    // Two events that say the same of the same task at the same time are the same event.
    key(words.chain(texts.map(String::as_str)))
}

fn command(
    line: &EventLine,
    first: bool,
    options: &ReadOptions,
) -> Result<Option<Command>, String> {
    let task = || required("task_id", id::<TaskId>("task_id", line.task_id.as_ref())?);
    let thread = || match &options.thread {
        Some(thread) => Ok(thread.clone()),
        None => required("thread_id", id::<ThreadId>("thread_id", line.thread_id.as_ref())?),
    };
    let command = match line.action.as_str() {
        "upserted" if first => Command::Spawn(spawn(line, task()?, thread()?)?),
        "upserted" => Command::Update(update(line, task()?)?),
        "terminated" => Command::Finish(finish(line, task()?)?),
        // Only a manager's own ledger can tell that it is gone; here it is a failure like another.
        "restored" if line.why.as_deref() == Some("orphaned") => {
            Command::Finish(finish_of(line, task()?, Outcome::Failed))
        }
        "restored" => Command::Restore(restore(line, task()?, thread()?)?),
        "cancel_requested" => Command::Cancel(cancel(line, &task, &thread)?),
        "messaged" => {
            let word = line.delivery.as_deref().unwrap_or("delivered");
            Command::from(
                Message::new(
                    task()?,
                    label("from", line.from.as_deref())?,
                    part(line, "content").unwrap_or_default(),
                )
                .delivery(delivery(word).ok_or_else(|| unknown("delivery", word))?),
            )
        }
        "emitted" => Command::from(Emit::new(
            task()?,
            label("event_type", line.event_type.as_deref())?,
            part(line, "content").unwrap_or_default(),
        )),
        "redacted" | "began" => return Ok(None),
        other => return Err(unknown("action", other)),
    };
    Ok(Some(command))
}

fn spawn(line: &EventLine, task: TaskId, thread: ThreadId) -> Result<Spawn, String> {
    let record = required("record", line.record.as_ref())?;
    let description = line.texts.get("description").and_then(Option::as_deref);
    let mut spawn = Spawn::new(thread, label("task_type", Some(&record.task_type))?)
        .task(task)
        .description(text::description(description.unwrap_or_default()))
        .host(Host::Imported);
    spawn.name = name("name", record.name.as_deref())?;
    spawn.parent = parent(record)?;
    spawn.run = id("run_id", record.run_id.as_ref())?;
    spawn.call = id("call_id", record.call_id.as_ref())?;
    spawn.agent = id("agent_id", record.agent_id.as_ref())?;
    spawn.created = record.created_at_ms.or(line.occurred_ms).map(Millis);
    Ok(spawn)
}

fn update(line: &EventLine, task: TaskId) -> Result<Update, String> {
    let record = required("record", line.record.as_ref())?;
    let description = line.texts.get("description").and_then(Option::as_deref);
    let mut update = Update::new(task);
    update.name = Some(name("name", record.name.as_deref())?);
    update.parent = Some(parent(record)?);
    update.description = description.map(text::description);
    Ok(update)
}

fn finish(line: &EventLine, task: TaskId) -> Result<Finish, String> {
    let word = required("outcome", line.outcome.as_deref())?;
    let outcome = outcome(word).ok_or_else(|| unknown("outcome", word))?;
    Ok(finish_of(line, task, outcome))
}

fn finish_of(line: &EventLine, task: TaskId, outcome: Outcome) -> Finish {
    let mut finish = Finish::new(task, outcome);
    finish.error = part(line, "error");
    finish.result = part(line, "result");
    finish.completed = line.completed_at_ms.or(line.occurred_ms).map(Millis);
    finish
}

fn restore(line: &EventLine, task: TaskId, thread: ThreadId) -> Result<Restore, String> {
    let word = line.status.as_deref().unwrap_or(TaskStatus::Running.as_str());
    let status = status(word).ok_or_else(|| unknown("status", word))?;
    let mut restore = Restore::new(spawn(line, task, thread)?, status);
    if status.is_terminal() {
        restore.error = part(line, "error");
        restore.result = part(line, "result");
        restore.completed = line.completed_at_ms.map(Millis);
    }
    Ok(restore)
}

fn cancel(
    line: &EventLine,
    task: &dyn Fn() -> Result<TaskId, String>,
    thread: &dyn Fn() -> Result<ThreadId, String>,
) -> Result<Cancel, String> {
    let word = required("scope", line.scope.as_deref())?;
    let mut cancel = match word {
        "task" => Cancel::task(task()?),
        "tree" => Cancel::tree(task()?),
        "thread" => Cancel::thread(thread()?),
        "run" => Cancel::run(required("run_id", id::<RunId>("run_id", line.run_id.as_ref())?)?),
        other => return Err(unknown("scope", other)),
    };
    cancel.deadline = line.deadline_ms.map(Millis);
    cancel.reason = part(line, "reason");
    Ok(cancel)
}

fn parent(record: &RecordLine) -> Result<Option<ParentRef>, String> {
    let Some(parent) = &record.parent else { return Ok(None) };
    let task = required("parent.task_id", id("parent.task_id", Some(&parent.task_id))?)?;
    Ok(Some(match &parent.ledger_id {
        Some(hex) => {
            let ledger = LedgerId(bytes16(hex).ok_or_else(|| unknown("ledger_id", hex))?);
            ParentRef::InLedger { ledger, id: task }
        }
        None => task.into(),
    }))
}

fn label(what: &'static str, text: Option<&str>) -> Result<Arc<str>, String> {
    let text = text.unwrap_or_default();
    check_id(text).map_err(|error| format!("{what}: {error}"))?;
    Ok(text.into())
}

fn part(line: &EventLine, kind: &str) -> Option<Arc<str>> {
    let text = line.texts.get(kind)?.as_deref()?;
    Some(if kind == "result" { text::json(text) } else { text::part(text) })
}

fn required<T>(what: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("no {what}"))
}

fn unknown(what: &str, found: &str) -> String {
    format!("unknown {what} {:?}", text::clip(found, 64))
}
