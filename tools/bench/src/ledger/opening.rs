//! Opening a ledger: with a snapshot, without, beside a plain program over `SQLite`, and the memory
//! that it takes.

use super::{
    costs::{Costs, Memory},
    made::Made,
};
use crate::stopwatch::Stopwatch;
use anyhow::{Context, Result, ensure};
use std::{env, fs, hint::black_box, path::Path, process::Command};
use taskledger::{Ledger, Options, snapshot};

/// With its snapshot, as after a clean end; files in the page cache.
pub(super) fn with_snapshot(made: &Made, rounds: u32, costs: &mut Costs) -> Result<()> {
    for _ in 0..rounds {
        costs.open.push(opened(made)?);
    }
    Ok(())
}

/// Without one, in turn with `SQLite`.
pub(super) fn replays(made: &Made, rounds: u32, costs: &mut Costs) -> Result<()> {
    let plain = plain(made).transpose()?;
    made.set_snapshots_aside()?;
    for _ in 0..rounds {
        costs.replay.push(opened(made)?);
        let Some(plain) = &plain else { continue };
        let watch = Stopwatch::start();
        let (events, tasks) = plain()?;
        costs.plain.push(watch.stop().seconds());
        ensure!(events >= made.shape.events, "SQLite holds {events} events");
        ensure!(u64::try_from(tasks)? == made.shape.tasks, "SQLite holds {tasks} tasks");
    }
    made.put_snapshots_back()
}

/// Reads all of the same history elsewhere, and answers how many events and tasks there are.
type Replay = Box<dyn Fn() -> Result<(u64, usize)>>;

/// The history in `SQLite`, if that is built in.
#[cfg(feature = "peers")]
#[allow(clippy::unnecessary_wraps, reason = "built without it, there is none")]
fn plain(made: &Made) -> Option<Result<Replay>> {
    let filled = || -> Result<Replay> {
        let ledger = Ledger::open(made.ledger(), Options::default())?;
        let plain = crate::peers::Sqlite::fill(&made.beside("events.sqlite"), &ledger.reader())?;
        ledger.close_blocking()?;
        Ok(Box::new(move || plain.replay()))
    };
    Some(filled())
}

#[cfg(not(feature = "peers"))]
fn plain(_: &Made) -> Option<Result<Replay>> {
    None
}

fn opened(made: &Made) -> Result<f64> {
    let watch = Stopwatch::start();
    let ledger = Ledger::open(made.ledger(), Options::default())?;
    let took = watch.stop();
    ensure!(ledger.reader().head().size >= made.shape.events, "events are missing");
    ledger.close_blocking()?;
    Ok(took.seconds())
}

/// Two processes of their own say by how much they grew.
pub(super) fn memory(made: &Made, costs: &mut Costs) -> Result<()> {
    let all = grown(&made.ledger())?;
    costs.memory = Some(Memory { all, state: grown(&made.snapshot()?)? });
    Ok(())
}

fn grown(path: &Path) -> Result<u64> {
    let program = env::current_exe().context("finding this program")?;
    let output = Command::new(program).arg("grow").arg(path).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    said.trim().parse().with_context(|| format!("a process that opens a ledger said {}", words()))
}

/// What such a process does: opens a ledger, or decodes a snapshot if it is a file, and answers
/// by how many bytes its own memory grew.
pub(crate) fn grow(path: &Path) -> Result<u64> {
    let before = resident()?;
    let grown = if path.is_dir() {
        let ledger = Ledger::open(path, Options::default())?;
        let grown = resident()?.saturating_sub(before);
        ledger.close_blocking()?;
        grown
    } else {
        let bytes = fs::read(path)?;
        let (state, _) = snapshot::decode(&bytes)?;
        drop(bytes);
        let grown = resident()?.saturating_sub(before);
        black_box(state);
        grown
    };
    Ok(grown)
}

/// Memory of this process that is no file's.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux says it")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1_024)
}
