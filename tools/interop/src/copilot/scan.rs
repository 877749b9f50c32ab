//! The first pass over a session's events.

use super::{
    shape::{Data, FAMILIES, Line},
    shell::{self, Shell},
};
use crate::{
    lax::Content,
    lines::{Bad, Record, Span},
    plan::description,
    tally::{Tally, bad_id},
    when,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use taskledger::{
    event::Outcome,
    ids::{TaskId, ThreadId},
    time::Millis,
};

/// Says what was found in one session.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) started: Vec<Started>,
    pub(super) ends: Vec<Ended>,
    pub(super) calls: BTreeMap<String, Called>,
    /// Says where calls returned; only those of tasks are read.
    pub(super) returns: BTreeMap<String, Vec<Returned>>,
    /// The call of each instance of an agent, as the start of the agent says.
    pub(super) instances: BTreeMap<String, Vec<(u64, String)>>,
    pub(super) thread: Option<ThreadId>,
    pub(super) fallback: Option<ThreadId>,
    /// The first time that the session tells.
    pub(super) began: Option<u64>,
    pub(super) newest: u64,
    /// Calls of tools that stop or look at shells, and which.
    looks: BTreeMap<String, (Look, Option<String>)>,
    last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Looks,
    Stops,
}

/// The start of a sub-agent or of a command in the background.
#[derive(Debug, Clone)]
pub(super) struct Started {
    pub(super) call: TaskId,
    pub(super) instance: Option<String>,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) name: Option<String>,
    pub(super) description: Arc<str>,
    /// The id of its shell, for a command.
    pub(super) shell: Option<String>,
}

/// The end of one.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) of: Of,
    pub(super) outcome: Outcome,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    /// Says what it failed with, if that is not read from the record.
    pub(super) error: Option<String>,
    /// Says whether nothing says how it ended.
    pub(super) unsaid: bool,
}

/// Says what ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    Call { call: TaskId, instance: Option<String> },
    Instance(String),
    Shell(String),
}

/// A call of a tool that can start a task.
#[derive(Debug, Default)]
pub(super) struct Called {
    pub(super) description: Option<Arc<str>>,
    pub(super) parent: Option<String>,
    /// Of the tool that starts sub-agents.
    pub(super) task: bool,
    pub(super) name: Option<String>,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) tool: Option<String>,
}

/// The return of a call.
#[derive(Debug, Clone)]
pub(super) struct Returned {
    pub(super) span: Span,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    /// Says how it failed, if it did.
    pub(super) failed: Option<Outcome>,
    /// Says what its last line says of a shell.
    shell: Option<Shell>,
}

impl Scan {
    pub(super) fn record(&mut self, tally: &mut Tally, record: Record<'_>) -> Result<(), Bad> {
        let line: Line<'_> = serde_json::from_str(record.text)?;
        let at = line.timestamp.get().and_then(when::parse);
        let kind = line.kind.get().unwrap_or_default();
        if record.behind && (kind.is_empty() || line.data.0.is_none()) {
            return Err(Bad::Json("a part of a record".to_owned()));
        }
        self.last = at.map_or(self.last, |at| at.0);
        self.newest = self.newest.max(self.last);
        if let Some(at) = at {
            self.began = Some(self.began.map_or(at.0, |began| began.min(at.0)));
        }
        let Some(data) = &line.data.0 else { return Ok(()) };
        match kind {
            "session.start" => {
                if let (None, Some(session)) = (&self.thread, data.session.get()) {
                    self.thread = Some(ThreadId::new(session).map_err(bad_id("sessionId"))?);
                }
            }
            "subagent.started" => self.started(&line, data, at)?,
            "subagent.completed" => {
                let outcome =
                    if data.cancelled.0 { Outcome::Cancelled } else { Outcome::Completed };
                self.ended(&line, data, outcome, at, record.span)?;
            }
            "subagent.failed" => self.ended(&line, data, Outcome::Failed, at, record.span)?,
            "tool.execution_start" => self.called(&line, data, at),
            "tool.execution_complete" => self.returned(data, at, record.span),
            "assistant.message" => self.requested(&line, data),
            "system.notification" => self.told(data, at, record.span),
            kind if FAMILIES.iter().any(|family| kind.starts_with(family)) => {}
            kind => tally.unknown(kind),
        }
        Ok(())
    }

    fn started(&mut self, line: &Line<'_>, data: &Data<'_>, at: Option<Millis>) -> Result<(), Bad> {
        let call = task_id(data)?;
        if let Some(parent) = data.parent_call.get() {
            self.parent(call.as_str(), parent);
        }
        let instance = line.agent.owned();
        if let Some(instance) = &instance {
            let calls = self.instances.entry(instance.clone()).or_default();
            calls.push((self.last, call.to_string()));
        }
        self.started.push(Started {
            call,
            instance,
            at,
            order: self.last,
            name: data.agent_name.owned(),
            description: description(data.agent_about.get().map(str::trim)),
            shell: None,
        });
        Ok(())
    }

    fn ended(
        &mut self,
        line: &Line<'_>,
        data: &Data<'_>,
        outcome: Outcome,
        at: Option<Millis>,
        span: Span,
    ) -> Result<(), Bad> {
        let of = Of::Call { call: task_id(data)?, instance: line.agent.owned() };
        self.end(of, outcome, at, span);
        Ok(())
    }

    fn end(&mut self, of: Of, outcome: Outcome, at: Option<Millis>, span: Span) {
        let order = self.last;
        self.ends.push(Ended { of, outcome, at, order, span, error: None, unsaid: false });
    }

    fn called(&mut self, line: &Line<'_>, data: &Data<'_>, at: Option<Millis>) {
        let Some(call) = data.call.get() else { return };
        let tool = data.tool.get().unwrap_or_default();
        let arguments = data.arguments.0.as_ref();
        let shell = arguments.and_then(|a| a.shell.owned().or_else(|| a.session.owned()));
        let look = shell::looks(tool).then_some(Look::Looks);
        if let Some(look) = look.or_else(|| shell::stops(tool).then_some(Look::Stops)) {
            self.looks.insert(call.to_owned(), (look, shell));
            return;
        }
        let task = tool == "task";
        if !task && !shell::runs(tool) {
            // Others may still have sub-agents below them.
            let parent = data.parent_call.get().or_else(|| line.agent.get());
            if let Some(parent) = parent.filter(|_| tool == "run_factory") {
                self.parent(call, parent);
            }
            return;
        }
        let told = arguments.and_then(|a| a.description.get().or_else(|| a.command.get()));
        let told = told.map(|told| description(Some(told)));
        let order = self.last;
        let called = self.calls.entry(call.to_owned()).or_default();
        called.description = called.description.take().or(told);
        called.task |= task;
        called.name = arguments.and_then(|a| a.agent_type.owned());
        called.at = called.at.or(at);
        called.order = if called.order == 0 { order } else { called.order.min(order) };
        called.tool = Some(tool.to_owned());
        if let (true, Some(name)) = (task, arguments.and_then(|a| a.name.owned())) {
            self.instances.entry(name).or_default().push((order, call.to_owned()));
        }
        // Newer versions name the sub-agent that a record belongs to.
        if let Some(parent) = data.parent_call.get().or_else(|| line.agent.get()) {
            self.parent(call, parent);
        }
    }

    /// Says what a call returned means something once it is known what was called, which may stand
    /// behind it.
    fn returned(&mut self, data: &Data<'_>, at: Option<Millis>, span: Span) {
        let Some(call) = data.call.get() else { return };
        let content = data.result.0.as_ref().and_then(|result| result.content.get());
        let failed = (data.success == Some(false)).then(|| {
            let (message, code) = data.error();
            let refused = ["rejected", "denied", "cancelled", "aborted"];
            let user = code.is_some_and(|code| refused.contains(&code.as_str()))
                || message.is_some_and(|words| words.starts_with("The user rejected"));
            if user { Outcome::Cancelled } else { Outcome::Failed }
        });
        let (order, shell) = (self.last, content.and_then(shell::said));
        let returned = Returned { span, at, order, failed, shell };
        self.returns.entry(call.to_owned()).or_default().push(returned);
    }

    /// Takes what calls returned, once all is read.
    pub(super) fn settle(&mut self) {
        let returns = std::mem::take(&mut self.returns);
        for (call, returned) in
            returns.iter().flat_map(|(call, all)| all.iter().map(move |r| (call, r)))
        {
            self.shell(call, returned);
        }
        self.returns = returns;
    }

    fn shell(&mut self, call: &str, returned: &Returned) {
        let Returned { span, at, order, failed, shell } = returned;
        let end = |of, outcome, error| {
            let (at, order, span) = (*at, *order, *span);
            Ended { of, outcome, at, order, span, error, unsaid: false }
        };
        if let Some((look, target)) = self.looks.get(call) {
            if let (Look::Stops, None, Some(shell)) = (look, failed, target) {
                self.ends.push(end(Of::Shell(shell.clone()), Outcome::Cancelled, None));
            } else if let Some(Shell::Ended(shell, outcome, error)) = shell {
                self.ends.push(end(Of::Shell(shell.clone()), *outcome, error.clone()));
            }
            return;
        }
        let called = self.calls.get(call).filter(|called| !called.task && called.tool.is_some());
        if let (Some(called), Some(Shell::Runs(shell)), Ok(id)) = (called, shell, TaskId::new(call))
        {
            self.started.push(Started {
                call: id,
                instance: None,
                at: called.at,
                order: called.order,
                name: called.tool.clone(),
                description: called.description.clone().unwrap_or_else(|| description(None)),
                shell: Some(shell.clone()),
            });
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

    /// Says what the runtime tells the agent of the background.
    fn told(&mut self, data: &Data<'_>, at: Option<Millis>, span: Span) {
        let Some(notice) = &data.notice.0 else { return };
        match notice.kind.get().unwrap_or_default() {
            "agent_completed" => {
                let outcome = match notice.status.get() {
                    Some("completed") => Outcome::Completed,
                    Some("failed") => Outcome::Failed,
                    Some("cancelled") => Outcome::Cancelled,
                    Some(_) | None => return,
                };
                if let Some(agent) = notice.agent.owned() {
                    self.end(Of::Instance(agent), outcome, at, span);
                }
            }
            kind @ ("shell_completed" | "shell_detached_completed") => {
                let Some(shell) = notice.shell.owned() else { return };
                let code = notice.exit_code.0.and_then(|code| i64::try_from(code).ok());
                let (outcome, error) = shell::ended(code);
                self.end(Of::Shell(shell), outcome, at, span);
                let unsaid = code.is_none() || kind == "shell_detached_completed";
                if let Some(end) = self.ends.last_mut() {
                    end.error.clone_from(&error);
                    end.unsaid = unsaid;
                }
            }
            _ => {}
        }
    }

    fn parent(&mut self, call: &str, parent: &str) {
        if call != parent {
            let called = self.calls.entry(call.to_owned()).or_default();
            called.parent.get_or_insert_with(|| parent.to_owned());
        }
    }

    /// The ids of its calls.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.started.iter().map(|started| started.call.as_str()).collect()
    }
}

fn task_id(data: &Data<'_>) -> Result<TaskId, Bad> {
    Ok(TaskId::new(data.call.get().unwrap_or_default()).map_err(bad_id("toolCallId"))?)
}
