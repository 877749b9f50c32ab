//! `taskledger backup`: the whole history in one file.

use super::common::tell;
use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    progress::{self, Unit},
};
use anyhow::{Context as _, Result};
#[cfg(unix)]
use std::fs;
use std::path::PathBuf;
use std::{io, path::Path};
use taskledger::ledger::verify_backup;

/// Write the whole history and its checkpoint to one new file, and read it back.
///
/// Redacted texts are left out. `taskledger restore` makes a ledger of it.
///
/// Example:
///   taskledger backup ./monday.backup
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The file to write; it must not exist
    file: PathBuf,
}

/// It holds what the ledger holds, which nobody else may read.
#[cfg(unix)]
fn private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it writes the whole log; `taskledger fork --at` copies a part of it")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let info = {
            let shown = app.progress.start("backing up", Unit::Events);
            let mut tell = |done, total| shown.set(done, total);
            opened
                .reader
                .backup(&self.file, &mut tell)
                .with_context(|| format!("cannot back up to {}", self.file.display()))?
        };
        private(&self.file).with_context(|| format!("cannot protect {}", self.file.display()))?;
        {
            let shown = app.progress.start("reading it back", Unit::Events);
            verify_backup(&self.file, &mut |done, total| shown.set(done, total))
                .with_context(|| format!("{} is not what was written", self.file.display()))?;
        }
        let head = info.checkpoint.head();
        tell(app, "backup", &self.file, info.checkpoint.ledger, head)?;
        app.remark(&format!("{} of events", progress::bytes(info.bytes)));
        Ok(Exit::Ok)
    }
}
