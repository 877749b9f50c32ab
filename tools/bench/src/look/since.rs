//! Queries by the number of events since the snapshot, and past views of single threads.

use super::Args;
use crate::{
    figures::{Figures, time, whole},
    ledger::{Shape, Threads},
    report::Table,
    stopwatch::Stopwatch,
    workload::{self, mixed},
};
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use taskledger::{
    Durability, Ledger, Options,
    ids::Size,
    query::{History, Position, Scope, Source as _, as_of, history, threads, tree},
};

/// Past views: enough for a p99.
const VIEWS: u64 = 1_000;

/// A query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Question {
    /// The last five events.
    Last,
    /// A thread of 100 events and its tree.
    Thread,
    /// Every thread.
    All,
}

impl Question {
    const ALL: [(Self, &str); 3] = [
        (Self::Last, "the last five events"),
        (Self::Thread, "a thread of 100 and its tree"),
        (Self::All, "every thread"),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Thread => "thread",
            Self::All => "all",
        }
    }
}

/// The work of a process that asks once: answers how long it took, and its peak memory in KiB.
pub(crate) fn ask(path: &Path, question: Question, shape: Shape, round: u64) -> Result<String> {
    let watch = Stopwatch::start();
    let ledger = Ledger::open_read_only(path, Options::default())?;
    let reader = ledger.reader();
    match question {
        Question::Last => {
            let mut seen = 0;
            history(&reader, &History::default().limit(5), |_| seen += 1)?;
            ensure!(seen == 5, "{seen} events instead of the last five");
        }
        Question::Thread => {
            let thread = shape.thread(Threads::Of100, mixed(round))?;
            let forest = tree(&reader.state_of(Scope::Thread(&thread))?, &thread);
            ensure!(!forest.nodes.is_empty(), "the tree of a thread is empty");
        }
        Question::All => ensure!(!threads(&reader.state()?).is_empty(), "there is no thread"),
    }
    let seconds = watch.stop().seconds();
    let status = fs::read_to_string("/proc/self/status").context("only Linux says it")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    Ok(format!("{seconds} {peak}"))
}

/// Queries of a ledger with so many tasks, by the events since its newest snapshot.
pub(super) fn queries(args: &Args) -> Result<Table> {
    let shape = Shape { events: args.tasks * 2, tasks: args.tasks };
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let (ledger, aside) = (place.path().join("ledger"), place.path().join("aside"));
    let saved = fill(shape, &args.since, &ledger, &aside)?;
    let mut table = Table::new(
        "A query of 200,000 tasks by the events since the snapshot",
        &["tasks", "events since", "what", "time", "range", "peak memory", "goal"],
    );
    for (since, snapshot) in args.since.iter().zip(saved) {
        clear(&ledger.join("snapshots"))?;
        let name = snapshot.file_name().context("a name")?;
        fs::copy(&snapshot, ledger.join("snapshots").join(name))?;
        for (question, what) in Question::ALL {
            let (mut times, mut peak) = (Figures::default(), 0.0_f64);
            for round in 0..args.rounds {
                let (seconds, kib) = asked(&ledger, question, shape, round)?;
                times.push(seconds);
                peak = peak.max(kib / 1024.0);
            }
            let median = times.median();
            let goal = if question == Question::All {
                String::new()
            } else {
                let called = format!("{what}, {} events since", whole(*since));
                let figure = format!("{}, {peak:.0} MiB", time(median));
                let met = median < 0.150 && peak < 60.0;
                table.judge(called, figure, "under 150 ms and 60 MiB", met)
            };
            table.row([
                whole(args.tasks),
                whole(*since),
                what.to_owned(),
                time(median),
                times.span(time),
                format!("{peak:.0} MiB"),
                goal,
            ]);
        }
    }
    Ok(table)
}

/// Makes the ledger, and puts a snapshot aside for each number of events since.
fn fill(shape: Shape, since: &[u64], path: &Path, aside: &Path) -> Result<Vec<PathBuf>> {
    shape.check()?;
    fs::create_dir(aside)?;
    let written = Durability::Interval(Duration::from_millis(100));
    let ledger = Ledger::create(path, Options::default().durability(written))?;
    let mut ends: Vec<_> = since.iter().map(|since| shape.events.saturating_sub(*since)).collect();
    ends.sort_unstable();
    let (mut from, mut saved) = (0, Vec::new());
    for end in ends {
        workload::fill(&ledger, (from..end).map(|number| shape.event(number)))?;
        from = end;
        ledger.sync_blocking()?;
        ledger.flush_blocking()?;
        let snapshots = fs::read_dir(path.join("snapshots"))?;
        let snapshots = snapshots.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let newest = snapshots.into_iter().max().context("no snapshot was taken")?;
        let kept = aside.join(newest.file_name().context("a name")?);
        fs::copy(&newest, &kept)?;
        saved.insert(0, kept);
    }
    workload::fill(&ledger, (from..shape.events).map(|number| shape.event(number)))?;
    ledger.close_blocking()?;
    Ok(saved)
}

fn clear(place: &Path) -> Result<()> {
    for entry in fs::read_dir(place)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Asks in another process: seconds, and KiB at its peak.
fn asked(path: &Path, question: Question, shape: Shape, round: u32) -> Result<(f64, f64)> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.arg("ask").arg(path).arg(question.word());
    command.args([shape.events, shape.tasks, round.into()].map(|number| number.to_string()));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = || format!("a query said {said}{}", String::from_utf8_lossy(&output.stderr));
    let (seconds, peak) = said.trim().split_once(' ').with_context(words)?;
    Ok((seconds.parse().with_context(words)?, peak.parse().with_context(words)?))
}

/// Threads of 100 events as of random positions, in one process that only reads.
pub(super) fn past(args: &Args) -> Result<Table> {
    let shape = Shape { events: args.past, tasks: args.past / 100 };
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let path = place.path().join("ledger");
    fill(shape, &[0], &path, &place.path().join("aside"))?;
    let ledger = Ledger::open_read_only(&path, Options::default())?;
    let reader = ledger.reader();
    let mut times = Figures::default();
    for view in 0..VIEWS {
        let thread = shape.thread(Threads::Of100, mixed(view))?;
        let at = Position::Log(Size::new(mixed(view + VIEWS) % shape.events + 1));
        let watch = Stopwatch::start();
        as_of(&reader, Scope::Thread(&thread), at)?;
        times.push(watch.stop().seconds());
    }
    let mut table = Table::new(
        "A thread of 100 events as of a random position, read without the lock",
        &["events", "p50", "p99", "goal"],
    );
    let (p50, p99) = (times.median(), times.share(99));
    let called = format!("a past view of a thread of 100, {} events", whole(shape.events));
    let goal = table.judge(called, time(p99), "p99 under 12 ms", p99 < 0.012);
    table.row([whole(shape.events), time(p50), time(p99), goal]);
    Ok(table)
}
