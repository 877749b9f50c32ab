//! Session transcripts of a coding agent: `<session>.jsonl`, and below `<session>/` one file for
//! each sub-agent.
//!
//! The thread is the session. A task is keyed by the tool call that launched it. [`scan`] reads
//! every line once and keeps small facts; [`resolve`] joins them; [`fill`] reads the texts of ends
//! from their records when a proposal is made.

mod notice;
mod resolve;
mod scan;
mod shape;

pub(crate) use scan::Source;

use crate::{
    detect::Dataset,
    error::ReadError,
    fetch::Records,
    lines::Walk,
    plan::Plan,
    recording::{Format, Input, Progress, ReadOptions, Recording},
    text,
};
use scan::{Context, Scan};
use shape::{Line, Meta};
use std::{fs, io::Read, path::Path};
use taskledger::{command::Finish, event::Outcome, ids::ThreadId};

/// A meta file larger than this is not one.
const META_BYTES_MAX: u64 = 1 << 20;

/// Reads a session and the sub-agents below it.
pub(crate) fn read(
    dataset: &Dataset,
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    let mut walk = Walk::new(&dataset.inputs, options, progress);
    let mut scan = Scan::default();
    let contexts: Vec<Context> =
        dataset.inputs.iter().map(|input| context(dataset, input)).collect();
    for (number, (input, context)) in dataset.inputs.iter().zip(&contexts).enumerate() {
        scan.start_file();
        walk.file(number, input, |tally, record| scan.record(context, tally, record))?;
        read_meta(&mut scan, context, &input.path);
    }
    let mut tally = walk.finish();
    let mut plan = Plan::new(Format::ClaudeCode);
    let mut records = Records::new(&dataset.inputs);
    let mut threads: Vec<ThreadId> = scan.threads.iter().cloned().collect();
    if let Some(thread) = &options.thread {
        threads = vec![thread.clone()];
    }
    tally.skipped += resolve::resolve(scan, &contexts, options, &mut records, &mut plan)?;
    Ok(Recording {
        format: Format::ClaudeCode,
        threads,
        tally,
        inputs: dataset.inputs.clone(),
        steps: plan.steps(),
        options: options.clone(),
    })
}

/// Reads the texts of an end from the record that told of it.
pub(crate) fn fill(record: &str, source: &Source, finish: &mut Finish) -> Option<()> {
    let line: Line<'_> = serde_json::from_str(record).ok()?;
    let completed = finish.outcome == Outcome::Completed;
    let (error, result) = match source {
        Source::Result { call } => {
            let block = line.blocks().iter().find(|block| block.call.is(call))?;
            let text = block.result_text();
            (Some(text.clone()), Some(text))
        }
        Source::Polled { .. } => {
            let polled = line.told()?.task.0.as_ref()?;
            let exit = polled.exit_code.0.map(|code| format!("exit code {code}"));
            (polled.error.owned().or(exit), polled.result.owned().or_else(|| polled.output.owned()))
        }
        Source::Notice { call, native } => {
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

fn context(dataset: &Dataset, input: &Input) -> Context {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let above = dataset.inputs.first().and_then(|first| stem(&first.path));
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
