//! Joins what the first pass found: which calls are tasks, whose they are, and how they ended.

use super::scan::{self, Call, Context, End, Launch, Place, Scan, Source, Tool};
use super::shape::Line;
use crate::{
    error::ReadError,
    options::ReadOptions,
    plan::{EndFacts, Plan, TaskFacts, description},
    records::Records,
    when,
};
use std::collections::{BTreeMap, BTreeSet};
use taskledger::ids::{AgentId, CallId, TaskId};

/// Puts every task into `plan`; answers how many records told of something that is no task.
pub(super) fn resolve(
    mut scan: Scan,
    contexts: &[Context],
    options: &ReadOptions,
    records: &mut Records<'_>,
    plan: &mut Plan,
) -> Result<u64, ReadError> {
    recall_others(&mut scan, contexts, records)?;
    let ends = std::mem::take(&mut scan.ends);
    let tasks = Tasks::new(&scan);
    let (mut ends, skipped) = tasks.first_ends(ends);
    for (id, call) in &tasks.calls {
        let kind = match call.tool {
            Tool::Agent => "sub_agent",
            Tool::Workflow => "workflow",
            Tool::Monitor => "monitor",
            Tool::Other => "background_command",
        };
        let launch = scan.launches.get(id.as_str());
        let summary = launch.and_then(|launch| launch.summary.as_deref());
        let told = if call.description.is_empty() {
            description(summary)
        } else {
            call.description.clone()
        };
        let facts = TaskFacts {
            id: TaskId::clone(id),
            thread: options.thread.clone().unwrap_or_else(|| call.thread.clone()),
            kind: kind.into(),
            name: call.name.clone(),
            description: told,
            parent: tasks.parent(id, call, &scan),
            run: None,
            call: CallId::new(id.as_str()).ok(),
            agent: call.caller.as_ref().and_then(|caller| AgentId::new(caller).ok()),
            created: call.at,
            order: call.order,
        };
        plan.task(facts, ends.remove(*id).map(end_facts));
    }
    Ok(skipped)
}

/// Reads again the calls that turned out to have gone to the background.
fn recall_others(
    scan: &mut Scan,
    contexts: &[Context],
    records: &mut Records<'_>,
) -> Result<(), ReadError> {
    let mut others = std::mem::take(&mut scan.others);
    others.sort_unstable();
    let gone = scan.launches.iter().filter(|(_, launch)| launch.background.is_some());
    for id in gone.filter_map(|(id, _)| TaskId::new(id).ok()) {
        if scan.calls.contains_key(&id) {
            continue;
        }
        let hash = scan::hash(id.as_str());
        let from = others.partition_point(|(other, _)| *other < hash);
        for (_, span) in others.iter().skip(from).take_while(|(other, _)| *other == hash) {
            let context = usize::try_from(span.file).ok().and_then(|at| contexts.get(at));
            let Some(context) = context else { continue };
            let read = records.read(*span, |text| {
                let line: Line<'_> = serde_json::from_str(text).ok()?;
                let block = line.blocks().iter().find(|block| block.id.is(id.as_str()))?;
                let at = line.timestamp.get().and_then(when::parse);
                let named = line.session.get().map(taskledger::ids::ThreadId::new);
                let thread = named.map_or_else(|| context.thread.clone(), Result::ok);
                let order = at.map_or(0, |at| at.0);
                let place = Place { at, order, span: *span, thread };
                Some(scan::call(context, &line, block, &place).ok())
            })?;
            if let Some((_, call)) = read
                && scan.calls.get(&id).is_none_or(|known| call.order < known.order)
            {
                scan.calls.insert(id.clone(), call);
            }
        }
    }
    Ok(())
}

struct Tasks<'a> {
    calls: BTreeMap<&'a TaskId, &'a Call>,
    /// Ids that the runtime gave: an agent that is resumed belongs to several calls.
    natives: BTreeMap<&'a str, Vec<(u64, &'a TaskId)>>,
    /// Workflow runs.
    runs: BTreeMap<&'a str, &'a TaskId>,
}

impl<'a> Tasks<'a> {
    fn new(scan: &'a Scan) -> Self {
        let mut tasks =
            Self { calls: BTreeMap::new(), natives: BTreeMap::new(), runs: BTreeMap::new() };
        for (id, call) in &scan.calls {
            let launch = scan.launches.get(id.as_str());
            let native = native(call.tool, launch);
            if native.is_none() && call.tool != Tool::Agent {
                continue; // it never started
            }
            tasks.calls.insert(id, call);
            let elsewhere = || scan.agents.get(id.as_str()).map(String::as_str);
            if let Some(native) = native.or_else(elsewhere) {
                tasks.natives.entry(native).or_default().push((call.order, id));
            }
            if let Some(run) = launch.and_then(|launch| launch.run.as_deref()) {
                tasks.runs.insert(run, id);
            }
        }
        tasks.match_prompts(scan);
        tasks.natives.values_mut().for_each(|calls| calls.sort_unstable());
        tasks
    }

    /// An agent of which nothing names the call was started by the one call that asked the same,
    /// and of which nothing names the agent.
    fn match_prompts(&mut self, scan: &'a Scan) {
        let taken: BTreeSet<&TaskId> = self.natives.values().flatten().map(|(_, id)| *id).collect();
        let mut asked: BTreeMap<u64, Vec<(u64, &'a TaskId)>> = BTreeMap::new();
        for (id, call) in self.calls.iter().filter(|(id, _)| !taken.contains(*id)) {
            if let (Tool::Agent, Some(prompt)) = (call.tool, call.prompt) {
                asked.entry(prompt).or_default().push((call.order, id));
            }
        }
        for (agent, prompt) in &scan.prompts {
            if let Some([call]) = asked.get(prompt).map(Vec::as_slice)
                && !self.natives.contains_key(agent.as_str())
            {
                self.natives.insert(agent, vec![*call]);
            }
        }
    }

    fn parent(&self, id: &TaskId, call: &Call, scan: &Scan) -> Option<TaskId> {
        let by_agent = |agent: &str| self.of_native(agent, call.order).filter(|task| *task != id);
        let own = call.caller.as_deref().and_then(by_agent);
        let meta = || scan.callers.get(id.as_str()).and_then(|agent| by_agent(agent));
        let workflow = || self.runs.get(call.workflow.as_deref()?).copied();
        own.or_else(meta).or_else(workflow).cloned()
    }

    /// The task that had this id of the runtime at that time.
    fn of_native(&self, native: &str, order: u64) -> Option<&'a TaskId> {
        let calls = self.natives.get(native)?;
        let last = calls.iter().rev().find(|(at, _)| *at <= order);
        last.or_else(|| calls.first()).map(|(_, id)| *id)
    }

    /// The first end of every task; and how many ends were of no task.
    fn first_ends(&self, ends: Vec<End>) -> (BTreeMap<TaskId, End>, u64) {
        let mut first: BTreeMap<TaskId, End> = BTreeMap::new();
        let mut skipped = 0;
        for end in ends {
            let Some(id) = self.task_of(&end) else {
                // Results of other calls are the bulk of a transcript, and nobody misses them.
                skipped += u64::from(!matches!(end.source, Source::Result { .. }));
                continue;
            };
            match first.get(id) {
                Some(known) if (known.order, known.span) <= (end.order, end.span) => {}
                Some(_) | None => drop(first.insert(id.clone(), end)),
            }
        }
        (first, skipped)
    }

    fn task_of(&self, end: &End) -> Option<&'a TaskId> {
        let by_call = |call: &str| {
            let (id, call) = self.calls.get_key_value(TaskId::new(call).ok().as_ref()?)?;
            (!end.agents_only || call.tool == Tool::Agent).then_some(*id)
        };
        match &end.source {
            Source::Result { call } => by_call(call),
            Source::Polled { native } => self.of_native(native, end.order),
            Source::Notice { call, native } => {
                let own = call.as_deref().and_then(by_call);
                own.or_else(|| self.of_native(native.as_deref()?, end.order))
            }
        }
    }
}

fn native(tool: Tool, launch: Option<&Launch>) -> Option<&str> {
    let launch = launch?;
    match tool {
        Tool::Agent => launch.agent.as_deref(),
        Tool::Workflow | Tool::Monitor => launch.task.as_deref(),
        Tool::Other => launch.background.as_deref(),
    }
}

fn end_facts(end: End) -> EndFacts {
    EndFacts {
        outcome: end.outcome,
        at: end.at,
        order: end.order,
        error: None,
        result: None,
        fill: Some((end.span, Box::new(end.source))),
    }
}
