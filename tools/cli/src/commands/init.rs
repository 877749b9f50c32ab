//! `taskledger init`: a new, empty ledger.

use crate::{
    app::{App, Opened},
    exit::Exit,
    json::HeadBody,
};
use anyhow::Result;
use std::path::{Path, PathBuf};
use taskledger::{Ledger, Options, ids::Head, ids::LedgerId};

/// Make a new, empty ledger in the directory that --db names.
///
/// The directory must not exist, or be empty. It will be yours alone (mode 0700).
///
/// Example:
///   taskledger --db ./ledger init
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Makes it.
pub fn run(_: &Args, app: &mut App) -> Result<Exit> {
    let opened = Opened::of(Ledger::create(&app.db, Options::default())?);
    let (ledger, head) = (opened.reader.ledger_id(), opened.reader.head());
    opened.close()?;
    let db = app.db.clone();
    tell(app, "init", &db, ledger, head)?;
    Ok(Exit::Ok)
}

/// Says what has been done to or with which ledger, and where it stands now.
pub fn tell(app: &mut App, done: &str, path: &Path, ledger: LedgerId, head: Head) -> Result<()> {
    tell_kept(app, done, path, ledger, head, &[])
}

/// The same, and what is kept of what was there before.
pub fn tell_kept(
    app: &mut App,
    done: &str,
    path: &Path,
    ledger: LedgerId,
    head: Head,
    set_aside: &[PathBuf],
) -> Result<()> {
    let body = HeadBody {
        done: done.to_owned(),
        path: path.display().to_string(),
        ledger: ledger.to_string(),
        size: head.size,
        root: head.root.to_string(),
        set_aside: set_aside.iter().map(|path| path.display().to_string()).collect(),
    };
    let (quiet, name) = (app.quiet, ledger.to_string());
    app.out.single("taskledger.head/v1", body, Some(&name), |out, body| {
        if quiet {
            return Ok(());
        }
        let path = out.look.safe(&body.path);
        out.line(&format!("{}: {path}", body.done))?;
        out.line(&format!("ledger {}  events {}", body.ledger, body.size))?;
        out.line(&format!("root   {}", body.root))?;
        let kept = body.set_aside.iter().map(|path| out.look.safe(path)).collect::<Vec<_>>();
        kept.iter().try_for_each(|path| out.line(&format!("kept   {path}")))
    })
}
