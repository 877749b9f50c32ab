//! `taskledger rebuild`: the sealed blocks anew, from what was synced.

use super::common::tell_kept;
use crate::{
    app::{App, Opened},
    command::Command,
    exit::Exit,
    progress::{self, Unit},
};
use anyhow::{Context as _, Result};
use std::{fs, path::Path};
use taskledger::{Ledger, ledger::Rebuilt};

/// Make damaged files anew from the others.
///
/// The sealed blocks are made anew from archive and journal; archives that are
/// damaged or gone, from the sealed blocks; snapshots that are of no use make way
/// for a new one. Everything is held against every root: every event comes back,
/// with the same root, or nothing is changed. The old files stay in use until the
/// new ones are whole, and are then kept in the ledger's quarantine/, and named:
/// they may know of events that archive and journal have lost. Delete them once
/// `verify` is sound and you miss nothing; `purge` deletes them too.
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
            app.in_turn(&app.db, |options| Ledger::rebuild(&app.db, &options, &mut tell))?
        };
        let opened = Opened::of(Ledger::open(&app.db, app.options()).context("after rebuilding")?);
        let ledger = opened.reader.ledger_id();
        // A snapshot of now, in the place of those that were of no use.
        if let Err(error) = opened.ledger.flush_blocking() {
            app.remark(&format!("warning: no snapshot could be taken: {error}"));
        }
        opened.close();
        let db = app.db.clone();
        tell_kept(app, "rebuild", &db, ledger, head, &set_aside)?;
        if !set_aside.is_empty() {
            app.remark(&format!(
                "what was there before is kept in quarantine/, {}; nothing reads it: delete it once \
                 `taskledger verify` is sound and you miss no event",
                progress::bytes(set_aside.iter().map(|path| size_of(path)).sum()),
            ));
        }
        Ok(Exit::Ok)
    }
}

/// The bytes of a file, or of all files in a directory; what cannot be read does not count.
fn size_of(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}
