//! Joins what the first pass found: which starts are one task, whose it is, and how it ended.

use super::scan::{Called, Ended, Of, Returned, Scan, Started};
use crate::{
    identity::{self, Form},
    lines::Span,
    names::fit,
    notes::Note,
    plan::{EndFacts, Plan, TaskFacts, Texts},
};
use std::collections::{BTreeMap, BTreeSet};
use taskledger::{
    event::Outcome,
    ids::{AgentId, CallId, TaskId, ThreadId, check_id},
    time::Millis,
};

/// Says where the texts of an end are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The record of a failure.
    Failed,
    /// `tool.execution_complete` of the call.
    Returned,
}

/// One task of a session.
#[derive(Debug)]
struct Task {
    started: Started,
    id: TaskId,
    /// Its instance is one of several of its call.
    several: bool,
    end: Option<Ended>,
}

/// Says what becomes of the session beside its plan.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) skipped: u64,
    pub(super) aliases: BTreeMap<TaskId, TaskId>,
}

/// Puts every task of a session into `plan`.
pub(super) fn resolve(
    scan: &mut Scan,
    native: &ThreadId,
    thread: &ThreadId,
    torn: bool,
    plan: &mut Plan,
) -> Resolved {
    let mut resolved = Resolved::default();
    scan.settle();
    refused(scan);
    let mut tasks = named(scan, native, &mut resolved.aliases);
    for end in std::mem::take(&mut scan.ends) {
        match of(&tasks, scan, &end).and_then(|at| tasks.get_mut(at)) {
            Some(task) => match &task.end {
                Some(first) if (first.order, first.span) <= (end.order, end.span) => {}
                Some(_) | None => task.end = Some(end),
            },
            None => resolved.skipped += u64::from(!matches!(end.of, Of::Instance(_))),
        }
    }
    for (number, task) in tasks.iter().enumerate() {
        add(number, task, &tasks, scan, (thread, torn), plan);
    }
    resolved
}

/// Calls for sub-agents that were refused never started one, and are tasks that ended.
fn refused(scan: &mut Scan) {
    let started: BTreeSet<String> = scan.ids().into_iter().map(str::to_owned).collect();
    let calls: Vec<(TaskId, Started, Ended)> = scan
        .calls
        .iter()
        .filter(|(call, called)| called.task && !started.contains(*call))
        .filter_map(|(call, called)| {
            let Returned { span, at, order, failed, .. } = scan.returns.get(call)?.first()?.clone();
            let (outcome, id) = (failed?, TaskId::new(call).ok()?);
            let of = Of::Call { call: id.clone(), instance: None };
            let end = Ended { of, outcome, at, order, span, error: None, unsaid: false };
            Some((id.clone(), start_of(id, called), end))
        })
        .collect();
    for (_, started, ended) in calls {
        scan.started.push(started);
        scan.ends.push(ended);
    }
}

fn start_of(call: TaskId, called: &Called) -> Started {
    Started {
        call,
        instance: None,
        at: called.at,
        order: called.order,
        name: called.name.clone(),
        description: crate::plan::description(None),
        shell: None,
    }
}

/// The tasks, each with its id. A call that starts several agents gives one task for each; an id
/// that is used again is another task, with the number of its use.
fn named(scan: &mut Scan, thread: &ThreadId, aliases: &mut BTreeMap<TaskId, TaskId>) -> Vec<Task> {
    let mut started = std::mem::take(&mut scan.started);
    started.sort_by_key(|started| started.order);
    let mut by_call: BTreeMap<TaskId, Vec<Started>> = BTreeMap::new();
    for started in started {
        let form = identity::form(started.call.as_str());
        let same = |other: &Started| {
            let again = form == Form::Unique || other.at == started.at;
            other.instance == started.instance && other.shell == started.shell && again
        };
        let of = by_call.entry(started.call.clone()).or_default();
        if !of.iter().any(same) {
            of.push(started);
        }
    }
    let mut tasks = Vec::new();
    for (call, starts) in by_call {
        let form = identity::form(call.as_str());
        let several = starts.len() > 1;
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for (nth, started) in starts.into_iter().enumerate() {
            let instance =
                started.instance.as_deref().filter(|name| nth > 0 && *name != call.as_str());
            let own = instance.map_or_else(|| call.to_string(), |name| format!("{call}/{name}"));
            let times = used.entry(own.clone()).or_default();
            *times += 1;
            let own = if *times > 1 { format!("{own}#{times}") } else { own };
            let plain = identity::id(&own, &call);
            let id = if form == Form::Unique {
                plain
            } else {
                let with_thread = identity::id(&format!("{thread}/{own}"), &call);
                let apart = form == Form::Counted;
                let (id, other) = if apart { (with_thread, plain) } else { (plain, with_thread) };
                aliases.insert(id.clone(), other);
                id
            };
            tasks.push(Task { started, id, several, end: None });
        }
    }
    tasks
}

/// The task that ended.
fn of(tasks: &[Task], scan: &Scan, end: &Ended) -> Option<usize> {
    let last = |passes: &dyn Fn(&Task) -> bool| {
        let mut found: Vec<(u64, usize)> = tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| passes(task))
            .map(|(at, task)| (task.started.order, at))
            .collect();
        found.sort_unstable();
        let before = found.iter().rev().find(|(order, _)| *order <= end.order);
        before.or_else(|| found.first()).map(|(_, at)| *at)
    };
    match &end.of {
        Of::Call { call, instance } => {
            let exact = |task: &Task| {
                task.started.call == *call
                    && instance.is_some()
                    && task.started.instance == *instance
            };
            last(&exact).or_else(|| last(&|task| task.started.call == *call))
        }
        Of::Instance(agent) => {
            let own = |task: &Task| task.started.instance.as_deref() == Some(agent);
            let call = last_call(scan, agent, end.order);
            last(&own).or_else(|| last(&|task| Some(task.started.call.as_str()) == call))
        }
        Of::Shell(shell) => last(&|task| task.started.shell.as_deref() == Some(shell)),
    }
}

/// The call that an instance of an agent last came from.
fn last_call<'s>(scan: &'s Scan, agent: &str, by: u64) -> Option<&'s str> {
    let calls = scan.instances.get(agent)?;
    let before = calls.iter().rev().find(|(order, _)| *order <= by);
    before.or_else(|| calls.first()).map(|(_, call)| call.as_str())
}

fn add(
    number: usize,
    task: &Task,
    tasks: &[Task],
    scan: &Scan,
    (thread, torn): (&ThreadId, bool),
    plan: &mut Plan,
) {
    let Started { call, at, order, .. } = &task.started;
    let called = scan.calls.get(call.as_str());
    let above = called.and_then(|called| called.parent.as_deref());
    let parent = above.and_then(|above| parent(number, above, tasks, scan, *order));
    let command = task.started.shell.is_some();
    let told = called.and_then(|called| called.description.clone());
    let told = told.filter(|_| !(task.several && task.started.instance.is_some()));
    let facts = TaskFacts {
        id: task.id.clone(),
        thread: thread.clone(),
        kind: if command { "background_command".into() } else { "sub_agent".into() },
        name: task.started.name.as_deref().map(fit),
        description: told.unwrap_or_else(|| task.started.description.clone()),
        agent: parent
            .as_ref()
            .map(|parent| parent.started.call.as_str())
            .or(above)
            .and_then(|of| AgentId::new(of).ok()),
        parent: parent.map(|parent| parent.id.clone()),
        run: None,
        call: CallId::new(call.as_str()).ok(),
        created: *at,
        order: *order,
    };
    let mut notes = Vec::new();
    let here = (*at, *order);
    if task.started.name.as_deref().is_some_and(|name| check_id(name).is_err()) {
        notes.push(Note::renamed(here));
    }
    if task.several && task.started.instance.is_none() && !command {
        notes.push(Note::used_again(call.as_str(), here));
    }
    if let (None, Some(above)) = (parent, above) {
        notes.push(Note::no_parent(above, here));
    }
    if let Some(end) = task.end.as_ref().filter(|end| end.unsaid) {
        notes.push(Note::no_status((end.at, end.order.max(*order))));
    }
    if task.end.is_none() && torn {
        let newest = scan.newest.max(*order);
        notes.push(Note::torn((Some(Millis(newest)).filter(|at| at.0 > 0), newest)));
    }
    for note in &notes {
        plan.note(&facts, note);
    }
    let returned = scan.returns.get(call.as_str()).and_then(|all| returned_by(all, task));
    plan.task(facts, task.end.as_ref().map(|end| end_facts(end, returned.filter(|_| !command))));
}

/// Says where the call of a task returned: the first time after it started.
fn returned_by(all: &[Returned], task: &Task) -> Option<Span> {
    let after = all.iter().filter(|returned| returned.order >= task.started.order);
    let first = after.min_by_key(|returned| (returned.order, returned.span));
    first.or_else(|| all.first()).map(|returned| returned.span)
}

/// The task whose agent made a call: by the agent's call, or by its instance.
fn parent<'t>(
    number: usize,
    above: &str,
    tasks: &'t [Task],
    scan: &Scan,
    by: u64,
) -> Option<&'t Task> {
    let pick = |passes: &dyn Fn(&Task) -> bool| {
        let others = tasks.iter().enumerate().filter(|(at, task)| *at != number && passes(task));
        let mut found: Vec<&Task> = others.map(|(_, task)| task).collect();
        found.sort_by_key(|task| task.started.order);
        let before = found.iter().rev().find(|task| task.started.order <= by).copied();
        before.or_else(|| found.first().copied())
    };
    let by_instance = pick(&|task| task.started.instance.as_deref() == Some(above));
    let by_call = || pick(&|task| task.started.call.as_str() == above);
    let by_name = || {
        let call = last_call(scan, above, by)?;
        pick(&|task| task.started.call.as_str() == call)
    };
    by_instance.or_else(by_call).or_else(by_name)
}

fn end_facts(ended: &Ended, returned: Option<Span>) -> EndFacts {
    let place = match ended.outcome {
        Outcome::Completed => returned.map(|span| (span, Source::Returned)),
        Outcome::Failed | Outcome::Cancelled => Some((ended.span, Source::Failed)),
    };
    let told = ended.error.is_some() || matches!(ended.of, Of::Shell(_) | Of::Instance(_));
    let place = place.filter(|(_, source)| !(told && *source == Source::Failed));
    let fill = place.map(|(span, source)| -> (Span, Box<dyn Texts>) { (span, Box::new(source)) });
    let Ended { outcome, at, order, .. } = *ended;
    let error = ended.error.as_deref().map(crate::text::part);
    EndFacts { outcome, at, order, error, result: None, fill, told_by: None }
}
