//! The first pass over a session: small facts about calls, launches and ends, and where they stand.
//!
//! Any of them may come first, so each is kept until all is read; texts of results are not.

use super::{
    notice::{self, notices},
    shape::{Block, Line, SILENT_TYPES},
};
use crate::{
    lines::{Bad, Record, Span},
    plan::{description, name},
    tally::{Tally, bad_id},
    when,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use taskledger::{
    event::Outcome,
    ids::{TaskId, ThreadId},
    time::Millis,
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Calls of the tools that always start a task.
    pub(super) calls: BTreeMap<TaskId, Call>,
    /// Where other calls stand, by a hash of their ids: any of them may go to the background.
    pub(super) others: Vec<(u64, Span)>,
    /// What became of a call, by its id.
    pub(super) launches: BTreeMap<String, Launch>,
    pub(super) ends: Vec<End>,
    pub(super) threads: BTreeSet<ThreadId>,
    /// The agents that calls started, as told anywhere but in their results.
    pub(super) agents: BTreeMap<String, String>,
    /// The first words to an agent, by the agent's id.
    pub(super) prompts: BTreeMap<String, u64>,
    /// The agent that made a call, as its meta file says.
    pub(super) callers: BTreeMap<String, String>,
    last: u64,
    thread: Option<ThreadId>,
}

/// The file that is being read.
#[derive(Debug)]
pub(super) struct Context {
    /// The thread of a record that names none.
    pub(super) thread: Option<ThreadId>,
    /// The agent whose transcript it is.
    pub(super) agent: Option<String>,
    /// The workflow run that the agent is part of.
    pub(super) workflow: Option<String>,
}

/// Which tool was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Agent,
    Workflow,
    Monitor,
    Other,
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) tool: Tool,
    pub(super) thread: ThreadId,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) name: Option<Arc<str>>,
    pub(super) description: Arc<str>,
    /// The agent that made it; none for the main conversation.
    pub(super) caller: Option<String>,
    pub(super) workflow: Option<String>,
    pub(super) prompt: Option<u64>,
}

/// What the runtime said when a call started something.
#[derive(Debug, Default)]
pub(super) struct Launch {
    pub(super) agent: Option<String>,
    pub(super) background: Option<String>,
    pub(super) task: Option<String>,
    pub(super) run: Option<String>,
    pub(super) summary: Option<String>,
}

/// A record that tells of the end of something, perhaps of a task.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) source: Source,
    /// It says so only in words that any tool could use: good for agents alone.
    pub(super) agents_only: bool,
}

/// What tells of an end, and of which task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The result of the call that started it.
    Result { call: String },
    /// The answer to a poll.
    Polled { native: String },
    /// A notification, by the first of these that it names.
    Notice { call: Option<String>, native: Option<String> },
}

impl Scan {
    /// Starts on another file.
    pub(super) fn start_file(&mut self) {
        self.last = 0;
    }

    /// Takes one record.
    ///
    /// # Errors
    /// Why the line cannot be used.
    pub(super) fn record(
        &mut self,
        context: &Context,
        tally: &mut Tally,
        record: Record<'_>,
    ) -> Result<(), Bad> {
        let line: Line<'_> = serde_json::from_str(record.text)?;
        let place = self.place(context, &line, record.span)?;
        match line.kind.get().unwrap_or_default() {
            "assistant" => self.uses(context, &line, &place)?,
            "user" => {
                self.first_words(context, &line);
                self.results(&line, &place);
                self.notices(&line, &place);
            }
            "queue-operation" | "attachment" => self.notices(&line, &place),
            "progress" => {
                let agent = line.data.0.as_ref().and_then(|data| data.agent.get());
                if let (Some(call), Some(agent)) = (line.parent_call.get(), agent) {
                    self.agent(call, agent);
                }
            }
            kind if SILENT_TYPES.contains(&kind) => {}
            kind => tally.unknown(kind),
        }
        Ok(())
    }

    /// Notes that `call` started `agent`.
    pub(super) fn agent(&mut self, call: &str, agent: &str) {
        if !self.agents.contains_key(call) {
            self.agents.insert(call.to_owned(), agent.to_owned());
        }
    }

    fn place(&mut self, context: &Context, line: &Line<'_>, span: Span) -> Result<Place, String> {
        let at = line.timestamp.get().and_then(when::parse);
        // A record without a time stands where the one before it stands.
        self.last = at.map_or(self.last, |at| at.0);
        if let Some(session) = line.session.get()
            && self.thread.as_ref().is_none_or(|thread| thread.as_str() != session)
        {
            let thread = ThreadId::new(session).map_err(bad_id("sessionId"))?;
            self.threads.insert(thread.clone());
            self.thread = Some(thread);
        }
        let thread = if line.session.get().is_some() { &self.thread } else { &context.thread };
        Ok(Place { at, order: self.last, span, thread: thread.clone() })
    }

    fn uses(&mut self, context: &Context, line: &Line<'_>, place: &Place) -> Result<(), String> {
        for block in line.blocks().iter().filter(|block| block.kind.is("tool_use")) {
            let Some(id) = block.id.get() else { continue };
            if tool(block) == Tool::Other {
                self.others.push((hash(id), place.span));
                continue;
            }
            let (id, call) = call(context, line, block, place)?;
            match self.calls.get(&id) {
                // A transcript may repeat a record; the earliest is the one that happened.
                Some(known) if known.order <= call.order => {}
                Some(_) | None => drop(self.calls.insert(id, call)),
            }
        }
        Ok(())
    }

    fn results(&mut self, line: &Line<'_>, place: &Place) {
        for block in line.blocks().iter().filter(|block| block.kind.is("tool_result")) {
            let Some(call) = block.call.get() else { continue };
            let told = line.told();
            if let Some(told) = told {
                self.launch(call, told);
            }
            let text_only = line.told.is_none();
            if text_only && let Some(agent) = block.agent_in_text() {
                self.agent(call, &agent);
            }
            let Some(outcome) = result_outcome(block, told, text_only) else { continue };
            self.ends.push(End {
                agents_only: !block.is_error.0,
                ..place.end(outcome, Source::Result { call: call.to_owned() })
            });
        }
        let polled = line.told().and_then(|told| told.task.0.as_ref());
        if let Some(polled) = polled
            && let Some(native) = polled.task_id.owned()
            && let Some(outcome) = polled.status.get().and_then(notice::outcome)
        {
            self.ends.push(place.end(outcome, Source::Polled { native }));
        }
    }

    fn launch(&mut self, call: &str, told: &super::shape::Told<'_>) {
        let launch = Launch {
            agent: told.agent.owned(),
            background: told.background.owned(),
            task: told.task_id.owned(),
            run: told.run.owned(),
            summary: told.summary.owned(),
        };
        if launch.agent.is_some() || launch.background.is_some() || launch.task.is_some() {
            self.launches.entry(call.to_owned()).or_insert(launch);
        }
    }

    fn notices(&mut self, line: &Line<'_>, place: &Place) {
        for notice in notices(line) {
            let Some(outcome) = notice.outcome() else { continue };
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let (call, native) = (owned(notice.call()), owned(notice.native()));
            if call.is_some() || native.is_some() {
                self.ends.push(place.end(outcome, Source::Notice { call, native }));
            }
        }
    }

    /// Remembers what an agent was asked first: its call asked the same.
    fn first_words(&mut self, context: &Context, line: &Line<'_>) {
        let Some(agent) = caller(context, line) else { return };
        if !self.prompts.contains_key(&agent)
            && let Some(text) = line.texts().next()
        {
            self.prompts.insert(agent, hash(text));
        }
    }
}

/// Where a record stands in time and place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) thread: Option<ThreadId>,
}

impl Place {
    fn end(&self, outcome: Outcome, source: Source) -> End {
        let Self { at, order, span, .. } = *self;
        End { outcome, at, order, span, source, agents_only: false }
    }
}

/// The call that a block of an assistant's record makes.
///
/// # Errors
/// Why the line cannot be used.
pub(super) fn call(
    context: &Context,
    line: &Line<'_>,
    block: &Block<'_>,
    place: &Place,
) -> Result<(TaskId, Call), String> {
    let id = TaskId::new(block.id.get().unwrap_or_default()).map_err(bad_id("tool_use id"))?;
    let thread = place.thread.clone().ok_or("no sessionId")?;
    let tool = tool(block);
    let input = block.input.0.as_ref();
    let called = match tool {
        Tool::Agent => input.and_then(|input| input.subagent_type.get()),
        Tool::Workflow => input.and_then(|input| input.name.get()),
        Tool::Monitor | Tool::Other => block.name.get(),
    };
    let told = input.and_then(|input| input.description.get());
    let told =
        told.or_else(|| input?.command.get()).or_else(|| input?.prompt.get()?.lines().next());
    let call = Call {
        tool,
        thread,
        at: place.at,
        order: place.order,
        name: name("name", called)?,
        description: description(told),
        caller: caller(context, line),
        workflow: context.workflow.clone(),
        prompt: input.and_then(|input| input.prompt.get()).map(hash),
    };
    Ok((id, call))
}

fn tool(block: &Block<'_>) -> Tool {
    match block.name.get().unwrap_or_default() {
        "Task" | "Agent" => Tool::Agent,
        "Workflow" => Tool::Workflow,
        "Monitor" => Tool::Monitor,
        _ => Tool::Other,
    }
}

/// The agent whose record this is; none for the main conversation.
fn caller(context: &Context, line: &Line<'_>) -> Option<String> {
    if !line.sidechain.0 && context.agent.is_none() {
        return None;
    }
    line.agent.owned().or_else(|| context.agent.clone())
}

fn result_outcome(
    block: &Block<'_>,
    told: Option<&super::shape::Told<'_>>,
    text_only: bool,
) -> Option<Outcome> {
    if block.is_error.0 {
        let cancelled = stopped_by_the_user(&block.result_text());
        return Some(if cancelled { Outcome::Cancelled } else { Outcome::Failed });
    }
    if text_only {
        // A sub-agent's transcript has the words alone. An agent's return names its id.
        let launched = block.content?.get().contains("Async agent launched");
        return (!launched && block.agent_in_text().is_some()).then_some(Outcome::Completed);
    }
    told?.status.get().and_then(notice::outcome)
}

fn stopped_by_the_user(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["interrupted by user", "interrupted by the user", "rejected by user", "rejected by the user"]
        .into_iter()
        .chain(["user rejected", "tool use was rejected", "user doesn't want to"])
        .any(|words| text.contains(words))
}

/// Only compared within one run.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_user_make_an_error_a_cancellation() {
        assert!(stopped_by_the_user("[Request interrupted by user for tool use]"));
        assert!(stopped_by_the_user("The user doesn't want to proceed with this tool use."));
        assert!(!stopped_by_the_user("connection interrupted"));
        assert!(!stopped_by_the_user("the request was rejected: quota"));
    }
}
