//! Calls of all sessions that are read together, each once: who made it, what it started.

use super::{
    Session,
    calls::{Call, Tool},
    resolve::named_agent,
    scan::{End, Launch, Source, hash},
};
use crate::{
    identity::{self, Form},
    notes::Note,
};
use std::collections::{BTreeMap, BTreeSet};
use taskledger::ids::{TaskId, ThreadId};

/// One call that started a task, and where copies of it stand.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) call: Call,
    pub(super) thread: ThreadId,
    /// The session in whose recording it goes.
    pub(super) session: usize,
    /// All sessions that hold it, and when in each.
    pub(super) members: Vec<(usize, u64)>,
    pub(super) launch: Launch,
    pub(super) notes: Vec<Note>,
}

/// Names what copies of a call have in common: the id and, if that is not drawn at random, the
/// time and what was asked.
type Same<'a> = (&'a str, Option<(u64, u64)>);

/// The task that spawned another, or the agent of which no call is known.
#[derive(Debug, Default)]
pub(super) struct ParentOf {
    pub(super) found: Option<usize>,
    pub(super) missing: Option<String>,
}

/// All of them, and how they are found.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) all: Vec<Group>,
    /// By session and id: the calls with it, in order.
    calls: BTreeMap<(usize, String), Vec<(u64, usize)>>,
    /// By id alone, for ids that are drawn at random.
    drawn: BTreeMap<String, usize>,
    /// By an id that the runtime gave: an agent that is resumed belongs to several calls.
    natives: BTreeMap<String, Vec<(u64, usize)>>,
    /// By the id of a workflow run.
    runs: BTreeMap<String, usize>,
}

impl Groups {
    pub(super) fn new(sessions: &[Session]) -> Self {
        let mut groups = Self::default();
        groups.gather(sessions);
        groups.launched(sessions);
        groups.started();
        groups.index();
        groups.members_of_teams(sessions);
        groups.match_prompts(sessions);
        groups.natives.values_mut().for_each(|calls| {
            calls.sort_unstable();
            calls.dedup();
        });
        groups
    }

    /// Copies of a call are one call: those with the same id, if it is drawn at random, else those
    /// with the same id that were made at the same time and ask the same.
    fn gather(&mut self, sessions: &[Session]) {
        let mut same: BTreeMap<Same<'_>, Vec<(usize, &Call)>> = BTreeMap::new();
        for (number, session) in sessions.iter().enumerate() {
            for call in &session.scan.calls {
                let id = call.id.as_str();
                let asked = || hash(&(call.prompt, &call.description, &call.name));
                let apart = identity::form(id) != Form::Unique;
                same.entry((id, apart.then(|| (call.order, asked()))))
                    .or_default()
                    .push((number, call));
            }
        }
        for calls in same.into_values() {
            let Some((session, call)) =
                calls.iter().copied().reduce(|a, b| original(a, b, sessions))
            else {
                continue;
            };
            let own = |(number, _): &&(usize, &Call)| {
                sessions.get(*number).is_some_and(|s| s.own.as_ref() == Some(&call.thread))
            };
            let session = calls.iter().find(own).map_or(session, |(number, _)| *number);
            let mut notes = Vec::new();
            if call.misnamed {
                notes.push(Note::renamed((call.at, call.order)));
            }
            self.all.push(Group {
                call: call.clone(),
                thread: call.thread.clone(),
                session,
                members: calls.iter().map(|(number, call)| (*number, call.order)).collect(),
                launch: Launch::default(),
                notes,
            });
        }
        self.index_calls();
    }

    fn index_calls(&mut self) {
        self.calls.clear();
        self.drawn.clear();
        for (number, group) in self.all.iter().enumerate() {
            let id = group.call.id.as_str();
            for (session, order) in &group.members {
                self.calls.entry((*session, id.to_owned())).or_default().push((*order, number));
            }
            if identity::form(id) == Form::Unique {
                self.drawn.insert(id.to_owned(), number);
            }
        }
        self.calls.values_mut().for_each(|calls| calls.sort_unstable());
    }

    /// Says what the runtime said of each call when it started something.
    fn launched(&mut self, sessions: &[Session]) {
        for (number, session) in sessions.iter().enumerate() {
            for launch in &session.scan.launches {
                let of = self.called(number, &launch.call, launch.order);
                let Some(group) = of.and_then(|of| self.all.get_mut(of)) else { continue };
                if group.launch.natives.is_empty() || launch.order < group.launch.order {
                    group.launch = launch.clone();
                }
            }
            let told = session.scan.agents.iter().map(|told| (told, false));
            let named = session.scan.named.iter().map(|named| (named, true));
            for ((call, agent), in_words) in told.chain(named) {
                let of = self.called(number, call, u64::MAX);
                let Some(group) = of.and_then(|of| self.all.get_mut(of)) else { continue };
                let agents = matches!(group.call.tool, Tool::Agent | Tool::Skill);
                if (agents || !in_words) && !group.launch.natives.contains(agent) {
                    group.launch.natives.push(agent.clone());
                }
            }
        }
    }

    /// Leaves out the calls that never started anything.
    fn started(&mut self) {
        self.all.retain(|group| match group.call.tool {
            Tool::Agent => true,
            Tool::Workflow | Tool::Monitor => group.launch.task,
            Tool::Skill => group.launch.agent,
            Tool::Poll | Tool::Other | Tool::Foreign => group.launch.background,
        });
        self.index_calls();
    }

    fn index(&mut self) {
        for (number, group) in self.all.iter().enumerate() {
            for native in &group.launch.natives {
                self.natives.entry(native.clone()).or_default().push((group.call.order, number));
            }
            if let Some(run) = &group.launch.run {
                self.runs.insert(run.clone(), number);
            }
        }
        self.natives.values_mut().for_each(|calls| calls.sort_unstable());
    }

    /// The transcript of a teammate is named by an agent's id, its call by `name@team`.
    fn members_of_teams(&mut self, sessions: &[Session]) {
        for (number, session) in sessions.iter().enumerate() {
            for (agent, member) in &session.scan.members {
                let when = session.scan.prompts.get(agent).map_or(u64::MAX, |(_, order)| *order);
                if let Some(of) = self.native(number, member, when, sessions)
                    && let Some(group) = self.all.get(of)
                {
                    let order = group.call.order;
                    self.natives.entry(agent.clone()).or_default().push((order, of));
                }
            }
        }
    }

    /// An agent of which nothing names the call was started by the one call that asked the same,
    /// and of which nothing names the agent.
    fn match_prompts(&mut self, sessions: &[Session]) {
        let mut asked: BTreeMap<(usize, u64), Vec<usize>> = BTreeMap::new();
        for (number, group) in self.all.iter().enumerate() {
            if let (Tool::Agent, Some(prompt), true) =
                (group.call.tool, group.call.prompt, group.launch.natives.is_empty())
            {
                let in_sessions: BTreeSet<usize> = group.members.iter().map(|(s, _)| *s).collect();
                for session in in_sessions {
                    asked.entry((session, prompt)).or_default().push(number);
                }
            }
        }
        for (number, session) in sessions.iter().enumerate() {
            for (agent, (prompt, _)) in &session.scan.prompts {
                if let Some([only]) = asked.get(&(number, *prompt)).map(Vec::as_slice)
                    && self.native(number, agent, u64::MAX, sessions).is_none()
                    && let Some(group) = self.all.get(*only)
                {
                    self.natives.entry(agent.clone()).or_default().push((group.call.order, *only));
                }
            }
        }
    }

    /// The call with this id that a session had last made by then.
    pub(super) fn called(&self, session: usize, id: &str, by: u64) -> Option<usize> {
        let own = self.calls.get(&(session, id.to_owned()));
        let last = own.and_then(|calls| {
            let last = calls.iter().rev().find(|(order, _)| *order <= by);
            last.or_else(|| calls.first()).map(|(_, group)| *group)
        });
        last.or_else(|| self.drawn.get(id).copied())
    }

    /// The task that had this id of the runtime at that time: of the session itself, or of another
    /// one of the project.
    pub(super) fn native(
        &self,
        session: usize,
        native: &str,
        by: u64,
        sessions: &[Session],
    ) -> Option<usize> {
        let calls = self.natives.get(native)?;
        let project = |number: usize| sessions.get(number).and_then(|s| s.project.as_ref());
        let own = |of: usize| {
            self.all.get(of).is_some_and(|group| group.members.iter().any(|(s, _)| *s == session))
        };
        let near = |of: usize| {
            let group = self.all.get(of);
            let members = group.into_iter().flat_map(|group| &group.members);
            let own = project(session);
            own.is_some() && members.map(|(s, _)| project(*s)).any(|other| other == own)
        };
        let pick = |passes: &dyn Fn(usize) -> bool| {
            let of = || calls.iter().filter(|(_, of)| passes(*of));
            let last = of().rfind(|(at, _)| *at <= by);
            last.or_else(|| of().next()).map(|(_, of)| *of)
        };
        let counted = identity::form(native) == Form::Counted;
        pick(&own).or_else(|| if counted { None } else { pick(&near) })
    }

    /// Says what is named by a call's id or, if that is of no task, by an id of the runtime.
    pub(super) fn named(
        &self,
        session: usize,
        call: Option<&str>,
        native: Option<&str>,
        by: u64,
        sessions: &[Session],
    ) -> Option<usize> {
        let own = call.and_then(|call| self.called(session, call, by));
        own.or_else(|| self.native(session, native?, by, sessions))
    }

    /// The task whose end this is.
    pub(super) fn of_end(&self, session: usize, end: &End, sessions: &[Session]) -> Option<usize> {
        let by = end.order;
        let target = |call: &str| sessions.get(session)?.scan.polls.get(call)?.as_deref();
        match &end.source {
            Source::Result { call } => self.called(session, call, by),
            Source::Polled { native } | Source::Output { native } | Source::TimedOut { native } => {
                self.native(session, native, by, sessions)
            }
            Source::Words { call, native } | Source::Stopped { call, native } => {
                let native = native.as_deref().or_else(|| target(call))?;
                self.native(session, native, by, sessions)
            }
            Source::Notice { call, native } | Source::Status { call, native } => {
                self.named(session, call.as_deref(), native.as_deref(), by, sessions)
            }
            Source::Teammate { name } => self.native(session, name, by, sessions),
            Source::Flow { run, native, .. } => {
                let run = run.as_ref().and_then(|run| self.runs.get(run)).copied();
                run.or_else(|| self.native(session, native.as_deref()?, by, sessions))
            }
        }
    }

    /// Says whether the two ids of a notification name one task.
    pub(super) fn agree(&self, session: usize, end: &End, of: usize, sessions: &[Session]) -> bool {
        let Source::Notice { call: Some(_), native: Some(native) } = &end.source else {
            return true;
        };
        let Some(group) = self.all.get(of) else { return true };
        let other = self.native(session, native, end.order, sessions);
        other.is_none() || other == Some(of) || group.launch.natives.contains(native)
    }

    /// The task that made the call.
    pub(super) fn parent(&self, number: usize, sessions: &[Session]) -> ParentOf {
        let Some(group) = self.all.get(number) else { return ParentOf::default() };
        let call = &group.call;
        let of_agent = |agent: &str| {
            let members = group.members.iter().map(|(session, _)| *session);
            let mut found = members.filter_map(|s| self.native(s, agent, call.order, sessions));
            found.find(|of| *of != number)
        };
        let by_meta = || {
            let members = group.members.iter().filter_map(|(session, _)| sessions.get(*session));
            let mut callers = members.filter_map(|s| s.scan.callers.get(call.id.as_str()));
            callers.find_map(|agent| of_agent(agent))
        };
        let by_run = || self.runs.get(call.workflow.as_deref()?).copied();
        let found = call.caller.as_deref().and_then(of_agent).or_else(by_meta).or_else(by_run);
        let missing = call.caller.clone().filter(|agent| found.is_none() && named_agent(agent));
        ParentOf { found, missing }
    }

    /// The id of each task: that of its call, with its thread where it means nothing without.
    pub(super) fn name(&mut self, sessions: &mut [Session]) -> Vec<TaskId> {
        let mut threads: BTreeMap<String, BTreeSet<ThreadId>> = BTreeMap::new();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|number| self.all.get(*number).map(|group| group.call.order));
        for group in &self.all {
            threads.entry(group.call.id.to_string()).or_default().insert(group.thread.clone());
        }
        let mut used: BTreeMap<(ThreadId, TaskId), Vec<usize>> = BTreeMap::new();
        for number in order {
            if let Some(group) = self.all.get(number) {
                let place = (group.thread.clone(), group.call.id.clone());
                used.entry(place).or_default().push(number);
            }
        }
        let mut ids: Vec<TaskId> = self.all.iter().map(|group| group.call.id.clone()).collect();
        for ((thread, id), numbers) in used {
            let form = identity::form(id.as_str());
            if form == Form::Unique {
                continue;
            }
            let several = threads.get(id.as_str()).is_some_and(|threads| threads.len() > 1);
            let apart = form == Form::Counted || several;
            for (nth, number) in numbers.iter().copied().enumerate() {
                let plain = nth_of(id.as_str(), nth, &id);
                let with_thread = nth_of(&format!("{thread}/{id}"), nth, &id);
                let (name, other) = if apart { (with_thread, plain) } else { (plain, with_thread) };
                let Some(group) = self.all.get_mut(number) else { continue };
                if numbers.len() > 1 {
                    group
                        .notes
                        .push(Note::used_again(id.as_str(), (group.call.at, group.call.order)));
                }
                if let Some(session) = sessions.get_mut(group.session) {
                    session.aliases.insert(name.clone(), other);
                }
                if let Some(place) = ids.get_mut(number) {
                    *place = name;
                }
            }
        }
        ids
    }

    /// Tells each session what it has of others.
    pub(super) fn tell(&self, sessions: &mut [Session]) {
        for group in &self.all {
            for (number, _) in &group.members {
                let Some(session) = sessions.get_mut(*number) else { continue };
                if session.own.as_ref().is_some_and(|own| *own != group.thread) {
                    session.copies.insert(group.thread.clone());
                }
            }
            if let Some(session) = sessions.get_mut(group.session) {
                session.scan.threads.insert(group.thread.clone());
            }
        }
        // Copies of copies go in after what they are copies of.
        for _ in 0..RANKS_MAX {
            let ranks: BTreeMap<ThreadId, u32> =
                sessions.iter().filter_map(|s| Some((s.own.clone()?, s.rank))).collect();
            for session in sessions.iter_mut() {
                let above =
                    session.copies.iter().map(|thread| ranks.get(thread).copied().unwrap_or(0));
                session.rank = above.max().map_or(0, |rank| rank + 1).min(RANKS_MAX);
            }
        }
    }
}

/// Copies of copies, at most.
const RANKS_MAX: u32 = 8;

fn nth_of(id: &str, nth: usize, call: &TaskId) -> TaskId {
    let name = if nth == 0 { id.to_owned() } else { format!("{id}#{}", nth + 1) };
    identity::id(&name, call)
}

/// The one of two copies of a call that stands where it was made: the session that goes on first
/// by itself is the original, since a copy goes on after it was made.
fn original<'a>(
    a: (usize, &'a Call),
    b: (usize, &'a Call),
    sessions: &[Session],
) -> (usize, &'a Call) {
    let earlier = |a: (usize, &'a Call), b: (usize, &'a Call)| {
        let place = |(number, call): (usize, &Call)| (call.order, number, call.span);
        if place(a) <= place(b) { a } else { b }
    };
    if a.1.thread == b.1.thread {
        return earlier(a, b);
    }
    let (Some(first), Some(second)) = (sessions.get(a.0), sessions.get(b.0)) else { return a };
    if a.0 == b.0 {
        return earlier(a, b);
    }
    let goes_on = |of: &Session, than: &Session| {
        let shared: BTreeSet<u64> = than.scan.trail.iter().map(|(id, _)| *id).collect();
        of.scan.trail.iter().filter(|(id, _)| !shared.contains(id)).map(|(_, at)| *at).min()
    };
    let (own, other) = (goes_on(first, second), goes_on(second, first));
    if (own, &a.1.thread) <= (other, &b.1.thread) { a } else { b }
}
