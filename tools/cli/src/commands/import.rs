//! `taskledger import`: recordings of agents, brought into the ledger.

use crate::{
    app::{App, Opened},
    command::Command,
    exit::{Exit, Problem},
    output::Item,
    paint::Paint,
    progress::{Shown, Unit},
    table::{Cell, Column},
    term::Look,
};
use anyhow::{Context as _, Result};
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use std::{collections::BTreeSet, fs, io, path::PathBuf};
use taskledger::{Ledger, Options, ids::ThreadId, ledger::OpenError};
use taskledger_contract::answers::{At, BadLineItem, ImportItem, RefusalItem, count};
use taskledger_interop::{
    self as interop, Dataset, Grain, LedgerSink, Phase, Progress, ReadOptions, Recording, Spooled,
    Tally,
};

/// Bring recordings of agents into the ledger.
///
/// A recording is a file, a file with the folder of the same name beside it, or a folder of those;
/// `-` reads standard input. The ledger is made if it is not there. Importing again adds nothing;
/// importing a longer recording of the same session adds what is new; an interrupted import is
/// completed by the next. A broken line is reported with its file and number, and skipped; the
/// command then ends with 6.
///
/// Example:
///   taskledger import auto ~/.claude/projects/my-project
///   taskledger import jsonl - < export.jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The recordings' format
    #[arg(value_parser = FormatArg::parser())]
    format: FormatArg,
    /// Files or folders; - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The thread that owns every task, instead of the one that the recording names
    #[arg(long)]
    thread: Option<ThreadId>,
    /// How fine recordings of spans are read
    #[arg(long, default_value = "spawn")]
    grain: GrainArg,
    /// Write nothing; say what would be written
    #[arg(long)]
    dry_run: bool,
    /// What to do about a line that cannot be used
    #[arg(long, default_value = "skip")]
    on_error: OnError,
}

/// The format to read as; none for whatever each file looks like.
#[derive(Debug, Clone, Copy)]
struct FormatArg(Option<interop::Format>);

impl FormatArg {
    /// `auto`, and every format of the table.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let auto = PossibleValue::new("auto").help("Whatever each file looks like");
        let named = interop::IMPORTERS
            .map(|importer| PossibleValue::new(importer.id()).help(importer.about()));
        PossibleValuesParser::new(std::iter::once(auto).chain(named))
            .map(|name| Self(name.parse().ok()))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GrainArg {
    /// Agents and runs
    Spawn,
    /// Those and tool calls
    Tool,
    /// Every span
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// Report it, and go on
    Skip,
    /// Write nothing at all
    Fail,
}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        run(self, app)
    }
}

/// Imports them.
fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let piped = args.paths.iter().any(|path| path.as_os_str() == "-");
    let spooled = piped.then(|| Spooled::new(io::stdin().lock())).transpose();
    let spooled = spooled.context("cannot read standard input")?;
    // All is read before the ledger is made: what cannot be read leaves nothing behind.
    let (datasets, mut left_out) = datasets(args, app, spooled.as_ref())?;
    let read = |dataset| read(args, app, dataset);
    let recordings: Vec<(String, Recording)> = datasets.iter().map(read).collect::<Result<_>>()?;
    let opened = open(args, app)?;
    let mut items = Vec::new();
    for (path, recording) in recordings {
        left_out |= nothing_recognised(app, &path, &recording);
        items.push(import(args, app, &opened, path, recording)?);
    }
    let at = At::head(&opened.reader);
    opened.close();
    left_out |= items.iter().any(|item| item.malformed > 0 || item.refused > 0);
    if !app.quiet || app.out.for_programs() {
        app.out.list(&at, items.into_iter().map(Ok))?;
    }
    Ok(if left_out { Exit::Refused } else { Exit::Ok })
}

/// A recording of which no record says anything is most likely none of that format.
fn nothing_recognised(app: &App, path: &str, recording: &Recording) -> bool {
    let nothing =
        recording.tally.records > 0 && recording.is_empty() && recording.threads.is_empty();
    if nothing {
        let (records, format) = (recording.tally.records, recording.format);
        app.remark(&format!("{path}: nothing recognised in {records} records read as {format}"));
    }
    nothing
}

/// The recordings, and whether a path was left out because it holds none.
fn datasets(args: &Args, app: &App, spooled: Option<&Spooled>) -> Result<(Vec<Dataset>, bool)> {
    let format = args.format.0;
    let paths = args.paths.iter().filter(|path| path.as_os_str() != "-");
    let (mut datasets, mut failures, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for path in paths {
        match interop::find(std::slice::from_ref(path), format) {
            // `session*` names a session and its folder: one recording.
            Ok(found) => datasets.extend(found.into_iter().filter(|dataset| {
                let main = dataset.inputs.first();
                let main = main.and_then(|input| fs::canonicalize(&input.path).ok());
                main.is_none_or(|main| seen.insert(main))
            })),
            Err(error) => failures.push(error),
        }
    }
    if let Some(spooled) = spooled {
        datasets.push(spooled.dataset(format)?);
    }
    let left_out = !failures.is_empty();
    let fatal = args.on_error == OnError::Fail || datasets.is_empty();
    for error in failures {
        if fatal {
            return Err(error.into());
        }
        app.remark(&format!("left out: {:#}", anyhow::Error::from(error)));
    }
    Ok((datasets, left_out))
}

/// The ledger to import to; a dry run into one that is not there happens in memory.
fn open(args: &Args, app: &App) -> Result<Opened> {
    match Ledger::open(&app.db, Options::default()) {
        Err(OpenError::NotFound { .. }) if args.dry_run => {
            Ok(Opened::of(Ledger::in_memory(Options::default())?))
        }
        Err(OpenError::NotFound { .. }) => {
            let opened = Opened::of(Ledger::create(&app.db, Options::default())?);
            app.remark(&format!("made a new ledger at {}", app.db.display()));
            Ok(opened)
        }
        opened => Ok(Opened::of(opened?)),
    }
}

/// Reads a recording, and answers with what it is called.
fn read(args: &Args, app: &App, dataset: &Dataset) -> Result<(String, Recording)> {
    let options = ReadOptions {
        thread: args.thread.clone(),
        grain: match args.grain {
            GrainArg::Spawn => Grain::Spawn,
            GrainArg::Tool => Grain::Tool,
            GrainArg::All => Grain::All,
        },
        ..ReadOptions::default()
    };
    let path = dataset.inputs.first().map(|input| input.shown.clone()).unwrap_or_default();
    let recording = {
        let shown = app.progress.start("reading", Unit::Bytes);
        let mut tell = teller(&shown, Phase::Reading);
        interop::read(dataset, &options, &mut tell)
            .with_context(|| format!("cannot import {path}"))?
    };
    tell_bad_lines(app, &recording.tally);
    if args.on_error == OnError::Fail && recording.tally.malformed > 0 {
        let first = recording.tally.bad_lines.first().map(ToString::to_string).unwrap_or_default();
        let lines = recording.tally.malformed;
        return Err(Problem::refused(format!("{lines} lines of {path} cannot be used; {first}"))
            .hint("nothing was written; --on-error skip leaves such lines out")
            .into());
    }
    Ok((path, recording))
}

fn import(
    args: &Args,
    app: &App,
    opened: &Opened,
    path: String,
    recording: Recording,
) -> Result<ImportItem> {
    let report = {
        let shown = app.progress.start("importing", Unit::Events);
        let mut tell = teller(&shown, Phase::Appending);
        let mut sink = LedgerSink::new(&opened.ledger);
        interop::import(&mut sink, &recording, args.dry_run, &mut tell)
            .with_context(|| format!("cannot import {path}"))?
    };
    for refusal in &report.refusals {
        let task = refusal.task.as_ref().map(|task| format!("task {task}: ")).unwrap_or_default();
        app.remark(&format!("{path}: {task}{}", refusal.why));
    }
    Ok(item(path, args.dry_run, recording, report))
}

fn teller(shown: &Shown, phase: Phase) -> impl FnMut(Progress) + '_ {
    move |progress| {
        if progress.phase == phase {
            shown.set(progress.done, progress.total);
        }
    }
}

fn tell_bad_lines(app: &App, tally: &Tally) {
    for line in &tally.bad_lines {
        app.remark(&line.to_string());
    }
    let kept = count(tally.bad_lines.len());
    if tally.malformed > kept {
        app.remark(&format!("and {} lines more", tally.malformed - kept));
    }
    if app.verbose > 0 {
        for (kind, count) in &tally.unknown {
            app.remark(&format!("{count} records of unknown type {kind}"));
        }
    }
}

fn item(path: String, dry_run: bool, recording: Recording, report: interop::Report) -> ImportItem {
    let tally = recording.tally;
    let bad_lines = tally.bad_lines.into_iter();
    let refusals = report.refusals.into_iter();
    ImportItem {
        path,
        format: recording.format.to_string(),
        dry_run,
        threads: recording.threads.iter().map(ToString::to_string).collect(),
        records: tally.records,
        appended: report.appended,
        tasks: report.tasks,
        present: report.present,
        refused: report.refused,
        malformed: tally.malformed,
        skipped: tally.skipped,
        unknown: tally.unknown,
        bad_lines: bad_lines
            .map(|bad| BadLineItem { file: bad.file, line: bad.line, why: bad.why })
            .collect(),
        refusals: refusals
            .map(|refused| RefusalItem {
                task_id: refused.task.as_ref().map(ToString::to_string),
                why: refused.why,
            })
            .collect(),
    }
}

impl Item for ImportItem {
    const COLUMNS: &'static [Column] = &[
        Column::new("RECORDING").flexible(),
        Column::new("FORMAT"),
        Column::new("THREADS").right().spare(2),
        Column::new("RECORDS").right().spare(1),
        Column::new("NEW TASKS").right(),
        Column::new("APPENDED").right(),
        Column::new("PRESENT").right(),
        Column::new("REFUSED").right(),
        Column::new("BAD LINES").right(),
        Column::new("SKIPPED").right().wide(),
    ];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        let bad =
            |count: u64| Cell { text: count.to_string(), paint: (count > 0).then_some(Paint::Bad) };
        vec![
            self.path.clone().into(),
            self.format.clone().into(),
            self.threads.len().to_string().into(),
            self.records.to_string().into(),
            self.tasks.to_string().into(),
            self.appended.to_string().into(),
            self.present.to_string().into(),
            bad(self.refused),
            bad(self.malformed),
            self.skipped.to_string().into(),
        ]
    }
}
