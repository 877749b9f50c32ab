//! `taskledger backup`: the whole history in one file.

use crate::{
    app::App,
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

/// Writes it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let info = {
        let shown = app.progress.start("backing up", Unit::Events);
        let mut tell = |done, total| shown.set(done, total);
        opened
            .reader
            .backup(&args.file, &mut tell)
            .with_context(|| format!("cannot back up to {}", args.file.display()))?
    };
    private(&args.file).with_context(|| format!("cannot protect {}", args.file.display()))?;
    {
        let shown = app.progress.start("reading it back", Unit::Events);
        verify_backup(&args.file, &mut |done, total| shown.set(done, total))
            .with_context(|| format!("{} is not what was written", args.file.display()))?;
    }
    let head = info.checkpoint.head();
    super::init::tell(app, "backup", &args.file, info.checkpoint.ledger, head)?;
    app.remark(&format!("{} of events", progress::bytes(info.bytes)));
    Ok(Exit::Ok)
}
