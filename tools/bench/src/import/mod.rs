//! The import of a large recording: parsed, and parsed and appended. Start reading at [`measure`].

mod recording;

use crate::{
    figures::{Figures, count, float, time, whole},
    report::{Report, Table},
    stopwatch::Stopwatch,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use taskledger::{Ledger, Options, ids::Seq};
use taskledger_interop::{self as interop, LedgerSink, ReadOptions, Recording, jsonl};

/// Megabytes a second that are to be parsed.
const GOAL: f64 = 100.0;

/// How large, how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Megabytes (of a million bytes) of the recording.
    #[arg(long, default_value_t = 200)]
    pub(crate) mib: u64,
    /// Times that it is parsed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
}

/// A recording, and what parsing it took.
struct Parsed {
    what: &'static str,
    bytes: u64,
    events: usize,
    seconds: Figures,
    /// Parsing and appending, once.
    imported: f64,
}

/// Measures a transcript and what exporting the ledger that it became gives: a section of the
/// report.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    eprintln!("import: make a recording of {} MB", args.mib);
    let transcript = place.path().join("session.jsonl");
    let agents = recording::write(&transcript, args.mib * 1_000_000)?;
    let ledger = place.path().join("ledger");
    let first = measured("transcript of Claude Code", &transcript, &ledger, args.rounds)?;
    ensure!(
        u64::try_from(first.events)? == 2 * agents,
        "{agents} agents gave {} events instead of a spawn and an end each",
        first.events
    );
    fs::remove_file(&transcript)?;
    let export = place.path().join("export.jsonl");
    exported(&ledger, &export, args.mib * 1_000_000)?;
    let second =
        measured("events as `export jsonl`", &export, &place.path().join("copy"), args.rounds)?;
    let how = format!(
        "{} rounds of parsing alone; the import is parsing and durable appends in batches, once. The \
         recording is made, in the shapes of real ones.",
        args.rounds
    );
    report.section("import", &how, &[table(&[first, second])])
}

fn measured(what: &'static str, path: &Path, ledger: &Path, rounds: u32) -> Result<Parsed> {
    let (bytes, mut seconds) = (fs::metadata(path)?.len(), Figures::default());
    let mut events = 0;
    for round in 1..=rounds {
        eprintln!("import: {what}, round {round} of {rounds}");
        let watch = Stopwatch::start();
        let recording = parse(path)?;
        seconds.push(watch.stop().seconds());
        ensure!(recording.tally.malformed == 0, "the recording has broken lines");
        events = recording.len();
    }
    let watch = Stopwatch::start();
    let recording = parse(path)?;
    let ledger = Ledger::create(ledger, Options::default())?;
    let report = interop::import(&mut LedgerSink::new(&ledger)?, &recording, false, &mut |_| {})?;
    let imported = watch.stop().seconds();
    let first = report.refusals.first();
    ensure!(report.refused == 0, "{} proposals were refused: {first:?}", report.refused);
    ledger.close_blocking()?;
    Ok(Parsed { what, bytes, events, seconds, imported })
}

fn parse(path: &Path) -> Result<Recording> {
    let datasets = interop::find(&[PathBuf::from(path)], None)?;
    let dataset = datasets.first().context("nothing is recognised")?;
    Ok(interop::read(dataset, &ReadOptions::default(), &mut |_| {})?)
}

/// Writes the events of a ledger, again and again with other ids, until there are so many bytes.
fn exported(ledger: &Path, path: &Path, bytes: u64) -> Result<()> {
    let ledger = Ledger::open(ledger, Options::default())?;
    let (reader, mut file) = (ledger.reader(), BufWriter::new(File::create(path)?));
    let (mut written, mut copy) = (0_u64, 0_u64);
    while written < bytes {
        let mut outcome = Ok(());
        reader.scan(Seq::FIRST, reader.head().seq().context("it is empty")?, |entry| {
            let mut line = Vec::new();
            outcome = jsonl::write_event(&mut line, &entry).and_then(|()| {
                let line = renamed(&String::from_utf8_lossy(&line), copy);
                written += u64::try_from(line.len()).unwrap_or(0);
                file.write_all(line.as_bytes())
            });
            if outcome.is_ok() && written < bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        outcome?;
        copy += 1;
    }
    file.flush()?;
    ledger.close_blocking()?;
    Ok(())
}

/// The line of an event as that of another copy of it, whose ids and keys nobody else has.
fn renamed(line: &str, copy: u64) -> String {
    let line = line.replace("toolu_", &format!("toolu_{copy}_"));
    match line.split_once(r#""key":""#) {
        Some((before, after)) => {
            let rest = after.get(8..).unwrap_or_default();
            format!(r#"{before}"key":"{copy:08x}{rest}"#)
        }
        None => line,
    }
}

fn table(all: &[Parsed]) -> Table {
    let mut table = Table::new(
        "Import of a recording",
        &["recording", "MB", "events", "parsed, MB/s", "range", "goal", "import", "events/s"],
    );
    for parsed in all {
        let megabytes = float(parsed.bytes) / 1e6;
        let rates = parsed.seconds.map(|seconds| megabytes / seconds);
        let figure = format!("{} MB/s", count(rates.median()));
        let what = format!("import of a {megabytes:.0} MB recording: {}", parsed.what);
        let goal = table.judge(what, figure, "100 MB/s parsed", rates.median() >= GOAL);
        let events = u64::try_from(parsed.events).unwrap_or(u64::MAX);
        table.row([
            parsed.what.to_owned(),
            format!("{megabytes:.0}"),
            whole(events),
            count(rates.median()),
            rates.span(count),
            goal,
            time(parsed.imported),
            count(float(events) / parsed.imported),
        ]);
    }
    table
}
