//! The first pass over a session: small facts about calls, launches and ends, and where they stand.
//!
//! Any of them may come first, so each is kept until all is read; texts of results are not. What
//! the runtime wrote is kept apart from what a model or a person wrote: only the former is an
//! [`End`], the latter at most a [`Claim`].

use super::{
    calls::{self, Call, Tool},
    notice,
    shape::{Block, Input, Line, SILENT_TYPES, Told},
};
use crate::{
    lax::Str,
    lines::{Bad, Record, Span},
    tally::{Tally, bad_id},
    when,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};
use taskledger::{event::Outcome, ids::ThreadId, time::Millis};

/// Says what was found in one session.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Calls of the tools that start tasks.
    pub(super) calls: Vec<Call>,
    /// Says where other calls stand, by a hash of their ids: any of them may go to the background.
    pub(super) others: Vec<(u64, Span)>,
    /// Calls of servers' tools, by a hash of their ids.
    pub(super) foreign: BTreeSet<u64>,
    /// Calls that ask after something in the background, or stop it, and what they name.
    pub(super) polls: BTreeMap<String, Option<String>>,
    pub(super) launches: Vec<Launch>,
    pub(super) ends: Vec<End>,
    /// Results that say nothing but that a call returned, by a hash of the call's id: the return
    /// of an agent is its end.
    pub(super) returns: Vec<(u64, Return)>,
    /// Ends that a model or a person tells of.
    pub(super) claims: Vec<Claim>,
    pub(super) threads: BTreeSet<ThreadId>,
    /// The agents that calls started, as told anywhere but in their results.
    pub(super) agents: BTreeMap<String, String>,
    /// The same, as words at the end of results: good for calls of agents alone.
    pub(super) named: BTreeMap<String, String>,
    /// Ids of agents that are teammates, and `name@team`.
    pub(super) members: Vec<(String, String)>,
    /// The first words to an agent and when, by the agent's id.
    pub(super) prompts: BTreeMap<String, (u64, u64)>,
    /// The agent that made a call, as its meta file says.
    pub(super) callers: BTreeMap<String, String>,
    /// Texts like notifications that a person or a model wrote, by a hash.
    pub(super) denied: BTreeSet<u64>,
    /// A hash and the time of every record, by which copies of a session are told apart.
    pub(super) trail: Vec<(u64, u64)>,
    /// The thread of the newest record.
    pub(super) thread: Option<ThreadId>,
    /// The newest time of a record.
    pub(super) newest: u64,
    /// Says which chain of records beside the conversation a record belongs to, by hashes of ids.
    chains: BTreeMap<u64, u64>,
    last: u64,
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

/// Says what the runtime said when a call started something.
#[derive(Debug, Default, Clone)]
pub(super) struct Launch {
    pub(super) call: String,
    pub(super) order: u64,
    /// Ids that the runtime gave, the most telling first.
    pub(super) natives: Vec<String>,
    pub(super) agent: bool,
    pub(super) background: bool,
    pub(super) task: bool,
    pub(super) run: Option<String>,
    pub(super) summary: Option<String>,
    /// The name of what was called, if only the result has it.
    pub(super) name: Option<String>,
    /// Of a monitor that is not persistent.
    pub(super) timeout_ms: Option<u64>,
}

/// A record that tells of the end of something, perhaps of a task.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) source: Source,
    /// Something else is more exact, if it is there.
    pub(super) weak: bool,
    /// The call whose result it is: only a poll may tell of what another call started.
    pub(super) by: Option<String>,
    /// A hash of the text, for one that waited in the queue.
    pub(super) queued: Option<u64>,
    pub(super) doubt: Option<Doubt>,
    /// The agent to which this was told: good for what that agent started.
    pub(super) to: Option<String>,
}

/// Why an end is taken with a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It says nothing of how the task ended.
    NoStatus,
    /// It says so in a word that is not known.
    Status(String),
    /// The call that it answers is not in the recording.
    NoCall,
    /// A teammate agreed to end, and nothing says that it did.
    Agreed,
}

/// Says what tells of an end, and of which task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The result of the call that started it.
    Result { call: String },
    /// The answer to a poll.
    Polled { native: String },
    /// The answer to an older poll of a command.
    Output { native: String },
    /// The answer to a poll that has words alone.
    Words { call: String, native: Option<String> },
    /// It was stopped.
    Stopped { call: String, native: Option<String> },
    /// A notification, by the first of these that it names.
    Notice { call: Option<String>, native: Option<String> },
    /// A monitor said that its time was over.
    TimedOut { native: String },
    /// A record of the runtime with a status in it.
    Status { call: Option<String>, native: Option<String> },
    /// Says what was said of a teammate, by its name.
    Teammate { name: String },
    /// The state file of a workflow; its texts are at hand.
    Flow {
        run: Option<String>,
        native: Option<String>,
        error: Option<String>,
        result: Option<String>,
    },
}

/// The return of a call.
#[derive(Debug, Clone)]
pub(super) struct Return {
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) outcome: Outcome,
    pub(super) doubt: Option<Doubt>,
}

/// An end that is not believed.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) call: Option<String>,
    pub(super) native: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
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
        let kind = line.kind.get().unwrap_or_default();
        if record.behind && (kind.is_empty() || line.session.get().is_none()) {
            return Err(Bad::Json("a part of a record".to_owned()));
        }
        let place = self.place(context, &line, record.span)?;
        match kind {
            "assistant" => self.uses(context, &line, &place)?,
            "user" => {
                self.first_words(&line, &place);
                self.results(&line, &place);
                self.told(context, &line, &place);
            }
            "queue-operation" => self.queued(&line, &place),
            "attachment" => self.attached(&line, &place),
            "system" if line.subtype.is("task_notification") => self.status(&line, &place),
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

    fn place(&mut self, context: &Context, line: &Line<'_>, span: Span) -> Result<Place, Bad> {
        let at = line.timestamp.get().and_then(when::parse);
        // A record without a time stands where the one before it stands.
        self.last = at.map_or(self.last, |at| at.0);
        self.newest = self.newest.max(self.last);
        if let Some(session) = line.session.get()
            && self.thread.as_ref().is_none_or(|thread| thread.as_str() != session)
        {
            let thread = ThreadId::new(session).map_err(bad_id("sessionId"))?;
            self.threads.insert(thread.clone());
            self.thread = Some(thread);
        }
        if context.agent.is_none() {
            let id = line.uuid.get().map_or_else(|| hash(&(line.kind.get(), self.last)), hash);
            self.trail.push((id, self.last));
        }
        let forked = line.forked.0.as_ref().and_then(|forked| forked.session.get());
        let thread = match forked.and_then(|session| ThreadId::new(session).ok()) {
            Some(origin) => Some(origin),
            None if line.session.get().is_some() => self.thread.clone(),
            None => context.thread.clone(),
        };
        let caller = self.caller(context, line);
        Ok(Place { at, order: self.last, span, thread, caller })
    }

    /// The agent whose record this is; none for the main conversation. Older versions do not name
    /// it: then it is the chain of records that begins with its prompt.
    fn caller(&mut self, context: &Context, line: &Line<'_>) -> Option<String> {
        if !line.sidechain.0 && context.agent.is_none() {
            return None;
        }
        if let Some(agent) = line.agent.owned().or_else(|| context.agent.clone()) {
            return Some(agent);
        }
        let own = hash(line.uuid.get()?);
        let above = line.parent_uuid.get().map(hash).and_then(|above| self.chains.get(&above));
        let chain = *above.unwrap_or(&own);
        self.chains.insert(own, chain);
        Some(format!("chain:{chain:016x}"))
    }

    /// The same, of a record that was read before.
    pub(super) fn caller_again(&self, context: &Context, line: &Line<'_>) -> Option<String> {
        if !line.sidechain.0 && context.agent.is_none() {
            return None;
        }
        let named = line.agent.owned().or_else(|| context.agent.clone());
        let chain = || self.chains.get(&hash(line.uuid.get()?));
        named.or_else(|| chain().map(|chain| format!("chain:{chain:016x}")))
    }

    fn uses(&mut self, context: &Context, line: &Line<'_>, place: &Place) -> Result<(), Bad> {
        for block in line.blocks().iter().filter(|block| block.kind.is("tool_use")) {
            let Some(id) = block.id.get() else { continue };
            match calls::tool(block) {
                Tool::Poll => {
                    let target = block.input.0.as_ref().and_then(Input::target);
                    self.polls.entry(id.to_owned()).or_insert(target);
                }
                Tool::Foreign => drop(self.foreign.insert(hash(id))),
                Tool::Other => self.others.push((hash(id), place.span)),
                Tool::Agent | Tool::Workflow | Tool::Monitor | Tool::Skill => {
                    self.calls.push(calls::call(context, block, place)?);
                }
            }
        }
        Ok(())
    }

    fn results(&mut self, line: &Line<'_>, place: &Place) {
        for block in line.blocks().iter().filter(|block| block.kind.is("tool_result")) {
            let Some(call) = block.call.get() else { continue };
            if let Some(told) = line.told() {
                self.launch(call, told, place);
                self.polled(call, told, block, place);
            } else if self.polls.contains_key(call) && !block.is_error.0 {
                self.polled_in_words(call, block, place);
            }
            if line.told.is_none()
                && let Some(agent) = block.agent_in_text()
            {
                self.named.entry(call.to_owned()).or_insert(agent);
            }
            self.returned(call, line, block, place);
        }
    }

    fn returned(&mut self, call: &str, line: &Line<'_>, block: &Block<'_>, place: &Place) {
        if block.is_error.0 {
            let words = line.told_words().unwrap_or_default();
            let user = stopped_by_the_user(&block.result_text()) || stopped_by_the_user(words);
            let outcome = if user { Outcome::Cancelled } else { Outcome::Failed };
            self.ends.push(place.end(outcome, Source::Result { call: call.to_owned() }));
            return;
        }
        let Some((outcome, doubt)) = return_of(line.told(), block) else { return };
        let Place { at, order, span, .. } = *place;
        self.returns.push((hash(call), Return { at, order, span, outcome, doubt }));
    }

    fn launch(&mut self, call: &str, told: &Told<'_>, place: &Place) {
        let natives = [&told.agent, &told.background, &told.task, &told.teammate_id];
        let natives = natives.into_iter().chain([&told.agent_id]).filter_map(Str::owned);
        let mut natives: Vec<String> = natives.collect();
        if told.teammate_id.get().is_some() {
            natives.extend(told.name.owned());
        }
        let launch = Launch {
            call: call.to_owned(),
            order: place.order,
            agent: told.agent.get().or_else(|| told.agent_id.get()).is_some(),
            background: told.background.get().is_some(),
            task: told.task.get().is_some(),
            natives,
            run: told.run.owned(),
            summary: told.summary.owned(),
            name: told.command_name.owned(),
            timeout_ms: told.timeout_ms.0,
        };
        if !launch.natives.is_empty() {
            self.launches.push(launch);
        }
    }

    /// Says what a poll or a stop told of.
    fn polled(&mut self, call: &str, told: &Told<'_>, block: &Block<'_>, place: &Place) {
        let by = |end: End| End { by: Some(call.to_owned()), ..end };
        let ended = |status: Option<&str>| status.and_then(notice::outcome);
        for polled in told.polled() {
            if let (Some(native), Some(outcome)) = (polled.native(), ended(polled.status.get())) {
                let source = Source::Polled { native: native.to_owned() };
                self.ends.push(by(place.end(outcome, source)));
            }
        }
        if let (Some(native), Some(outcome)) = (told.shell.owned(), ended(told.status.get())) {
            self.ends.push(by(place.end(outcome, Source::Output { native })));
        }
        let stopped = told.message.get().is_some_and(|message| message.starts_with(STOPPED));
        if stopped && !block.is_error.0 {
            let native = told.task_id.owned().or_else(|| told.shell_id.owned());
            let source = Source::Stopped { call: call.to_owned(), native };
            self.ends.push(by(place.end(Outcome::Cancelled, source)));
        }
    }

    /// The same, where the result has words alone.
    fn polled_in_words(&mut self, call: &str, block: &Block<'_>, place: &Place) {
        let text = block.result_text();
        let text = text.trim_start();
        let end = if text.starts_with(STOPPED) || text.starts_with(STOPPED_JSON) {
            let source = Source::Stopped { call: call.to_owned(), native: None };
            place.end(Outcome::Cancelled, source)
        } else {
            let status = notice::told(text, "status");
            let Some(outcome) = status.as_deref().and_then(notice::outcome) else { return };
            let native = notice::told(text, "task_id");
            place.end(outcome, Source::Words { call: call.to_owned(), native })
        };
        self.ends.push(End { by: Some(call.to_owned()), ..end });
    }

    /// Remembers what an agent was asked first: its call asked the same.
    fn first_words(&mut self, line: &Line<'_>, place: &Place) {
        let Some(agent) = &place.caller else { return };
        if !self.prompts.contains_key(agent)
            && let Some(text) = line.texts().next()
        {
            self.prompts.insert(agent.clone(), (hash(text), place.order));
        }
    }
}

/// Says where a record stands in time and place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) thread: Option<ThreadId>,
    /// The agent whose record it is.
    pub(super) caller: Option<String>,
}

impl Place {
    pub(super) fn end(&self, outcome: Outcome, source: Source) -> End {
        let Self { at, order, span, .. } = *self;
        let (weak, by, queued, doubt, to) = (false, None, None, None, None);
        End { outcome, at, order, span, source, weak, by, queued, doubt, to }
    }
}

/// Says how an agent's call that is no error returned; none if it only started something.
fn return_of(told: Option<&Told<'_>>, block: &Block<'_>) -> Option<(Outcome, Option<Doubt>)> {
    let Some(told) = told else {
        // A sub-agent's transcript has the words alone.
        return (!block.begins(&LAUNCHED)).then_some((Outcome::Completed, None));
    };
    let status = told.status.get().unwrap_or_default();
    let goes_on = ["running", "pending", "queued", "in_progress", "started", "backgrounded"];
    let launched = status.ends_with("_launched") || status.ends_with("_spawned");
    if told.is_async.0 || launched || goes_on.contains(&status) {
        return None;
    }
    match (status, notice::outcome(status)) {
        (_, Some(outcome)) => Some((outcome, None)),
        ("forked", None) => Some((Outcome::Completed, None)),
        ("", None) if told.interrupted.0 => Some((Outcome::Cancelled, None)),
        ("", None) => Some((Outcome::Completed, Some(Doubt::NoStatus))),
        (word, None) => Some((Outcome::Completed, Some(Doubt::Status(word.to_owned())))),
    }
}

/// Says what the runtime says in place of an agent's words when it has only started it.
const LAUNCHED: [&str; 5] = [
    "Async agent launched",
    "Remote agent launched",
    "Spawned successfully",
    "Agent launched in background",
    "Task launched in background",
];
const STOPPED: &str = "Successfully ";
const STOPPED_JSON: &str = "{\"message\":\"Successfully ";

/// Says whether a result begins with the runtime's word that the user stopped the call. Anything
/// behind may be what a tool or a server said.
fn stopped_by_the_user(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches("Error: ").to_ascii_lowercase();
    ["the user doesn't want to", "[request interrupted by user", "request interrupted by user"]
        .into_iter()
        .chain(["user rejected", "the user rejected", "interrupted by user", "rejected by user"])
        .any(|words| text.starts_with(words))
}

/// Only compared within one run.
pub(super) fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_user_make_an_error_a_cancellation() {
        assert!(stopped_by_the_user("[Request interrupted by user for tool use]"));
        assert!(stopped_by_the_user("The user doesn't want to proceed with this tool use."));
        assert!(stopped_by_the_user("User rejected tool use"));
        assert!(!stopped_by_the_user("connection interrupted"));
        assert!(!stopped_by_the_user("upstream: the write was rejected by the user agent policy"));
    }
}
