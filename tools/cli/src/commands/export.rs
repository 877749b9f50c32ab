//! `taskledger export`: the history in another format.

use super::common::{NewFile, each};
use crate::{
    app::App,
    command::{Command, Moment},
    exit::{Exit, FORGED, Problem, into_io},
    interrupt,
    output::Out,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};
use taskledger::{
    event::Entry,
    ids::ThreadId,
    query::{History, Scope},
};
use taskledger_interop::{self as interop, Exporter};

/// Write events, one JSON document on each line, up to the moment that --at names.
///
/// `taskledger import jsonl` reads them. Redacted texts are left out.
///
/// Example:
///   taskledger export jsonl > history.jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The format
    #[arg(value_parser = FormatArg::parser())]
    format: FormatArg,
    /// Of this thread only
    #[arg(long)]
    thread: Option<ThreadId>,
    /// A new file to write to, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The format to write.
#[derive(Debug, Clone, Copy)]
struct FormatArg(&'static dyn Exporter);

impl FormatArg {
    /// Every format of the table.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let named = interop::EXPORTERS
            .map(|exporter| PossibleValue::new(exporter.id()).help(exporter.about()));
        PossibleValuesParser::new(named).try_map(|name| {
            let known = interop::EXPORTERS.into_iter().find(|exporter| exporter.id() == name);
            known.map(Self).ok_or("not a format that can be written")
        })
    }
}

/// Standard output, as a document writes to it.
struct Stdout<'a>(&'a mut Out);

impl io::Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.raw(bytes).map(|()| bytes.len());
        written.map_err(into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails if a text of the event is not what was recorded: an export would be a copy without it.
fn recorded(entry: &Entry) -> Result<()> {
    let Some(kind) = entry.withheld.iter().next() else { return Ok(()) };
    let text =
        format!("the {} of event {} is not what was recorded", kind.as_str(), entry.event.seq);
    Err(Problem::finding(text).hint(FORGED).into())
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let wanted = History::default()
            .scope(self.thread.as_ref().map_or(Scope::All, Scope::Thread))
            .upto(app.position(&opened.reader)?);
        let Some(path) = &self.out else {
            let mut out = Stdout(&mut app.out);
            let mut document = self.format.0.write(&mut out);
            each(
                &opened.reader,
                &wanted,
                |_| true,
                |entry| {
                    interrupt::check()?;
                    recorded(&entry)?;
                    Ok(document.event(&entry)?)
                },
            )?;
            document.finish()?;
            return Ok(Exit::Ok);
        };
        let context = || format!("cannot write {}", path.display());
        let place = NewFile::at(path)?;
        let written = place.open().with_context(context)?;
        let mut file = BufWriter::new(written.as_file());
        let total = opened.reader.head().size;
        let shown = app.progress.start("exporting", Unit::Events);
        let mut document = self.format.0.write(&mut file);
        each(
            &opened.reader,
            &wanted,
            |_| true,
            |entry| {
                shown.set(entry.event.seq.get(), total.get());
                recorded(&entry)?;
                document.event(&entry).with_context(context)
            },
        )?;
        document.finish().with_context(context)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).with_context(context)?;
        drop(file);
        place.publish(written)?;
        Ok(Exit::Ok)
    }
}
