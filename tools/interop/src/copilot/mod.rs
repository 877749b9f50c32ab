//! Session events of a terminal agent: `subagent.started`, `.completed` and `.failed`.
//!
//! A task is keyed by the tool call that started the sub-agent. The call itself says what the task
//! is for and, through `parentToolCallId`, which sub-agent made it.

use crate::{
    error::ReadError,
    importer::Importer,
    input::{Input, stem},
    lax::{Content, Obj, Str},
    lines::{Bad, Record, Span, Walk},
    options::{Progress, ReadOptions},
    plan::{EndFacts, Plan, TaskFacts, Texts, description, name},
    recording::Recording,
    tally::{Tally, bad_id},
    text, when,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};
use taskledger::{
    command::Finish,
    event::Outcome,
    ids::{AgentId, CallId, TaskId, ThreadId},
    time::Millis,
};

const ID: &str = "copilot-cli";

/// The format of a terminal agent's session events.
#[derive(Debug)]
pub(crate) struct CopilotCli;

impl Importer for CopilotCli {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> &'static str {
        "Session events of GitHub Copilot CLI"
    }

    fn detect(&self, line: &[u8]) -> bool {
        let families = ["session.", "subagent.", "tool.", "assistant.", "user.", "system."];
        let look: Option<Line<'_>> = serde_json::from_slice(line).ok();
        look.is_some_and(|look| {
            let kind = look.kind.get().unwrap_or_default();
            look.data.0.is_some() && families.iter().any(|start| kind.starts_with(start))
        })
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

/// Where the texts of an end are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `subagent.failed`.
    Failed,
    /// `tool.execution_complete` of the call.
    Returned,
}

/// Reads one session.
fn read(
    inputs: &[Input],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    let mut walk = Walk::new(inputs, options, progress);
    let mut scan = Scan::default();
    for (number, input) in inputs.iter().enumerate() {
        scan.fallback = named_by(&input.at).and_then(|name| ThreadId::new(name).ok());
        walk.file(number, input, |tally, record| scan.record(tally, record))?;
    }
    let mut tally = walk.finish();
    let thread = options.thread.clone().or(scan.thread.take()).or(scan.fallback.take());
    let mut plan = Plan::new(ID);
    if let Some(thread) = &thread {
        scan.plan(thread, &mut plan);
    }
    let ended = scan.ends.keys().filter(|id| !scan.started.contains_key(*id)).count();
    tally.skipped += u64::try_from(ended).unwrap_or(u64::MAX);
    Ok(Recording {
        format: ID,
        threads: thread.into_iter().collect(),
        tally,
        inputs: inputs.into(),
        steps: plan.steps(),
        options: options.clone(),
        ..Recording::empty(ID)
    })
}

impl Texts for Source {
    fn read(&self, record: &str, finish: &mut Finish) -> Option<()> {
        let line: Line<'_> = serde_json::from_str(record).ok()?;
        let data = line.data.0?;
        match self {
            Self::Failed => {
                let raw = data.error.map_or("null", RawValue::get);
                let words: Str<'_> = serde_json::from_str(raw).ok()?;
                let object: Obj<Error<'_>> = serde_json::from_str(raw).ok()?;
                let told = words.get().or_else(|| object.0.as_ref()?.message.get());
                finish.error = told.map(text::part);
            }
            Self::Returned => {
                let result = data.result.0.as_ref().and_then(|result| result.content.get());
                finish.result = result.map(text::json_string);
            }
        }
        Some(())
    }
}

/// What a session is called whose head is missing: its file, or the folder that is named by it.
fn named_by(file: &Path) -> Option<String> {
    let own = stem(file)?;
    let above = || file.parent()?.file_name().map(|name| name.to_string_lossy().into_owned());
    if own == "events" { above().or(Some(own)) } else { Some(own) }
}

#[derive(Debug, Default)]
struct Scan {
    started: BTreeMap<TaskId, Started>,
    ends: BTreeMap<TaskId, Ended>,
    calls: BTreeMap<String, Called>,
    /// Where calls returned; only those of sub-agents are read.
    returns: BTreeMap<String, Span>,
    thread: Option<ThreadId>,
    fallback: Option<ThreadId>,
    last: u64,
}

#[derive(Debug)]
struct Started {
    at: Option<Millis>,
    order: u64,
    name: Option<Arc<str>>,
    description: Arc<str>,
}

#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    at: Option<Millis>,
    order: u64,
    span: Span,
}

/// A call of the tool that starts sub-agents.
#[derive(Debug, Default)]
struct Called {
    description: Option<Arc<str>>,
    parent: Option<String>,
}

impl Scan {
    fn record(&mut self, tally: &mut Tally, record: Record<'_>) -> Result<(), Bad> {
        let line: Line<'_> = serde_json::from_str(record.text)?;
        let at = line.timestamp.get().and_then(when::parse);
        self.last = at.map_or(self.last, |at| at.0);
        let kind = line.kind.get().unwrap_or_default();
        if record.behind && (kind.is_empty() || line.data.0.is_none()) {
            return Err(Bad::Json("a part of a record".to_owned()));
        }
        let Some(data) = &line.data.0 else { return Ok(()) };
        match kind {
            "session.start" => {
                if let (None, Some(session)) = (&self.thread, data.session.get()) {
                    self.thread = Some(ThreadId::new(session).map_err(bad_id("sessionId"))?);
                }
            }
            "subagent.started" => self.started(data, at)?,
            "subagent.completed" => self.ended(data, Outcome::Completed, at, record.span)?,
            "subagent.failed" => self.ended(data, Outcome::Failed, at, record.span)?,
            "tool.execution_start" if data.tool.is("task") => self.called(&line, data),
            "tool.execution_complete" => {
                if let Some(call) = data.call.owned() {
                    self.returns.entry(call).or_insert(record.span);
                }
            }
            "assistant.message" => self.requested(&line, data),
            kind if FAMILIES.iter().any(|family| kind.starts_with(family)) => {}
            kind => tally.unknown(kind),
        }
        Ok(())
    }

    fn started(&mut self, data: &Data<'_>, at: Option<Millis>) -> Result<(), String> {
        let id = task_id(data)?;
        let started = Started {
            at,
            order: self.last,
            name: name("agentName", data.agent_name.get())?,
            description: description(data.agent_about.get().map(str::trim)),
        };
        if let Some(parent) = data.parent_call.get() {
            self.parent(id.as_str(), parent);
        }
        match self.started.get(&id) {
            Some(known) if known.order <= started.order => {}
            Some(_) | None => drop(self.started.insert(id, started)),
        }
        Ok(())
    }

    fn ended(
        &mut self,
        data: &Data<'_>,
        outcome: Outcome,
        at: Option<Millis>,
        span: Span,
    ) -> Result<(), String> {
        let id = task_id(data)?;
        let ended = Ended { outcome, at, order: self.last, span };
        match self.ends.get(&id) {
            Some(known) if known.order <= ended.order => {}
            Some(_) | None => drop(self.ends.insert(id, ended)),
        }
        Ok(())
    }

    fn called(&mut self, line: &Line<'_>, data: &Data<'_>) {
        let Some(call) = data.call.get() else { return };
        let told = data.arguments.0.as_ref().and_then(|arguments| arguments.description.get());
        let told = told.map(|told| description(Some(told)));
        let called = self.calls.entry(call.to_owned()).or_default();
        called.description = called.description.take().or(told);
        // Newer versions name the sub-agent that a record belongs to, by its call.
        if let Some(parent) = data.parent_call.get().or_else(|| line.agent.get()) {
            self.parent(call, parent);
        }
    }

    fn requested(&mut self, line: &Line<'_>, data: &Data<'_>) {
        let Some(parent) = data.parent_call.get().or_else(|| line.agent.get()) else { return };
        if let Content::Blocks(requests) = &data.requests {
            for request in requests.iter().filter(|request| request.name.is("task")) {
                if let Some(call) = request.call.get() {
                    self.parent(call, parent);
                }
            }
        }
    }

    fn parent(&mut self, call: &str, parent: &str) {
        if call != parent {
            let called = self.calls.entry(call.to_owned()).or_default();
            called.parent.get_or_insert_with(|| parent.to_owned());
        }
    }

    fn plan(&mut self, thread: &ThreadId, plan: &mut Plan) {
        let known: BTreeSet<TaskId> = self.started.keys().cloned().collect();
        for (id, started) in &self.started {
            let called = self.calls.get(id.as_str());
            let parent = called.and_then(|called| TaskId::new(called.parent.as_ref()?).ok());
            let told = called.and_then(|called| called.description.clone());
            let facts = TaskFacts {
                id: id.clone(),
                thread: thread.clone(),
                kind: "sub_agent".into(),
                name: started.name.clone(),
                description: told.unwrap_or_else(|| started.description.clone()),
                agent: parent.as_ref().and_then(|parent| AgentId::new(parent.as_str()).ok()),
                parent: parent.filter(|parent| known.contains(parent)),
                run: None,
                call: CallId::new(id.as_str()).ok(),
                created: started.at,
                order: started.order,
            };
            let returned = self.returns.get(id.as_str()).copied();
            plan.task(facts, self.ends.get(id).map(|ended| end_facts(ended, returned)));
        }
    }
}

fn end_facts(ended: &Ended, returned: Option<Span>) -> EndFacts {
    let place = match ended.outcome {
        Outcome::Completed => returned.map(|span| (span, Source::Returned)),
        Outcome::Failed | Outcome::Cancelled => Some((ended.span, Source::Failed)),
    };
    let fill = place.map(|(span, source)| -> (Span, Box<dyn Texts>) { (span, Box::new(source)) });
    let Ended { outcome, at, order, .. } = *ended;
    EndFacts { outcome, at, order, error: None, result: None, fill, told_by: None }
}

fn task_id(data: &Data<'_>) -> Result<TaskId, String> {
    TaskId::new(data.call.get().unwrap_or_default()).map_err(bad_id("toolCallId"))
}

/// Families of records that tell nothing of tasks, and are known to.
const FAMILIES: [&str; 12] = [
    "abort",
    "assistant.",
    "command.",
    "hook.",
    "model.",
    "permission.",
    "session.",
    "skill.",
    "subagent.",
    "system.",
    "tool.",
    "user.",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    timestamp: Str<'a>,
    #[serde(borrow, rename = "agentId")]
    agent: Str<'a>,
    #[serde(borrow)]
    data: Obj<Data<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow, rename = "sessionId")]
    session: Str<'a>,
    #[serde(borrow, rename = "toolCallId")]
    call: Str<'a>,
    #[serde(borrow, rename = "parentToolCallId")]
    parent_call: Str<'a>,
    #[serde(borrow, rename = "toolName")]
    tool: Str<'a>,
    #[serde(borrow, rename = "agentName")]
    agent_name: Str<'a>,
    #[serde(borrow, rename = "agentDescription")]
    agent_about: Str<'a>,
    #[serde(borrow)]
    arguments: Obj<Arguments<'a>>,
    #[serde(borrow, rename = "toolRequests")]
    requests: Content<'a, Request<'a>>,
    #[serde(borrow)]
    result: Obj<Returned<'a>>,
    /// Words, or an object with a message.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arguments<'a> {
    #[serde(borrow)]
    description: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow, rename = "toolCallId")]
    call: Str<'a>,
    #[serde(borrow)]
    name: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Returned<'a> {
    #[serde(borrow)]
    content: Str<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Error<'a> {
    #[serde(borrow)]
    message: Str<'a>,
}
