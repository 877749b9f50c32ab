//! Stores that are reached through Python, each with a script under `tools/bench/peers`: state at a
//! point, write rate and bytes, on the same history as the ledger. Start reading at [`measure`].

mod here;
mod history;
mod told;

use crate::{
    figures::{Figures, count, float, time, times},
    ledger::Shape,
    report::{Report, Table},
};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use told::Told;

pub(crate) use told::{Script, python};

/// Looks at threads of each length, in each round.
const LOOKS: u64 = 200;
/// Events of a task.
const PER_TASK: u64 = 10;

const SCRIPTS: [Script; 2] = [
    Script {
        name: "LangGraph, SQLite checkpointer",
        file: "langgraph_sqlite.py",
        needs: "langgraph.checkpoint.sqlite",
    },
    Script { name: "UmaDB", file: "umadb_grpc.py", needs: "umadb" },
];

/// How large the history is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Events of the history.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) events: u64,
    /// Times that each store has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// The Python to use: by default what `tools/bench/peers/install` has made, else `python3`.
    #[arg(long)]
    pub(crate) python: Option<PathBuf>,
}

/// A store, and what was measured in every round.
struct Row {
    name: &'static str,
    /// None for the ledger itself.
    script: Option<&'static Script>,
    told: Vec<Told>,
}

/// Measures them in turn: a section of the report.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let shape = Shape { events: args.events, tasks: args.events / PER_TASK };
    shape.check()?;
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let history = place.path().join("history.jsonl");
    history::write(&history, shape)?;
    let python = args.python.clone().unwrap_or_else(python);
    let (there, missing): (Vec<_>, Vec<_>) =
        SCRIPTS.iter().partition(|script| script.is_there(&python));
    let mut rows = vec![Row { name: "taskledger", script: None, told: Vec::new() }];
    rows.extend(there.into_iter().map(|script| Row {
        name: script.name,
        script: Some(script),
        told: Vec::new(),
    }));
    let mut skipped = Vec::new();
    for round in 1..=args.rounds {
        eprintln!("outside: round {round} of {}", args.rounds);
        let before = usize::try_from(round - 1)?;
        // Who has failed once is left out of the rounds that follow.
        for row in rows.iter_mut().filter(|row| row.told.len() == before) {
            let directory = fresh(place.path())?;
            let Some(script) = row.script else {
                row.told.push(here::measure(&directory, shape, LOOKS)?);
                continue;
            };
            match script.run(&python, &history, &directory, LOOKS) {
                Ok(told) => row.told.push(told),
                Err(error) => {
                    eprintln!("FAILED: {}: {error:#}", row.name);
                    skipped.push(format!("{}, from round {round} on: {error:#}", row.name));
                }
            }
        }
    }
    let mut how = format!(
        "A history of {} events ({} tasks; threads of 100 and of 1,000 events, taking turns), written \
         event by event by one caller, each waited for. {} rounds in turn, {LOOKS} looks at threads of \
         each length in each. The ledger is in the process that asks; the others are asked from \
         Python, in a process of their own or with a server in one.",
        shape.events, shape.tasks, args.rounds
    );
    skipped.extend(missing.into_iter().map(|script| {
        let (name, needs, python) = (script.name, script.needs, python.display());
        format!("{name}: {python} cannot import `{needs}`; see tools/bench/peers/install")
    }));
    for what in skipped {
        how = format!("{how}\n\n**SKIPPED: {what}**");
    }
    report.section("state at a point", &how, &[table(&rows, shape)])
}

/// A new directory.
fn fresh(place: &Path) -> Result<PathBuf> {
    let directory = place.join("store");
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    std::fs::create_dir(&directory).context("making a directory for a store")?;
    Ok(directory)
}

fn table(rows: &[Row], shape: Shape) -> Table {
    let mut table = Table::new(
        "State at a point, beside what keeps states or events for agents",
        &[
            "store",
            "before the acknowledgement",
            "writes/s",
            "range",
            "p50",
            "p99",
            "thread of 100 as of: p50",
            "p99",
            "thread of 1,000 as of: p50",
            "p99",
            "bytes an event",
            "empty store",
            "taskledger writes times",
        ],
    );
    let figures =
        |row: &Row, of: &dyn Fn(&Told) -> f64| row.told.iter().map(of).collect::<Figures>();
    let ours = rows.first().map(|row| figures(row, &|told| told.writes)).unwrap_or_default();
    for row in rows {
        let Some(first) = row.told.first() else { continue };
        let middle = |of: &dyn Fn(&Told) -> f64| figures(row, of).median();
        let writes = figures(row, &|told| told.writes);
        table.row([
            format!("{} {}", row.name, first.version).trim().to_owned(),
            first.means.clone(),
            count(writes.median()),
            writes.span(count),
            time(middle(&|told| told.write_p50)),
            time(middle(&|told| told.write_p99)),
            time(middle(&|told| told.of_100.p50)),
            time(middle(&|told| told.of_100.p99)),
            time(middle(&|told| told.of_1000.p50)),
            time(middle(&|told| told.of_1000.p99)),
            format!("{:.0}", middle(&|told| told.bytes / float(shape.events))),
            format!("{:.2} MB", middle(&|told| told.empty) / 1e6),
            times(ours.over(&writes).median()),
        ]);
    }
    table
}
