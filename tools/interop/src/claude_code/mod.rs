//! Session transcripts of a coding agent: `<session>.jsonl`, and below `<session>/` one file for
//! each sub-agent.
//!
//! The thread is the session. A task is keyed by the tool call that launched it. [`scan`] reads
//! every line once and keeps small facts; [`resolve`] joins them; [`fill`] reads the texts of ends
//! from their records when a proposal is made.

mod files;
mod notice;
mod resolve;
mod scan;
mod shape;

use crate::{
    error::ReadError,
    importer::Importer,
    input::Input,
    lax::Str,
    lines::Walk,
    options::{Progress, ReadOptions},
    plan::{Plan, Texts},
    recording::Recording,
    records::Records,
    text,
};
use scan::{Context, Scan, Source};
use serde::Deserialize;
use shape::{Line, Meta};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};
use taskledger::{command::Finish, event::Outcome, ids::ThreadId};

const ID: &str = "claude-code";
/// A meta file larger than this is not one.
const META_BYTES_MAX: u64 = 1 << 20;

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
        look.session.get().is_some() && !kind.is_empty() || silent
    }

    fn files(&self, file: &Path) -> Result<Vec<PathBuf>, ReadError> {
        files::of(file)
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
        read(inputs, options, progress)
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
}

/// Reads a session and the sub-agents below it.
fn read(
    inputs: &[Input],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    let mut walk = Walk::new(inputs, options, progress);
    let mut scan = Scan::default();
    let contexts: Vec<Context> = inputs.iter().map(|input| context(inputs, input)).collect();
    for (number, (input, context)) in inputs.iter().zip(&contexts).enumerate() {
        scan.start_file();
        walk.file(number, input, |tally, record| scan.record(context, tally, record))?;
        read_meta(&mut scan, context, &input.path);
    }
    let mut tally = walk.finish();
    let mut plan = Plan::new(ID);
    let mut records = Records::new(inputs);
    let mut threads: Vec<ThreadId> = scan.threads.iter().cloned().collect();
    if let Some(thread) = &options.thread {
        threads = vec![thread.clone()];
    }
    tally.skipped += resolve::resolve(scan, &contexts, options, &mut records, &mut plan)?;
    Ok(Recording {
        format: ID,
        threads,
        tally,
        spawns_grow: true,
        inputs: inputs.to_vec(),
        steps: plan.steps(),
        options: options.clone(),
    })
}

impl Texts for Source {
    fn read(&self, record: &str, finish: &mut Finish) -> Option<()> {
        let line: Line<'_> = serde_json::from_str(record).ok()?;
        let completed = finish.outcome == Outcome::Completed;
        let (error, result) = match self {
            Self::Result { call } => {
                let block = line.blocks().iter().find(|block| block.call.is(call))?;
                let text = block.result_text();
                (Some(text.clone()), Some(text))
            }
            Self::Polled { .. } => {
                let polled = line.told()?.task.0.as_ref()?;
                let exit = polled.exit_code.0.map(|code| format!("exit code {code}"));
                (
                    polled.error.owned().or(exit),
                    polled.result.owned().or_else(|| polled.output.owned()),
                )
            }
            Self::Notice { call, native } => {
                let notice = notice::notices(&line).find(|notice| {
                    notice.call() == call.as_deref() && notice.native() == native.as_deref()
                })?;
                (notice.summary().map(str::to_owned), notice.result().map(str::to_owned))
            }
        };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if completed {
            finish.result = some(result).map(|text| text::json_string(&text));
        } else {
            finish.error = some(error).map(|text| text::part(&text));
        }
        Some(())
    }
}

fn context(inputs: &[Input], input: &Input) -> Context {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let above = inputs.first().and_then(|first| stem(&first.path));
    let own = stem(&input.path);
    let agent = own.as_deref().and_then(|stem| stem.strip_prefix("agent-")).map(str::to_owned);
    let names = input.path.parent().into_iter().flat_map(Path::components);
    let workflow =
        names.map(|name| name.as_os_str().to_string_lossy()).rfind(|name| name.starts_with("wf_"));
    Context {
        thread: above.and_then(|stem| ThreadId::new(stem).ok()),
        workflow: workflow.filter(|_| agent.is_some()).map(std::borrow::Cow::into_owned),
        agent,
    }
}

/// What stands in `agent-<id>.meta.json`. It only adds to what the transcripts say, so one that
/// cannot be read is as good as none.
fn read_meta(scan: &mut Scan, context: &Context, transcript: &Path) {
    let Some(agent) = &context.agent else { return };
    let mut text = String::new();
    let opened = fs::File::open(transcript.with_extension("meta.json"));
    let read = opened.and_then(|file| file.take(META_BYTES_MAX).read_to_string(&mut text));
    let Ok(meta) = serde_json::from_str::<Meta<'_>>(&text) else { return };
    if read.is_ok()
        && let Some(call) = meta.call.get()
    {
        scan.agent(call, agent);
        if let Some(caller) = meta.parent_agent.owned() {
            scan.callers.insert(call.to_owned(), caller);
        }
    }
}
