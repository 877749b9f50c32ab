//! `taskledger import`: recordings of agents, brought into the ledger.

use crate::{
    app::{App, Opened},
    command::Command,
    exit::{Exit, Problem},
    output::Item,
    paint::Paint,
    progress::{Shown, Unit},
    remote::{Remote, Unsent, new_key, server_of},
    table::{Cell, Column},
    term::Look,
    writing::Beside,
};
use anyhow::{Context as _, Error, Result};
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use std::{io, path::PathBuf};
use taskledger::{
    Ledger, Options,
    command::Proposal,
    ids::{Size, ThreadId},
    ledger::OpenError,
};
use taskledger_contract::answers::{At, BadLineItem, ImportItem, RefusalItem, count};
use taskledger_interop::{
    self as interop, Dataset, Found, Grain, LedgerSink, Phase, Progress, ReadOptions, Recording,
    SinkError, Spooled, Tally,
};

/// Bring recordings of agents into the ledger.
///
/// A recording is a file, a file with the folder of the same name beside it, or a
/// folder of those; `-` reads standard input. The ledger is made if it is not
/// there. Importing again adds nothing; importing a longer recording of the same
/// session adds what is new; an interrupted import is completed by the next. A
/// broken line is reported with its file and number, and skipped; the command then
/// ends with 6.
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
    let (recordings, unread) = read(args, app, &datasets)?;
    left_out |= unread;
    let place = open(args, app)?;
    let items = import_all(args, app, &place, recordings, &mut left_out)?;
    let at = At::head(&place.ledger().reader())?;
    if let Place::Here(opened) = place {
        opened.close();
    }
    left_out |= items.iter().any(|item| item.malformed > 0 || item.refused > 0);
    if !app.quiet || app.out.for_programs() {
        app.out.list(&at, items.into_iter().map(Ok))?;
    }
    Ok(if left_out { Exit::Refused } else { Exit::Ok })
}

/// Imports them, copies after what they are copies of; the answers stand in the order in which the
/// recordings were found.
fn import_all(
    args: &Args,
    app: &App,
    place: &Place,
    recordings: Vec<(String, Recording)>,
    left_out: &mut bool,
) -> Result<Vec<ImportItem>> {
    let mut ranked: Vec<(usize, (String, Recording))> =
        recordings.into_iter().enumerate().collect();
    ranked.sort_by_key(|(place, (_, recording))| (recording.rank, *place));
    let mut sink = place.sink()?;
    let mut items = Vec::new();
    for (place, (path, recording)) in ranked {
        *left_out |= nothing_recognised(app, &path, &recording);
        items.push((place, import(args, app, &mut sink, path, recording)?));
    }
    items.sort_by_key(|(place, _)| *place);
    Ok(items.into_iter().map(|(_, item)| item).collect())
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

/// The recordings, and whether anything was left out.
fn datasets(args: &Args, app: &App, spooled: Option<&Spooled>) -> Result<(Vec<Dataset>, bool)> {
    let format = args.format.0;
    let paths: Vec<PathBuf> =
        args.paths.iter().filter(|path| path.as_os_str() != "-").cloned().collect();
    let Found { mut datasets, failed, passed } = interop::look(&paths, format);
    if let Some(spooled) = spooled {
        datasets.push(spooled.dataset(format)?);
    }
    let left_out = !failed.is_empty() || !passed.is_empty();
    let fatal = args.on_error == OnError::Fail || datasets.is_empty();
    for error in failed {
        if fatal {
            return Err(error.into());
        }
        app.remark(&format!("left out: {:#}", Error::from(error)));
    }
    for error in passed {
        if args.on_error == OnError::Fail {
            return Err(error.into());
        }
        app.remark(&format!("passed over: {:#}", Error::from(error)));
    }
    Ok((datasets, left_out))
}

/// The ledger to import to; a dry run into one that is not there happens in memory.
fn open(args: &Args, app: &App) -> Result<Place> {
    // One that takes no connection now may do so in time.
    if !matches!(server_of(&app.db), Ok(None)) {
        return Ok(Place::Beside(Beside::open(app)?));
    }
    let open = |options| match Ledger::open(&app.db, options) {
        Err(OpenError::NotFound { .. }) if args.dry_run => Ledger::in_memory(Options::default()),
        Err(OpenError::NotFound { .. }) => {
            let made = Ledger::create(&app.db, Options::default())?;
            app.remark(&format!("made a new ledger at {}", app.db.display()));
            Ok(made)
        }
        opened => opened,
    };
    let opened = Opened::of(app.in_turn(&app.db, open)?);
    Ok(Place::Here(opened))
}

/// The ledger to import to.
enum Place {
    /// It is open here.
    Here(Opened),
    /// A server has it.
    Beside(Beside),
}

impl Place {
    fn ledger(&self) -> &Ledger {
        match self {
            Self::Here(opened) => &opened.ledger,
            Self::Beside(beside) => beside.ledger(),
        }
    }

    fn sink(&self) -> Result<LedgerSink<'_>> {
        let beside = match self {
            Self::Here(opened) => return Ok(LedgerSink::new(&opened.ledger)?),
            Self::Beside(beside) => beside,
        };
        let append = move |batch: Vec<Proposal>| through(beside, &batch).map_err(of_server);
        Ok(LedgerSink::through(beside.ledger(), Box::new(append))?)
    }
}

/// Has the server record a batch, and waits until it is shown here.
fn through(beside: &Beside, batch: &[Proposal]) -> Result<()> {
    let mut keyed = batch.to_vec();
    for proposal in &mut keyed {
        proposal.key.get_or_insert_with(new_key);
    }
    let gone = || Unsent::Stuck("the server that has the ledger has stopped".to_owned());
    let receipts = beside.send(&keyed, Remote::import)?.ok_or_else(gone)?;
    let last = receipts.iter().map(|receipt| receipt.seq).max().unwrap_or_default();
    beside.see(Size::new(last))
}

/// The same as the ledger's own error: what a rule refuses is left out, and all else ends the import.
fn of_server(error: Error) -> SinkError {
    match error.downcast::<Unsent>() {
        Ok(unsent) if unsent.is_rule() => SinkError::Refused(unsent.into()),
        Ok(unsent) => SinkError::Failed(unsent.into()),
        Err(error) => SinkError::Failed(error.reallocate_into_boxed_dyn_error_without_backtrace()),
    }
}

/// Reads the recordings, each with what it is called; and whether one could not be read.
fn read(args: &Args, app: &App, datasets: &[Dataset]) -> Result<(Vec<(String, Recording)>, bool)> {
    let options = ReadOptions {
        thread: args.thread.clone(),
        grain: match args.grain {
            GrainArg::Spawn => Grain::Spawn,
            GrainArg::Tool => Grain::Tool,
            GrainArg::All => Grain::All,
        },
        ..ReadOptions::default()
    };
    let read = {
        let shown = app.progress.start("reading", Unit::Bytes);
        interop::read_all(datasets, &options, &mut teller(&shown, Phase::Reading))
    };
    let (mut recordings, mut unread) = (Vec::new(), false);
    for (dataset, recording) in datasets.iter().zip(read) {
        let path = dataset.inputs.first().map(|input| input.shown.clone()).unwrap_or_default();
        let recording = match recording.with_context(|| format!("cannot import {path}")) {
            Ok(recording) => recording,
            Err(error) if datasets.len() == 1 || args.on_error == OnError::Fail => {
                return Err(error);
            }
            Err(error) => {
                app.remark(&format!("left out: {error:#}"));
                unread = true;
                continue;
            }
        };
        tell_bad_lines(app, &recording.tally);
        if args.on_error == OnError::Fail && recording.tally.malformed > 0 {
            return Err(unusable(&path, &recording.tally).into());
        }
        recordings.push((path, recording));
    }
    Ok((recordings, unread))
}

fn unusable(path: &str, tally: &Tally) -> Problem {
    let first = tally.bad_lines.first().map(ToString::to_string).unwrap_or_default();
    let lines = tally.malformed;
    Problem::refused(format!("{lines} lines of {path} cannot be used; {first}"))
        .hint("nothing was written; --on-error skip leaves such lines out")
}

fn import(
    args: &Args,
    app: &App,
    sink: &mut LedgerSink<'_>,
    path: String,
    mut recording: Recording,
) -> Result<ImportItem> {
    let report = {
        let shown = app.progress.start("importing", Unit::Events);
        let mut tell = teller(&shown, Phase::Appending);
        interop::import(sink, &recording, args.dry_run, &mut tell)
            .with_context(|| format!("cannot import {path}"))?
    };
    let more = report.copies.iter().filter(|thread| !recording.copies.contains(thread));
    let more: Vec<ThreadId> = more.cloned().collect();
    recording.copies.extend(more);
    if !recording.copies.is_empty() {
        let threads: Vec<&str> = recording.copies.iter().map(ThreadId::as_str).collect();
        app.remark(&format!("{path}: a copy of {}, to which it adds", threads.join(", ")));
    }
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
        copy_of: recording.copies.iter().map(ToString::to_string).collect(),
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
