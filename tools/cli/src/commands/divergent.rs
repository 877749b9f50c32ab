//! `taskledger divergent`: what an old primary had recorded, and its successor does not know.

use super::{
    common::{NewFile, tell},
    diff,
};
use crate::{
    app::{App, Opened},
    command,
    exit::{Exit, Problem},
    output::{Item, Out},
    progress, shell,
    table::{Cell, Column},
    term::Look,
};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger, Options,
    event::Entry,
    ids::LedgerId,
    ledger::{Spool, Tail, divergent_beside, tail_key},
};
use taskledger_contract::answers::{At, DivergentItem, RedactionItem, TailBody, short_name};
use taskledger_interop::jsonl::EventLine;

/// Show, export or drop what an old primary had recorded and no other node has.
///
/// When an old primary becomes a standby of the new one, its directory is kept
/// beside the ledger, if there are events in it that the new one does not have:
/// PATH.divergent-EPOCH-FIRST-LAST. Every command that reads can read it, with
/// --db; nothing writes to it.
///
/// Example:
///   taskledger divergent list
///   taskledger divergent show 1-301-303
///   taskledger divergent export 1-301-303 > lost.jsonl
///   taskledger divergent drop 1-301-303 --first 301
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// List the directories that were kept
    List,
    /// Show what is in no other history, by task, and redactions that have to be repeated
    Show {
        /// Which one: EPOCH-FIRST-LAST, or its path; not needed if there is one only
        which: Option<String>,
    },
    /// Write these events as JSON lines; importing them again records none twice
    Export {
        /// Which one
        which: Option<String>,
        /// A new file to write to, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Delete one: its events are in no other place then
    Drop {
        /// Which one
        which: Option<String>,
        /// The number of its first event that is in no other history, to show that this one is meant
        #[arg(long, value_name = "SEQ")]
        first: u64,
    },
}

impl command::Command for Args {
    fn run(&self, app: &mut App) -> Result<Exit> {
        match &self.what {
            What::List => list(app),
            What::Show { which } => show(app, which.as_deref()),
            What::Export { which, out } => export(app, which.as_deref(), out.as_deref()),
            What::Drop { which, first } => drop_one(app, which.as_deref(), *first),
        }
    }
}

/// A directory that was kept, open to be read.
struct Kept {
    path: PathBuf,
    opened: Opened,
    tail: Tail,
}

impl Kept {
    fn open(app: &mut App, path: PathBuf) -> Result<Self> {
        app.db.clone_from(&path);
        let opened = app.open().with_context(|| format!("cannot read {}", path.display()))?;
        let tail = opened.ledger.tail_blocking()?.ok_or_else(|| {
            Problem::finding(format!("{} is not a ledger that was replaced", path.display()))
        })?;
        Ok(Self { path, opened, tail })
    }

    /// The one that is meant of those beside the ledger.
    fn named(app: &mut App, which: Option<&str>) -> Result<Self> {
        let path = meant(divergent_beside(&app.db)?, which)?;
        Self::open(app, path)
    }

    fn ledger(&self) -> LedgerId {
        self.opened.reader.ledger_id()
    }
}

fn meant(mut kept: Vec<PathBuf>, which: Option<&str>) -> Result<PathBuf> {
    const HINT: &str = "`taskledger divergent list` names them";
    let count = kept.len();
    if let Some(which) = which {
        kept.retain(|path| {
            short_name(path) == which || path.file_name() == Path::new(which).file_name()
        });
    }
    match (kept.pop(), count, which) {
        (Some(path), _, _) if kept.is_empty() => Ok(path),
        (_, 0, _) => Err(Problem::not_found("nothing was kept beside this ledger").into()),
        (_, _, Some(which)) => {
            Err(Problem::not_found(format!("no {which:?} beside this ledger")).hint(HINT).into())
        }
        (_, count, None) => {
            Err(Problem::usage(format!("there are {count}: name one")).hint(HINT).into())
        }
    }
}

fn list(app: &mut App) -> Result<Exit> {
    let mut items = Vec::new();
    for path in divergent_beside(&app.db)? {
        let kept = Kept::open(app, path)?;
        items.push(Ok(DivergentItem::new(&kept.path, kept.ledger(), &kept.tail)));
    }
    app.out.list(&At::new(0, app.now()), items)?;
    Ok(Exit::Ok)
}

fn show(app: &mut App, which: Option<&str>) -> Result<Exit> {
    let present = Ledger::open_read_only(&app.db, Options::default()).ok();
    let kept = Kept::named(app, which)?;
    let spooled = Spool::of(&kept.path).waiting()?;
    let body = TailBody::new(
        &kept.path,
        &kept.opened.reader,
        &kept.tail,
        present.map(|ledger| ledger.reader()).as_ref(),
        spooled,
    )?;
    let name = short_name(&kept.path);
    app.out.single(body, Some(&name), human)?;
    Ok(Exit::Ok)
}

fn human(out: &mut Out, body: &TailBody) -> Result<()> {
    let path = out.look.safe(&body.path);
    out.line(&format!("{path}, of ledger {}", body.ledger))?;
    out.line(&format!(
        "{} events, {}, after event #{}, in epoch {}",
        body.events,
        progress::bytes(body.bytes),
        body.common_size,
        body.epoch.as_deref().unwrap_or("none"),
    ))?;
    diff::human(out, &body.changes)?;
    if !body.spawned.is_empty() {
        let ids = out.look.safe(&body.spawned.join(", "));
        out.line(&format!("began here, so that the ledger may use these ids again: {ids}"))?;
    }
    if body.spooled > 0 {
        out.line(&format!("{} batches waited in its spool to be recorded", body.spooled))?;
    }
    let unknown: Vec<_> =
        body.redactions.iter().filter(|redaction| redaction.known != Some(true)).collect();
    if !unknown.is_empty() {
        out.line("the ledger does not know of these redactions; on its primary:")?;
    }
    unknown.iter().try_for_each(|redaction| {
        let command = out.look.safe(&repeated(redaction));
        out.line(&format!("  {command}"))
    })
}

/// The command that repeats a redaction.
fn repeated(redaction: &RedactionItem) -> String {
    let (seq, parts) = (redaction.seq.to_string(), redaction.parts.join(","));
    let reason = if redaction.reason.is_empty() { "redacted before" } else { &redaction.reason };
    shell::line(["taskledger", "redact", &seq, "--part", &parts, "--reason", reason])
}

fn export(app: &mut App, which: Option<&str>, out: Option<&Path>) -> Result<Exit> {
    let kept = Kept::named(app, which)?;
    let Some(path) = out else {
        each(&kept, |line| app.out.raw(line))?;
        return Ok(Exit::Ok);
    };
    let context = || format!("cannot write {}", path.display());
    let place = NewFile::at(path)?;
    let written = place.open().with_context(context)?;
    let mut file = BufWriter::new(written.as_file());
    each(&kept, |line| file.write_all(line).with_context(context))?;
    file.flush().and_then(|()| file.get_ref().sync_all()).with_context(context)?;
    drop(file);
    place.publish(written)?;
    Ok(Exit::Ok)
}

/// Gives each event of the tail as a line, with the key under which it is recorded elsewhere.
fn each(kept: &Kept, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (reader, tail, ledger) = (&kept.opened.reader, &kept.tail, kept.ledger());
    let Some((first, last)) = tail.common.size.next_seq().zip(tail.head.seq()) else {
        return Ok(());
    };
    reader.scan(first, last, |entry: Entry| -> Result<()> {
        let line = EventLine { key: Some(tail_key(ledger, &entry).to_string()), ..(&entry).into() };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        write(&bytes)
    })
}

fn drop_one(app: &mut App, which: Option<&str>, typed: u64) -> Result<Exit> {
    let kept = Kept::named(app, which)?;
    let first = kept.tail.common.size.get().saturating_add(1);
    if typed != first {
        let text = format!("{typed} is not its first event that is in no other history");
        return Err(Problem::usage(text).hint("`taskledger divergent show` tells it").into());
    }
    let (ledger, head, path) = (kept.ledger(), kept.tail.head, kept.path.clone());
    std::mem::drop(kept);
    app.in_turn(&path, |options| Ledger::remove_divergent(&path, &options))?;
    tell(app, "drop", &path, ledger, head)?;
    Ok(Exit::Ok)
}

impl Item for DivergentItem {
    const COLUMNS: &'static [Column] =
        &[Column::new("NAME"), Column::new("EVENTS"), Column::new("PATH").flexible()];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        vec![self.name.clone().into(), self.events.to_string().into(), self.path.clone().into()]
    }
}
