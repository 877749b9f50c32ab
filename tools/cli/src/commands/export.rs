//! `taskledger export`: the history in another format.

use super::common::each;
use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};
use taskledger::{
    ids::ThreadId,
    query::{History, Scope},
};
use taskledger_interop::jsonl;

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
    format: FormatArg,
    /// Of this thread only
    #[arg(long)]
    thread: Option<ThreadId>,
    /// A new file to write to, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// Events of a ledger
    Jsonl,
}

/// A new file that nobody else can read: it holds what the ledger holds.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let FormatArg::Jsonl = self.format;
        let opened = app.open()?;
        let wanted = History {
            scope: self.thread.as_ref().map_or(Scope::All, Scope::Thread),
            upto: Some(app.position(&opened.reader)?),
            ..History::default()
        };
        let Some(path) = &self.out else {
            let out = &mut app.out;
            each(
                &opened.reader,
                &wanted,
                |_| true,
                |entry| {
                    let mut line = Vec::new();
                    jsonl::write_event(&mut line, &entry)?;
                    out.raw(&line)
                },
            )?;
            return Ok(Exit::Ok);
        };
        let context = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(private(path).with_context(context)?);
        let total = opened.reader.head().size;
        let shown = app.progress.start("exporting", Unit::Events);
        each(
            &opened.reader,
            &wanted,
            |_| true,
            |entry| {
                shown.set(entry.event.seq.get(), total);
                jsonl::write_event(&mut file, &entry).with_context(context)
            },
        )?;
        file.flush().and_then(|()| file.get_ref().sync_all()).with_context(context)?;
        Ok(Exit::Ok)
    }
}
