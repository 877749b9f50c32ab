//! Session events of a terminal agent: `subagent.started`, `.completed` and `.failed`, and commands
//! that go on in the background. `docs/recordings.md` tells the rules.
//!
//! A task is keyed by the tool call that started it. The call itself says what the task is for;
//! which sub-agent made it is said by `parentToolCallId` or, in newer versions, by the instance of
//! the agent that its record belongs to.

mod resolve;
mod scan;
mod shape;
mod shell;

use crate::{
    error::ReadError,
    importer::Importer,
    input::{Input, stem},
    lines::Walk,
    options::{Progress, ReadOptions},
    plan::{Plan, Texts},
    recording::Recording,
    tally::Tally,
    text,
};
use resolve::Source;
use scan::Scan;
use shape::Line;
use std::{collections::BTreeMap, path::Path};
use taskledger::{command::Finish, ids::ThreadId};

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
        let (mut scan, tally) = scanned(inputs, options, progress)?;
        Ok(recording(&mut scan, tally, inputs, options))
    }

    /// A session that shares calls with one that began before it is a copy of that one.
    fn read_together(
        &self,
        recordings: &[&[Input]],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Vec<Result<Recording, ReadError>> {
        let mut scans: Vec<_> =
            recordings.iter().map(|inputs| scanned(inputs, options, progress)).collect();
        let ranks = ranks(&scans);
        let read = scans.drain(..).zip(recordings).zip(ranks);
        read.map(|((scanned, inputs), rank)| {
            let (mut scan, tally) = scanned?;
            Ok(Recording { rank, ..recording(&mut scan, tally, inputs, options) })
        })
        .collect()
    }
}

fn scanned(
    inputs: &[Input],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Scan, Tally), ReadError> {
    let mut walk = Walk::new(inputs, options, progress);
    let mut scan = Scan::default();
    for (number, input) in inputs.iter().enumerate() {
        scan.fallback = named_by(&input.at).and_then(|name| ThreadId::new(name).ok());
        walk.file(number, input, |tally, record| scan.record(tally, record))?;
    }
    Ok((scan, walk.finish()))
}

fn recording(
    scan: &mut Scan,
    mut tally: Tally,
    inputs: &[Input],
    options: &ReadOptions,
) -> Recording {
    let native = scan.thread.take().or(scan.fallback.take());
    let thread = options.thread.clone().or(native.clone());
    let mut plan = Plan::new(ID);
    let mut aliases = BTreeMap::new();
    if let (Some(native), Some(thread)) = (native.or(thread.clone()), &thread) {
        let resolved = resolve::resolve(scan, &native, thread, tally.malformed > 0, &mut plan);
        tally.skipped += resolved.skipped;
        aliases = resolved.aliases;
    }
    Recording {
        threads: thread.into_iter().collect(),
        tally,
        calls: true,
        aliases,
        covers: scan.newest,
        inputs: inputs.into(),
        steps: plan.steps(),
        options: options.clone(),
        ..Recording::empty(ID)
    }
}

/// For each session, how many others that began before it have calls of it.
fn ranks(scans: &[Result<(Scan, Tally), ReadError>]) -> Vec<u32> {
    let mut by_call: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let of = |number: usize| scans.get(number).and_then(|scan| scan.as_ref().ok()).map(|s| &s.0);
    for number in 0..scans.len() {
        for call in of(number).map(Scan::ids).unwrap_or_default() {
            by_call.entry(call).or_default().push(number);
        }
    }
    let began = |number: usize| {
        let scan = of(number);
        (scan.and_then(|scan| scan.began), scan.and_then(|scan| scan.thread.clone()))
    };
    let mut ranks = vec![0_u32; scans.len()];
    for sessions in by_call.values() {
        for number in sessions {
            let before = sessions.iter().filter(|other| began(**other) < began(*number)).count();
            if let Some(rank) = ranks.get_mut(*number) {
                *rank = (*rank).max(u32::try_from(before).unwrap_or(u32::MAX));
            }
        }
    }
    ranks
}

/// Names a session whose head is missing: by its file, or by the folder that is called like it.
fn named_by(file: &Path) -> Option<String> {
    let own = stem(file)?;
    let above = || file.parent()?.file_name().map(|name| name.to_string_lossy().into_owned());
    if own == "events" { above().or(Some(own)) } else { Some(own) }
}

/// Reads the texts of an end from the record that told of it.
impl Texts for Source {
    fn read(&self, record: &str, finish: &mut Finish) -> Option<()> {
        let line: Line<'_> = serde_json::from_str(record).ok()?;
        let data = line.data.0?;
        match self {
            Self::Failed => finish.error = data.error().0.map(|told| text::part(&told)),
            Self::Returned => {
                let result = data.result.0.as_ref().and_then(|result| result.content.get());
                finish.result = result.map(text::json_string);
            }
        }
        Some(())
    }
}
