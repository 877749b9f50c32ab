//! `taskledger restore`: a new ledger of a backup file.

use super::common::{readable, tell};
use crate::{
    app::{self, App, Opened},
    command::Command,
    exit::Exit,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use taskledger::Ledger;

/// Make a new ledger of a backup file.
///
/// The whole file is held against its checkpoint before anything is created. One
/// that was interrupted is no ledger; making it again in the same place clears it
/// away.
///
/// Example:
///   taskledger restore ./monday.backup ./restored
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The backup file
    file: PathBuf,
    /// Let the group of the directory read it (modes 0750 and 0640)
    #[arg(long)]
    group_read: bool,
    /// The new ledger's directory
    #[arg(value_name = "NEW-PATH")]
    path: PathBuf,
}

impl Command for Args {
    fn run(&self, app: &mut App) -> Result<Exit> {
        let copy = {
            let shown = app.progress.start("restoring", Unit::Events);
            let (path, mut tell) = (app::plain(&self.path), |done, total| shown.set(done, total));
            let options = readable(self.group_read);
            Ledger::restore_blocking(&self.file, path, options, &mut tell)
                .with_context(|| format!("cannot restore {}", self.file.display()))?
        };
        let copy = Opened::of(copy);
        let (ledger, head) = (copy.reader.ledger_id(), copy.reader.head());
        copy.close();
        tell(app, "restore", &self.path, ledger, head)?;
        Ok(Exit::Ok)
    }
}
