//! The small files beside transcripts: what an agent is, and how a workflow stands.

use super::{
    notice,
    scan::{Context, End, Place, Scan, Source},
    shape::{Flow, Meta},
};
use crate::{
    detect::{entries, with_suffix},
    input::bare,
    lines::{Span, not_json},
    tally::Tally,
    when,
};
use std::{fs, io::Read, path::Path};
use taskledger::time::Millis;

/// A file larger than this is not one of these.
const META_BYTES_MAX: u64 = 1 << 20;
const FLOW_BYTES_MAX: u64 = 16 << 20;

/// Reads `agent-<id>.meta.json`. It only adds to what the transcripts say, so one that cannot be
/// read is as good as none.
pub(super) fn read_meta(scan: &mut Scan, context: &Context, transcript: &Path) {
    let Some(agent) = &context.agent else { return };
    let Some(text) = small(&with_suffix(&bare(transcript), ".meta.json"), META_BYTES_MAX) else {
        return;
    };
    let Ok(meta) = serde_json::from_str::<Meta<'_>>(&text) else { return };
    if let Some(call) = meta.call.get() {
        scan.agent(call, agent);
        if let Some(caller) = meta.parent_agent.owned() {
            scan.callers.insert(call.to_owned(), caller);
        }
    }
    if let (Some(name), Some(team)) = (meta.name.get(), meta.team.get()) {
        scan.members.push((agent.clone(), format!("{name}@{team}")));
    }
}

/// The state files of the session's workflows.
pub(super) fn read_flows(scan: &mut Scan, tally: &mut Tally, main: &Path) {
    let folder = bare(main).join("workflows");
    let Ok(files) = entries(&folder) else { return };
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let flow = name.is_some_and(|name| name.starts_with("wf_"));
        let json = file.extension().is_some_and(|end| end == "json");
        if !flow || !json || !file.is_file() {
            continue;
        }
        let shown = file.display().to_string();
        let Some(text) = small(&file, FLOW_BYTES_MAX) else {
            tally.bad(&shown, 1, "the file cannot be read");
            continue;
        };
        match serde_json::from_str::<Flow<'_>>(&crate::mend::json(&text)) {
            Ok(flow) => state(scan, &flow),
            Err(error) => {
                let line = u64::try_from(error.line()).unwrap_or(1);
                tally.bad(&shown, line, not_json(&error));
            }
        }
    }
}

fn state(scan: &mut Scan, flow: &Flow<'_>) {
    let run = flow.run.owned();
    for launch in &mut scan.launches {
        if launch.run.is_some() && launch.run == run {
            launch.name = launch.name.take().or_else(|| flow.name.owned());
            launch.summary = launch.summary.take().or_else(|| flow.summary.owned());
        }
    }
    let Some(outcome) = flow.status.get().and_then(notice::outcome) else { return };
    let ran = flow.start.0.zip(flow.duration.0);
    let at = ran.map(|(start, took)| Millis(start.saturating_add(took)));
    let at = at.or_else(|| flow.timestamp.get().and_then(when::parse));
    let order = at.map_or(scan.newest, |at| at.0);
    let nowhere = Span { file: 0, len: 0, offset: 0 };
    let place = Place { at, order, span: nowhere, thread: None, caller: None };
    let result = flow.result.map(|raw| raw.get().to_owned()).filter(|raw| raw != "null");
    let source = Source::Flow { run, native: flow.task.owned(), error: flow.error.owned(), result };
    scan.ends.push(End { ..place.end(outcome, source) });
}

fn small(path: &Path, bytes_max: u64) -> Option<String> {
    let file = fs::File::open(path).ok()?;
    let mut text = Vec::new();
    file.take(bytes_max).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).trim_start_matches('\u{feff}').to_owned())
}
