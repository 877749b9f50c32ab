//! Session transcripts of a coding agent: `<session>.jsonl`, and below `<session>/` one file for
//! each sub-agent and a state file for each workflow. `docs/recordings.md` tells the rules.
//!
//! The thread is the session. A task is keyed by the tool call that launched it. [`scan`] reads
//! every line once and keeps small facts; [`group`] finds the calls that are one call; [`resolve`]
//! joins the facts; [`texts`] reads the texts of ends from their records when a proposal is made.

mod beside;
mod calls;
mod files;
mod group;
mod notice;
mod resolve;
mod scan;
mod shape;
mod team;
mod texts;
mod told;

use crate::{
    error::ReadError,
    importer::Importer,
    input::{Input, stem},
    lax::{Obj, Str},
    lines::Walk,
    options::{Progress, ReadOptions},
    plan::Plan,
    recording::Recording,
    records::Records,
    tally::Tally,
    when,
};
use calls::Call;
use scan::{Context, Place, Scan, hash};
use serde::Deserialize;
use shape::Line;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};
use taskledger::ids::{TaskId, ThreadId};

const ID: &str = "claude-code";

/// The format of session transcripts.
#[derive(Debug)]
pub(crate) struct ClaudeCode;

impl Importer for ClaudeCode {
    fn id(&self) -> &'static str {
        ID
    }

    fn about(&self) -> &'static str {
        "Session transcripts of Claude Code"
    }

    fn detect(&self, line: &[u8]) -> bool {
        let Ok(look) = serde_json::from_slice::<Look<'_>>(line) else { return false };
        let kind = look.kind.get().unwrap_or_default();
        let silent =
            kind == "file-history-snapshot" || kind == "summary" && look.leaf.get().is_some();
        // Others have a session and a type too, and messages made of parts.
        let kin = look.message.0.as_ref().is_some_and(|message| message.parts.is_some());
        !kin && look.session.get().is_some() && !kind.is_empty() || silent
    }

    fn gather(&self, files: &[PathBuf]) -> Vec<Vec<PathBuf>> {
        files::gather(files)
    }

    fn main_of(&self, folder: &Path) -> Option<PathBuf> {
        files::main_of(folder)
    }

    fn read(
        &self,
        inputs: &[Input],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Recording, ReadError> {
        let mut read = self.read_together(&[inputs], options, progress);
        read.pop().unwrap_or_else(|| Ok(Recording::empty(ID)))
    }

    fn read_together(
        &self,
        recordings: &[&[Input]],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Vec<Result<Recording, ReadError>> {
        let all: Arc<[Input]> =
            recordings.iter().flat_map(|inputs| inputs.iter().cloned()).collect();
        let mut first = 0;
        let mut read: Vec<Result<usize, ReadError>> = Vec::new();
        let mut sessions: Vec<Session> = Vec::new();
        for inputs in recordings {
            let session =
                Session::scan(inputs, first, options, progress).and_then(|mut session| {
                    session.recall(&mut Records::new(&all))?;
                    Ok(session)
                });
            read.push(session.map(|session| {
                sessions.push(session);
                sessions.len() - 1
            }));
            first += inputs.len();
        }
        let mut plans: Vec<Plan> = sessions.iter().map(|_| Plan::new(ID)).collect();
        resolve::resolve(&mut sessions, options, &mut plans);
        let mut whole: Vec<Option<Recording>> = sessions
            .into_iter()
            .zip(plans)
            .map(|(session, plan)| Some(session.recording(plan, Arc::clone(&all), options)))
            .collect();
        let mut take = |number: usize| whole.get_mut(number).and_then(Option::take);
        let recording = |read: Result<usize, ReadError>| {
            Ok(take(read?).unwrap_or_else(|| Recording::empty(ID)))
        };
        read.into_iter().map(recording).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, rename = "sessionId")]
    session: Str<'a>,
    #[serde(borrow, rename = "leafUuid")]
    leaf: Str<'a>,
    message: Obj<LookMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LookMessage {
    parts: Option<serde::de::IgnoredAny>,
}

/// One session, once it is read.
#[derive(Debug)]
struct Session {
    scan: Scan,
    tally: Tally,
    contexts: Vec<Context>,
    /// The number of its first file among those of all sessions.
    first: usize,
    /// The thread of which it is the recording.
    own: Option<ThreadId>,
    /// The folder that it stands in: sessions of a project stand together.
    project: Option<PathBuf>,
    copies: BTreeSet<ThreadId>,
    rank: u32,
    aliases: BTreeMap<TaskId, TaskId>,
    strays: BTreeSet<TaskId>,
}

impl Session {
    /// Reads a session and what belongs to it.
    fn scan(
        inputs: &[Input],
        first: usize,
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, ReadError> {
        let mut walk = Walk::new(inputs, options, progress);
        let mut scan = Scan::default();
        let contexts: Vec<Context> = inputs.iter().map(|input| context(inputs, input)).collect();
        for (number, (input, context)) in inputs.iter().zip(&contexts).enumerate() {
            scan.start_file();
            let read = walk
                .file(first + number, input, |tally, record| scan.record(context, tally, record));
            match read {
                Err(ReadError::Io { source, .. }) if number > 0 => {
                    walk.tally.bad(&input.shown, 1, format!("cannot be read: {source}"));
                }
                read => read?,
            }
            beside::read_meta(&mut scan, context, &input.at);
        }
        let mut tally = walk.finish();
        let main = inputs.first().map(|input| input.at.clone()).unwrap_or_default();
        beside::read_flows(&mut scan, &mut tally, &main);
        let named = contexts.first().and_then(|context| context.thread.as_ref());
        let own = resolve::own(&scan, named);
        let project = main.parent().map(Path::to_owned);
        let (copies, rank, aliases) = (BTreeSet::new(), 0, BTreeMap::new());
        let strays = BTreeSet::new();
        Ok(Self { scan, tally, contexts, first, own, project, copies, rank, aliases, strays })
    }

    /// Reads again the calls that turned out to have gone to the background.
    fn recall(&mut self, records: &mut Records<'_>) -> Result<(), ReadError> {
        let mut others = std::mem::take(&mut self.scan.others);
        others.sort_unstable();
        let gone = self.scan.launches.iter().filter(|launch| launch.background);
        let ids: BTreeSet<String> = gone.map(|launch| launch.call.clone()).collect();
        for id in ids {
            let wanted = hash(id.as_str());
            let from = others.partition_point(|(other, _)| *other < wanted);
            for (_, span) in others.iter().skip(from).take_while(|(other, _)| *other == wanted) {
                let own = usize::try_from(span.file).ok().and_then(|at| at.checked_sub(self.first));
                let Some(context) = own.and_then(|at| self.contexts.get(at)) else { continue };
                let scan = &mut self.scan;
                let call: Option<Call> = records.read(*span, |text| {
                    let line: Line<'_> = serde_json::from_str(text).ok()?;
                    let block = line.blocks().iter().find(|block| block.id.is(&id));
                    Some(block.and_then(|block| {
                        let place = scan.place_again(context, &line, *span);
                        calls::call(context, block, &place).ok()
                    }))
                })?;
                self.scan.calls.extend(call);
            }
        }
        self.scan.others = others;
        Ok(())
    }

    fn recording(self, plan: Plan, inputs: Arc<[Input]>, options: &ReadOptions) -> Recording {
        let threads = match &options.thread {
            Some(thread) => vec![thread.clone()],
            None => self.scan.threads.into_iter().collect(),
        };
        Recording {
            threads,
            tally: self.tally,
            copies: self.copies.into_iter().collect(),
            rank: self.rank,
            calls: true,
            aliases: self.aliases,
            strays: self.strays,
            covers: self.scan.newest,
            inputs,
            steps: plan.steps(),
            options: options.clone(),
            ..Recording::empty(ID)
        }
    }
}

fn context(inputs: &[Input], input: &Input) -> Context {
    let above = inputs.first().and_then(|first| stem(&first.at));
    let own = stem(&input.at);
    let agent = own.as_deref().and_then(|stem| stem.strip_prefix("agent-")).map(str::to_owned);
    let names = input.at.parent().into_iter().flat_map(Path::components);
    let workflow =
        names.map(|name| name.as_os_str().to_string_lossy()).rfind(|name| name.starts_with("wf_"));
    Context {
        thread: above.and_then(|stem| ThreadId::new(stem).ok()),
        workflow: workflow.filter(|_| agent.is_some()).map(std::borrow::Cow::into_owned),
        agent,
    }
}

impl Scan {
    /// Says where a record stands that is read again, which changes nothing.
    fn place_again(&self, context: &Context, line: &Line<'_>, span: crate::lines::Span) -> Place {
        let at = line.timestamp.get().and_then(when::parse);
        let forked = line.forked.0.as_ref().and_then(|forked| forked.session.get());
        let named = forked.or_else(|| line.session.get()).map(ThreadId::new);
        let thread = named.map_or_else(|| context.thread.clone(), Result::ok);
        let order = at.map_or(0, |at| at.0);
        Place { at, order, span, thread, caller: self.caller_again(context, line) }
    }
}
