//! `taskledger rebuild`: the sealed blocks anew, from what was synced.

use super::common::tell_kept;
use crate::{
    app::{App, Opened},
    command::Command,
    exit::Exit,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use taskledger::{Ledger, ledger::Rebuilt};

/// Make the sealed blocks anew from archive and journal.
///
/// Everything is held against every root. For a ledger whose sealed blocks are damaged, cut or
/// gone: every event comes back, with the same root. The old blocks stay in use until the new ones
/// are whole, and are then kept in the ledger's quarantine/, whose files are named: they may know of
/// events that archive and journal have lost. Delete them when you miss nothing.
///
/// Example:
///   taskledger rebuild && taskledger verify
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let Rebuilt { head, set_aside } = {
            let shown = app.progress.start("rebuilding", Unit::Events);
            let mut tell = |done, total| shown.set(done, total);
            app.in_turn(Ledger::rebuild(&app.db, &app.options(), &mut tell))?
        };
        let opened = Opened::of(Ledger::open(&app.db, app.options()).context("after rebuilding")?);
        let ledger = opened.reader.ledger_id();
        opened.close();
        let db = app.db.clone();
        tell_kept(app, "rebuild", &db, ledger, head, &set_aside)?;
        if !set_aside.is_empty() {
            app.remark("what was there before is kept; delete it when you miss nothing");
        }
        Ok(Exit::Ok)
    }
}
