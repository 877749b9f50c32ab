//! Persisted state of a background task manager: one revision of the whole state per line.
//!
//! Statuses come from the revisions alone. Messages to inboxes beside them add what tasks told;
//! summaries beside them only have to be readable, and agree. A task is keyed by
//! `owner_thread_id/task_id`, since `bg_0` is given anew by every manager.

use crate::{
    error::ReadError,
    importer::Importer,
    input::Input,
    lax::{Num, Obj, Str},
    lines::{Bad, Record, Walk, not_json},
    options::{Progress, ReadOptions},
    plan::{EndFacts, Plan, TaskFacts, Told, description, name},
    recording::Recording,
    tally::{Tally, bad_id},
    text,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use taskledger::{
    event::Outcome,
    ids::{AgentId, CallId, RunId, TaskId, ThreadId, check_id},
    time::Millis,
};

const ID: &str = "awaken";
/// The state revisions in a folder of this format.
const STATES: &str = "background_task_state.snapshots.jsonl";
/// Messages to inboxes, beside them.
const INBOX: &str = "inbox_events.jsonl";
/// Summaries, beside them.
const SUMMARIES: &str = "task_summaries.json";

/// Summaries are one JSON text; a larger file is not read.
const SUMMARIES_BYTES_MAX: u64 = 64 << 20;

/// The format of a background task manager's persisted state.
#[derive(Debug)]
pub(crate) struct Awaken;

impl Importer for Awaken {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> &'static str {
        "Revisions of a background task manager's persisted state"
    }

    fn detect(&self, line: &[u8]) -> bool {
        let look: Option<Look<'_>> = serde_json::from_slice(line).ok();
        look.is_some_and(|look| look.key.is("background_task_state") || look.tasks.0.is_some())
    }

    fn knows(&self, file: &Path) -> bool {
        is_part(file) && file.with_file_name(STATES).is_file()
    }

    /// None of the three means much without the others.
    fn gather(&self, files: &[PathBuf]) -> Vec<Vec<PathBuf>> {
        let mut found: Vec<Vec<PathBuf>> = Vec::new();
        for file in files {
            if found.iter().flatten().any(|other| other == file) {
                continue;
            }
            if !self.knows(file) {
                found.push(vec![file.clone()]);
                continue;
            }
            let all = [STATES, INBOX, SUMMARIES].map(|name| file.with_file_name(name));
            found.push(all.into_iter().filter(|file| file.is_file()).collect());
        }
        found
    }

    fn main_of(&self, folder: &Path) -> Option<PathBuf> {
        Some(folder.join(STATES)).filter(|states| states.is_file())
    }

    fn read(
        &self,
        inputs: &[Input],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Recording, ReadError> {
        read(inputs, options, progress)
    }
}

fn is_part(file: &Path) -> bool {
    file.file_name().is_some_and(|name| [STATES, INBOX, SUMMARIES].iter().any(|part| name == *part))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look<'a> {
    #[serde(borrow)]
    key: Str<'a>,
    tasks: Obj<Nothing>,
}

#[derive(Debug, Deserialize)]
struct Nothing {}

/// Reads a folder of revisions, messages and summaries, or a file of revisions alone.
fn read(
    inputs: &[Input],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    let mut walk = Walk::new(inputs, options, progress);
    let mut states = States { options: Some(options.clone()), ..States::default() };
    for (number, input) in inputs.iter().enumerate().filter(|(_, i)| !beside(i)) {
        states.fallback = fallback(input);
        walk.file(number, input, |_, record| states.revision(record))?;
    }
    let mut told = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        if named(input, INBOX) {
            // Records are revisions; messages only stand beside them.
            let revisions = walk.tally.records;
            walk.file(number, input, |tally, record| states.message(tally, record, &mut told))?;
            walk.tally.records = revisions;
        }
    }
    let mut tally = walk.finish();
    for input in inputs.iter().filter(|input| named(input, SUMMARIES)) {
        states.check_summaries(&mut tally, input)?;
    }
    let mut plan = Plan::new(ID);
    let threads: BTreeSet<ThreadId> =
        states.tasks.values().map(|t| t.facts.thread.clone()).collect();
    states.plan(told, &mut plan);
    Ok(Recording {
        format: ID,
        threads: threads.into_iter().collect(),
        tally,
        inputs: inputs.into(),
        steps: plan.steps(),
        options: options.clone(),
        ..Recording::empty(ID)
    })
}

#[derive(Debug, Default)]
struct States {
    options: Option<ReadOptions>,
    fallback: Option<ThreadId>,
    tasks: BTreeMap<TaskId, Task>,
    /// The tasks of every thread that have this id of their manager.
    natives: BTreeMap<String, Vec<TaskId>>,
    /// The latest time that a revision told, which stands for one that has none.
    last: u64,
    /// The latest time that a message to an inbox cannot be before.
    told_by: u64,
}

#[derive(Debug)]
struct Task {
    facts: TaskFacts,
    owner: ThreadId,
    parent: Option<String>,
    end: Option<EndFacts>,
    told: usize,
}

/// Says what a message to an inbox told, in order.
struct Message {
    task: TaskId,
    at: u64,
    what: Told,
}

impl States {
    fn revision(&mut self, record: Record<'_>) -> Result<(), Bad> {
        let line: Line<'_> = serde_json::from_str(record.text)?;
        let tasks = line.value.0.and_then(|value| value.tasks.0).or(line.tasks.0);
        if record.behind && tasks.is_none() {
            return Err(Bad::Json("a part of a record".to_owned()));
        }
        // One bad task does not take the others of its revision with it.
        let mut worst = Ok(());
        for (key, meta) in tasks.unwrap_or_default() {
            let Some(meta) = meta.0 else { continue };
            if let Err(why) = self.meta(&key, &meta) {
                worst = Err(why.into());
            }
        }
        worst
    }

    fn meta(&mut self, key: &str, meta: &Meta<'_>) -> Result<(), String> {
        let native = meta.task_id.get().unwrap_or(key);
        let owner = match meta.owner.get() {
            Some(owner) => ThreadId::new(owner).map_err(bad_id("owner_thread_id"))?,
            None => self.fallback.clone().ok_or("no owner_thread_id")?,
        };
        let id = TaskId::new(format!("{owner}/{native}")).map_err(bad_id("task_id"))?;
        let end = end(meta);
        let times = [meta.created.0, meta.completed.0].into_iter().flatten();
        self.last = times.fold(self.last, u64::max);
        let order = self.last;
        if let Some(task) = self.tasks.get_mut(&id) {
            // The first end wins, whatever a later revision says.
            if task.end.is_none() {
                task.end = end.map(|end| end.facts(order));
            }
            return Ok(());
        }
        let (parent, run, call, agent) = lineage(meta)?;
        let thread = self.options.as_ref().and_then(|options| options.thread.clone());
        let facts = TaskFacts {
            id: id.clone(),
            thread: thread.unwrap_or_else(|| owner.clone()),
            kind: name("task_type", meta.kind.get())?.unwrap_or_else(|| "task".into()),
            name: name("name", meta.name.get())?,
            description: description(meta.description.get()),
            parent: None,
            run,
            call,
            agent,
            created: meta.created.0.map(Millis),
            order: meta.created.0.unwrap_or(order),
        };
        let end = end.map(|end| end.facts(order));
        self.natives.entry(native.to_owned()).or_default().push(id.clone());
        self.tasks.insert(id, Task { facts, owner, parent, end, told: 0 });
        Ok(())
    }

    /// A message has no time of its own. It was sent after those before it, so after every end
    /// that they told of, and while its task ran: the earliest such time is taken. That is always
    /// the time of another event, so no count as of any moment depends on the choice.
    fn message(
        &mut self,
        tally: &mut Tally,
        record: Record<'_>,
        told: &mut Vec<Message>,
    ) -> Result<(), Bad> {
        let message: Inbox<'_> = serde_json::from_str(record.text)?;
        let known = message.task_id.get().and_then(|native| self.natives.get(native));
        let Some([id]) = known.map(Vec::as_slice) else {
            tally.skipped += 1; // of no task, or of one of several
            return Ok(());
        };
        let Some(task) = self.tasks.get(id) else { return Ok(()) };
        match message.kind.get().unwrap_or_default() {
            "custom" => {
                let end = task.end.as_ref().map_or(u64::MAX, |end| end.order);
                let at = self.told_by.max(task.facts.order).min(end);
                self.told_by = self.told_by.max(at);
                told.push(Message { task: id.clone(), at, what: what_was_told(&message)? });
            }
            "completed" | "failed" | "cancelled" => {
                let end = task.end.as_ref();
                let agrees = message.kind.get() == end.map(|end| word(end.outcome));
                self.told_by = self.told_by.max(end.map_or(0, |end| end.order));
                tally.skipped += u64::from(!agrees);
            }
            kind => tally.unknown(kind),
        }
        Ok(())
    }

    /// Counts the summaries that say otherwise than the revisions.
    fn check_summaries(&self, tally: &mut Tally, input: &Input) -> Result<(), ReadError> {
        let len = fs::metadata(&input.path).map_err(ReadError::io(&input.path))?.len();
        if len > SUMMARIES_BYTES_MAX {
            tally.bad(
                &input.shown,
                1,
                format!("file of {len} bytes; the limit is {SUMMARIES_BYTES_MAX} bytes"),
            );
            return Ok(());
        }
        let text = fs::read(&input.path).map_err(ReadError::io(&input.path))?;
        let summaries: Vec<Obj<Meta<'_>>> = match serde_json::from_slice(&text) {
            Ok(summaries) => summaries,
            Err(error) => {
                let line = u64::try_from(error.line()).unwrap_or(0);
                tally.bad(&input.shown, line, not_json(&error));
                return Ok(());
            }
        };
        for summary in summaries.iter().filter_map(|summary| summary.0.as_ref()) {
            let known = summary.task_id.get().and_then(|native| self.natives.get(native));
            let agrees =
                known.into_iter().flatten().filter_map(|id| self.tasks.get(id)).any(|task| {
                    let status = task.end.as_ref().map_or("running", |end| word(end.outcome));
                    summary.status.is(status)
                });
            tally.skipped += u64::from(!agrees);
        }
        Ok(())
    }

    fn plan(mut self, told: Vec<Message>, plan: &mut Plan) {
        for message in told {
            if let Some(task) = self.tasks.get_mut(&message.task) {
                let at = (Some(Millis(message.at)).filter(|at| at.0 > 0), message.at);
                plan.told(&task.facts, at, task.told, message.what);
                task.told += 1;
            }
        }
        let natives = self.natives;
        for (id, mut task) in self.tasks {
            task.facts.parent = task.parent.and_then(|native| {
                let own = TaskId::new(format!("{}/{native}", task.owner)).ok()?;
                let same = natives.get(&native).map(Vec::as_slice).unwrap_or_default();
                // A manager may own several threads; its ids are its own.
                let parent = if same.contains(&own) { &own } else { same.first().unwrap_or(&own) };
                (*parent != id).then(|| parent.clone())
            });
            plan.task(task.facts, task.end);
        }
    }
}

type Lineage = (Option<String>, Option<RunId>, Option<CallId>, Option<AgentId>);

fn lineage(meta: &Meta<'_>) -> Result<Lineage, String> {
    let Some(context) = &meta.parent.0 else { return Ok((None, None, None, None)) };
    let parent = context.task.owned();
    let run = context.run.get().map(RunId::new).transpose().map_err(bad_id("run_id"))?;
    let call = context.call.get().map(CallId::new).transpose().map_err(bad_id("call_id"))?;
    let agent = context.agent.get().map(AgentId::new).transpose().map_err(bad_id("agent_id"))?;
    Ok((parent, run, call, agent))
}

struct End {
    outcome: Outcome,
    at: Option<u64>,
    error: Option<Arc<str>>,
    result: Option<Arc<str>>,
}

impl End {
    /// `order` stands for the time if there is none.
    fn facts(self, order: u64) -> EndFacts {
        let Self { outcome, at, error, result } = self;
        let order = at.unwrap_or(order);
        EndFacts { outcome, at: at.map(Millis), order, error, result, fill: None, told_by: None }
    }
}

fn end(meta: &Meta<'_>) -> Option<End> {
    let outcome = match meta.status.get()? {
        "completed" => Outcome::Completed,
        "failed" => Outcome::Failed,
        "cancelled" => Outcome::Cancelled,
        _ => return None,
    };
    let result = meta.result.map(RawValue::get).filter(|raw| *raw != "null").map(text::json);
    Some(End { outcome, at: meta.completed.0, error: meta.error.get().map(text::part), result })
}

fn what_was_told(message: &Inbox<'_>) -> Result<Told, String> {
    let raw = message.payload.map_or("null", RawValue::get);
    let event_type = message.event_type.get().unwrap_or("custom");
    if event_type == "agent_message" {
        let payload: Obj<Letter<'_>> = serde_json::from_str(raw).map_err(|e| not_json(&e))?;
        let letter = payload.0.unwrap_or_default();
        let from = letter.from.get().unwrap_or("unknown");
        check_id(from).map_err(bad_id("from"))?;
        let content = letter.content.map_or("null", RawValue::get);
        let words: Str<'_> = serde_json::from_str(content).map_err(|e| not_json(&e))?;
        let content = words.0.unwrap_or(Cow::Borrowed(content));
        return Ok(Told::Message { from: from.into(), content: text::part(&content) });
    }
    check_id(event_type).map_err(bad_id("event_type"))?;
    Ok(Told::Progress { event_type: event_type.into(), content: text::json(raw) })
}

fn word(outcome: Outcome) -> &'static str {
    taskledger::event::TaskStatus::from(outcome).as_str()
}

/// The thread of a task without an owner: the folder's name, or the file's.
fn fallback(input: &Input) -> Option<ThreadId> {
    let named_by = if named(input, STATES) { input.at.parent()? } else { &input.at };
    ThreadId::new(named_by.file_stem()?.to_string_lossy()).ok()
}

fn named(input: &Input, name: &str) -> bool {
    input.at.file_name().is_some_and(|file| file == name)
}

fn beside(input: &Input) -> bool {
    named(input, INBOX) || named(input, SUMMARIES)
}

/// A revision, as the store holds it or bare.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    value: Obj<State<'a>>,
    #[serde(borrow)]
    tasks: Obj<Metas<'a>>,
}

type Metas<'a> = BTreeMap<Cow<'a, str>, Obj<Meta<'a>>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State<'a> {
    #[serde(borrow)]
    tasks: Obj<Metas<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow)]
    task_id: Str<'a>,
    #[serde(borrow, rename = "owner_thread_id")]
    owner: Str<'a>,
    #[serde(borrow, rename = "task_type")]
    kind: Str<'a>,
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    description: Str<'a>,
    #[serde(borrow)]
    status: Str<'a>,
    #[serde(borrow)]
    error: Str<'a>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(rename = "created_at_ms")]
    created: Num,
    #[serde(rename = "completed_at_ms")]
    completed: Num,
    #[serde(borrow, rename = "parent_context")]
    parent: Obj<Context<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context<'a> {
    #[serde(borrow, rename = "task_id")]
    task: Str<'a>,
    #[serde(borrow, rename = "run_id")]
    run: Str<'a>,
    #[serde(borrow, rename = "call_id")]
    call: Str<'a>,
    #[serde(borrow, rename = "agent_id")]
    agent: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inbox<'a> {
    #[serde(borrow)]
    kind: Str<'a>,
    #[serde(borrow)]
    task_id: Str<'a>,
    #[serde(borrow)]
    event_type: Str<'a>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Letter<'a> {
    #[serde(borrow)]
    from: Str<'a>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}
