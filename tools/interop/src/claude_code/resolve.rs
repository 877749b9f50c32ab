//! Joins what the first pass found: which calls are tasks, whose they are, and how they ended.
//!
//! All sessions that are read together are joined together: copies of a session hold the same
//! calls, and a later session of a project tells of the ends of an earlier one's tasks.

use super::{
    Session,
    calls::{Call, Tool},
    group::{Group, Groups},
    scan::{Claim, Doubt, End, Scan, Source, hash},
};
use crate::{
    identity::{self, Form},
    lines::Span,
    notes::Note,
    options::ReadOptions,
    plan::{EndFacts, Plan, TaskFacts, Texts, description},
};
use std::collections::BTreeMap;
use taskledger::{
    ids::{AgentId, CallId, TaskId, ThreadId},
    time::Millis,
};

/// Says how much earlier than its time a monitor may say that the time is over, in milliseconds.
const EARLY_MS: u64 = 1_000;
/// Says how long after a stop its notification comes, in milliseconds.
const STOPPING_MS: u64 = 5_000;

/// Puts every task into the plan of its session.
pub(super) fn resolve(sessions: &mut [Session], options: &ReadOptions, plans: &mut [Plan]) {
    let mut groups = Groups::new(sessions);
    let ends = Ends::of(sessions, &groups);
    for (number, skipped) in ends.skipped {
        if let Some(session) = sessions.get_mut(number) {
            session.tally.skipped += skipped;
        }
    }
    let ids = groups.name(sessions);
    for (number, group) in groups.all.iter().enumerate() {
        let Some(id) = ids.get(number) else { continue };
        let parent = groups.parent(number, sessions);
        let facts = facts(group, id.clone(), parent.found.and_then(|at| ids.get(at)), options);
        let end = ends.best.get(&number);
        let mut notes = group.notes.clone();
        notes.extend(
            parent.missing.map(|agent| Note::no_parent(&agent, (group.call.at, group.call.order))),
        );
        notes.extend(doubts(group, end, ends.claims.get(&number), sessions));
        if let Some(plan) = plans.get_mut(group.session) {
            for note in &notes {
                plan.note(&facts, note);
            }
            plan.task(facts, end.map(|found| found.facts(group, sessions)));
        }
    }
    strays(ends.strays, sessions, options, plans);
    groups.tell(sessions);
}

/// A later session tells of ends of an earlier one's tasks, which the ledger may hold.
fn strays(
    strays: Vec<(usize, TaskId, End)>,
    sessions: &mut [Session],
    options: &ReadOptions,
    plans: &mut [Plan],
) {
    for (number, task, end) in strays {
        let (Some(session), Some(plan)) = (sessions.get_mut(number), plans.get_mut(number)) else {
            continue;
        };
        let thread = options.thread.as_ref().or(session.own.as_ref());
        let Some(thread) = thread.cloned() else { continue };
        if !session.strays.insert(task.clone()) {
            continue; // the first one wins, and they are told more than once
        }
        let End { outcome, at, order, span, source, .. } = end;
        let fill: Option<(Span, Box<dyn Texts>)> = Some((span, Box::new(source)));
        let told_by = Some(thread.clone());
        let end = EndFacts { outcome, at, order, error: None, result: None, fill, told_by };
        plan.stray(&task, &thread, end);
    }
}

fn facts(group: &Group, id: TaskId, parent: Option<&TaskId>, options: &ReadOptions) -> TaskFacts {
    let call = &group.call;
    let kind = match call.tool {
        Tool::Agent | Tool::Skill => "sub_agent",
        Tool::Workflow => "workflow",
        Tool::Monitor => "monitor",
        Tool::Poll | Tool::Other | Tool::Foreign => "background_command",
    };
    let told = if call.description.is_empty() {
        description(group.launch.summary.as_deref())
    } else {
        call.description.clone()
    };
    let named = || group.launch.name.as_deref().map(crate::names::fit);
    TaskFacts {
        id,
        thread: options.thread.clone().unwrap_or_else(|| group.thread.clone()),
        kind: kind.into(),
        name: call.name.clone().or_else(named),
        description: told,
        parent: parent.cloned(),
        run: None,
        call: CallId::new(call.id.as_str()).ok(),
        agent: call
            .caller
            .as_ref()
            .filter(|caller| named_agent(caller))
            .and_then(|caller| AgentId::new(caller).ok()),
        created: call.at,
        order: call.order,
    }
}

/// Says whether an agent's id is one that the runtime gave.
pub(super) fn named_agent(agent: &str) -> bool {
    !agent.starts_with("chain:")
}

fn doubts(
    group: &Group,
    found: Option<&Found>,
    claim: Option<&Claim>,
    sessions: &[Session],
) -> Vec<Note> {
    let mut notes = Vec::new();
    let at = |at: Option<Millis>, order: u64| (at, order.max(group.call.order));
    if let Some(Found { end, .. }) = found {
        let at = at(end.at, end.order);
        notes.extend(end.doubt.as_ref().map(|doubt| match doubt {
            Doubt::NoStatus => Note::no_status(at),
            Doubt::Status(status) => Note::unknown_status(status, at),
            Doubt::NoCall => Note::no_call(at),
            Doubt::Agreed => Note::agreed(at),
        }));
    } else {
        let torn = group.members.iter().filter_map(|(session, _)| sessions.get(*session));
        if torn.clone().any(|session| session.tally.malformed > 0) {
            let newest = torn.map(|session| session.scan.newest).max().unwrap_or_default();
            let when = Some(Millis(newest)).filter(|at| at.0 > 0);
            notes.push(Note::torn(at(when, newest)));
        }
    }
    let other = |claim: &&Claim| found.is_none_or(|found| found.end.outcome != claim.outcome);
    notes.extend(
        claim.filter(other).map(|claim| Note::claim(claim.outcome, at(claim.at, claim.order))),
    );
    notes
}

/// An end, and the session that tells of it.
#[derive(Debug)]
struct Found {
    end: End,
    session: usize,
}

impl Found {
    fn facts(&self, group: &Group, sessions: &[Session]) -> EndFacts {
        let End { outcome, at, order, span, .. } = self.end;
        let teller = sessions.get(self.session).and_then(|session| session.own.clone());
        let own = group.members.iter().any(|(session, _)| *session == self.session);
        let told_by = teller
            .filter(|teller| *teller != group.thread && !(own && self.session == group.session));
        let mut facts =
            EndFacts { outcome, at, order, error: None, result: None, fill: None, told_by };
        match &self.end.source {
            Source::Flow { error, result, .. } => {
                facts.error = error.as_deref().map(crate::text::part);
                facts.result = result.as_deref().map(crate::text::json);
            }
            Source::TimedOut { .. } => facts.error = Some("its time was over".into()),
            Source::Teammate { .. } | Source::Status { .. } => {}
            source @ (Source::Result { .. }
            | Source::Polled { .. }
            | Source::Output { .. }
            | Source::Words { .. }
            | Source::Stopped { .. }
            | Source::Notice { .. }) => facts.fill = Some((span, Box::new(source.clone()))),
        }
        facts
    }
}

/// The ends of tasks.
#[derive(Debug, Default)]
struct Ends {
    best: BTreeMap<usize, Found>,
    claims: BTreeMap<usize, Claim>,
    /// Ends of no task, by session.
    skipped: BTreeMap<usize, u64>,
    /// Ends of tasks of sessions that are not here, by the session that tells of them.
    strays: Vec<(usize, TaskId, End)>,
}

impl Ends {
    fn of(sessions: &mut [Session], groups: &Groups) -> Self {
        let mut ends = Self::default();
        for number in 0..sessions.len() {
            let Some(session) = sessions.get_mut(number) else { continue };
            let told = std::mem::take(&mut session.scan.ends);
            let claims = std::mem::take(&mut session.scan.claims);
            session.scan.others.sort_unstable();
            session.scan.returns.sort_by_key(|(hash, _)| *hash);
            for end in told {
                ends.take(number, end, sessions, groups);
            }
            for claim in claims {
                let (call, native) = (claim.call.as_deref(), claim.native.as_deref());
                let of = groups.named(number, call, native, claim.order, sessions);
                ends.claim(of, claim);
            }
        }
        ends.returns(sessions, groups);
        ends
    }

    /// Agents end when their calls return.
    fn returns(&mut self, sessions: &[Session], groups: &Groups) {
        for (number, group) in groups.all.iter().enumerate() {
            if !matches!(group.call.tool, Tool::Agent | Tool::Skill) {
                continue;
            }
            let wanted = hash(group.call.id.as_str());
            for (at, _) in &group.members {
                let Some(session) = sessions.get(*at) else { continue };
                let returns = &session.scan.returns;
                let from = returns.partition_point(|(hash, _)| *hash < wanted);
                for (_, back) in returns.iter().skip(from).take_while(|(hash, _)| *hash == wanted) {
                    if groups.called(*at, group.call.id.as_str(), back.order) != Some(number) {
                        continue;
                    }
                    let source = Source::Result { call: group.call.id.to_string() };
                    let end = End {
                        outcome: back.outcome,
                        at: back.at,
                        order: back.order,
                        span: back.span,
                        source,
                        weak: false,
                        by: None,
                        queued: None,
                        doubt: back.doubt.clone(),
                        to: None,
                    };
                    self.keep(number, Found { end, session: *at });
                }
            }
        }
    }

    fn take(&mut self, number: usize, mut end: End, sessions: &[Session], groups: &Groups) {
        let Some(session) = sessions.get(number) else { return };
        let of = groups.of_end(number, &end, sessions);
        let Some(of) = of else {
            if let Some(stray) = stray(&end).filter(|_| end.to.is_none() && !denied(session, &end))
            {
                self.strays.push((number, stray, end));
                return;
            }
            // Results of other calls are the bulk of a transcript, and nobody misses them.
            let silent = matches!(end.source, Source::Result { .. });
            *self.skipped.entry(number).or_default() += u64::from(!silent);
            return;
        };
        let Some(group) = groups.all.get(of) else { return };
        let believed = match &end.by {
            Some(by) if session.scan.polls.contains_key(by) => true,
            Some(by) if other_call(&session.scan, by) => false,
            Some(_) => {
                end.doubt = Some(Doubt::NoCall);
                true
            }
            None => true,
        };
        let denied = denied(session, &end);
        // What an agent is told is about what that agent started.
        let own = end.to.is_none() || end.to == group.call.caller;
        let in_time = !matches!(end.source, Source::TimedOut { .. }) || over(group, &end);
        if believed && !denied && own && in_time && groups.agree(number, &end, of, sessions) {
            self.keep(of, Found { end, session: number });
        } else {
            let End { outcome, at, order, .. } = end;
            self.claim(Some(of), Claim { call: None, native: None, outcome, at, order });
        }
    }

    fn keep(&mut self, of: usize, found: Found) {
        let rank = |found: &Found| (found.end.weak, found.end.order, found.end.span);
        match self.best.get(&of) {
            Some(best) if told_again(&found.end, &best.end) => {}
            Some(best) if told_again(&best.end, &found.end) => drop(self.best.insert(of, found)),
            Some(best) if rank(best) <= rank(&found) => {}
            Some(_) | None => drop(self.best.insert(of, found)),
        }
    }

    fn claim(&mut self, of: Option<usize>, claim: Claim) {
        let Some(of) = of else { return };
        let first = self.claims.get(&of).is_none_or(|first| claim.order < first.order);
        if first {
            self.claims.insert(of, claim);
        }
    }
}

/// Says whether `notice` is the notification of what `stop` did: one end, of which it tells more.
fn told_again(stop: &End, notice: &End) -> bool {
    let kinds =
        matches!((&stop.source, &notice.source), (Source::Stopped { .. }, Source::Notice { .. }));
    let after = notice.order.checked_sub(stop.order);
    kinds && stop.outcome == notice.outcome && after.is_some_and(|after| after <= STOPPING_MS)
}

/// Says whether a monitor's time was over when it said so.
fn over(group: &Group, end: &End) -> bool {
    let timeout = group.launch.timeout_ms.or(group.call.timeout_ms);
    let began = group.launch.order.max(group.call.order);
    timeout
        .is_some_and(|timeout| end.order.saturating_add(EARLY_MS) >= began.saturating_add(timeout))
}

/// Says whether a text that waited in the queue turned out to be a person's.
fn denied(session: &Session, end: &End) -> bool {
    end.queued.is_some_and(|text| session.scan.denied.contains(&text))
}

/// The task of another session that a notification names by its call.
fn stray(end: &End) -> Option<TaskId> {
    let Source::Notice { call: Some(call), .. } = &end.source else { return None };
    TaskId::new(call).ok().filter(|_| identity::form(call) == Form::Unique)
}

/// Says whether a call with this id is in the session, and is no poll.
fn other_call(scan: &Scan, id: &str) -> bool {
    let wanted = hash(id);
    let other = scan.others.partition_point(|(hash, _)| *hash < wanted);
    scan.foreign.contains(&wanted)
        || scan.others.get(other).is_some_and(|(hash, _)| *hash == wanted)
        || scan.calls.iter().any(|call: &Call| call.id.as_str() == id)
}

/// The thread of which a session is a part, as its last record says.
pub(super) fn own(scan: &Scan, stem: Option<&ThreadId>) -> Option<ThreadId> {
    let named = stem.filter(|stem| scan.threads.contains(*stem));
    named.or(scan.thread.as_ref()).cloned()
}
