//! `taskledger backup`: the whole history in one file.

use super::common::{NewFile, tell};
use crate::{
    app::{self, App, Opened},
    command::{Command, Moment},
    exit::Exit,
    progress::{self, Unit},
};
use anyhow::{Context as _, Result};
use std::{io, path::PathBuf};
use taskledger::ledger::{BackupInfo, verify_backup};
use tempfile::NamedTempFile;

/// Write the whole history and its checkpoint to one new file, and read it back.
///
/// Redacted texts are left out. `taskledger restore` makes a ledger of it.
///
/// Example:
///   taskledger backup ./monday.backup
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Take all that can be read, also what only the sealed blocks still have; for a damaged ledger
    #[arg(long)]
    from_sealed: bool,
    /// The file to write; it must not exist
    file: PathBuf,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it writes the whole log; `taskledger fork --at` copies a part of it")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open_to_copy(self.from_sealed)?;
        let place = NewFile::at(&self.file)?;
        let written = {
            let shown = app.progress.start("backing up", Unit::Events);
            write(&opened, &place, &mut |done, total| shown.set(done, total))
                .with_context(|| format!("cannot back up to {}", self.file.display()))?
        };
        {
            let shown = app.progress.start("reading it back", Unit::Events);
            verify_backup(written.path(), &mut |done, total| shown.set(done, total))
                .with_context(|| format!("{} is not what was written", self.file.display()))?;
        }
        let info = place.publish(written)?;
        let head = info.checkpoint.head();
        tell(app, "backup", &self.file, info.checkpoint.ledger, head)?;
        app.remark(&format!("{} of events", progress::bytes(info.bytes)));
        Ok(Exit::Ok)
    }
}

/// Writes it under a temporary name.
fn write(
    opened: &Opened,
    place: &NewFile,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<NamedTempFile<BackupInfo>> {
    // The error of the library says more than the one that a maker of files may answer with.
    let mut refused = None;
    let made = place.made_by(|path| {
        app::copied(&opened.ledger, || opened.reader.backup(path, tell)).map_err(|error| {
            refused = Some(error);
            io::Error::other("refused")
        })
    });
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(made?),
    }
}
