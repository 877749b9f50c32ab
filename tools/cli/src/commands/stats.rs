//! `taskledger stats`: figures about the ledger.

use crate::{
    app::{self, App},
    exit::Exit,
    json::StatsBody,
    output::Out,
    paint, progress,
    tasks::count,
};
use anyhow::Result;
use std::{collections::BTreeMap, fs, path::Path};
use taskledger::{
    event::TaskStatus,
    query::{self, Position, Scope},
};

/// Count events, threads, tasks by status and type, and bytes on disk.
///
/// Example:
///   taskledger stats
///   taskledger stats --at @-1000 -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Counts.
pub fn run(_: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let view = app.view(&opened.reader, Scope::All)?;
    let state = &view.state;
    let counts = state.counts();
    let mut types = BTreeMap::new();
    for task in state.tasks() {
        *types.entry(task.record.task_type.to_string()).or_insert(0) += 1;
    }
    let root = match view.position {
        Position::Log(size) => Some(opened.reader.root_at(size)?.to_string()),
        Position::Occurred(_) => None,
    };
    let body = StatsBody {
        at: app::at(&view),
        ledger: opened.reader.ledger_id().to_string(),
        epoch: state.epoch().map(|epoch| epoch.to_string()),
        incarnation: state.incarnation(),
        events: view.size,
        threads: count(state.threads().count()),
        tasks: counts.total(),
        running: counts.running,
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
        depth: query::threads(state).iter().map(|row| count(row.depth)).max().unwrap_or(0),
        types,
        redacted: count(state.redactions().count()),
        root,
        disk_bytes: disk_bytes(&app.db),
    };
    let name = body.ledger.clone();
    app.out.single("taskledger.stats/v1", body, Some(&name), human)?;
    Ok(Exit::Ok)
}

/// The bytes of all files below `path`; what cannot be looked at counts nothing.
fn disk_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

fn human(out: &mut Out, stats: &StatsBody) -> Result<()> {
    let look = out.look;
    let mut figure = |name: &str, value: String| {
        let name = paint::Paint::Dim.on(&format!("{name:<12}"), &look);
        out.line(&format!("{name} {value}"))
    };
    figure("ledger", stats.ledger.clone())?;
    figure("events", stats.events.to_string())?;
    if let Some(root) = &stats.root {
        figure("root", root.clone())?;
    }
    figure("time", stats.at.time.clone().unwrap_or_default())?;
    figure("writers", stats.incarnation.to_string())?;
    figure("threads", stats.threads.to_string())?;
    figure("tasks", format!("{}, {} deep", stats.tasks, stats.depth))?;
    let counts = [stats.running, stats.completed, stats.failed, stats.cancelled];
    for (status, count) in TaskStatus::ALL.into_iter().zip(counts) {
        figure("", format!("{count:>8} {}", paint::status(status, &look)))?;
    }
    for (kind, count) in &stats.types {
        figure("", format!("{count:>8} {}", look.safe(kind)))?;
    }
    figure("redacted", format!("{} events", stats.redacted))?;
    figure("on disk", progress::bytes(stats.disk_bytes))
}
