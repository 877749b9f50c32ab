//! `taskledger fork`: a new ledger of the events up to a moment.

use super::common::{readable, tell};
use crate::{
    app::{self, App, Opened},
    command::{Command, Moment},
    exit::Exit,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// Make a new ledger of the events up to the moment that --at names.
///
/// The copy has the same roots up to there. What was redacted since is redacted in
/// it too. One that was interrupted is no ledger; making it again in the same place
/// clears it away.
///
/// Example:
///   taskledger fork --at spawn:bg_7 ./what-if
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Read also what only the sealed blocks still have; for a damaged ledger
    #[arg(long)]
    from_sealed: bool,
    /// Let the group of the directory read it (modes 0750 and 0640)
    #[arg(long)]
    group_read: bool,
    /// The new ledger's directory
    #[arg(value_name = "NEW-PATH")]
    path: PathBuf,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open_to_copy(self.from_sealed)?;
        let size = app.position(&opened.reader)?.log_position()?;
        let copy = {
            let shown = app.progress.start("forking", Unit::Events);
            let mut tell = |done, total| shown.set(done, total);
            let path = app::plain(&self.path);
            let options = || readable(self.group_read);
            let mut fork = || opened.ledger.fork_blocking(size, &path, options(), &mut tell);
            app::copied(&opened.ledger, &mut fork)
                .with_context(|| format!("cannot fork to {}", self.path.display()))?
        };
        let copy = Opened::of(copy);
        let (ledger, head) = (copy.reader.ledger_id(), copy.reader.head());
        copy.close();
        tell(app, "fork", &self.path, ledger, head)?;
        Ok(Exit::Ok)
    }
}
