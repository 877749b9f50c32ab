//! `taskledger rebuild`: the sealed blocks anew, from what was synced.

use crate::{
    app::{App, Opened},
    exit::Exit,
};
use anyhow::{Context as _, Result};
use taskledger::{Ledger, Options};

/// Make the sealed blocks anew from archive and journal.
///
/// Everything is held against every root. For a ledger whose sealed blocks are damaged, cut or gone: every event comes back, with the
/// same root. The old blocks stay in use until the new ones are whole.
///
/// Example:
///   taskledger rebuild && taskledger verify
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Makes them.
pub fn run(_: &Args, app: &mut App) -> Result<Exit> {
    let head = Ledger::rebuild(&app.db, &Options::default())?;
    let opened = Opened::of(Ledger::open(&app.db, Options::default()).context("after rebuilding")?);
    let ledger = opened.reader.ledger_id();
    opened.close()?;
    let db = app.db.clone();
    super::init::tell(app, "rebuild", &db, ledger, head)?;
    Ok(Exit::Ok)
}
