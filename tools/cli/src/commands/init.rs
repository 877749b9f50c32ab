//! `taskledger init`: a new, empty ledger.

use super::common::{readable, tell};
use crate::{
    app::{App, Opened},
    command::Command,
    exit::Exit,
};
use anyhow::Result;
use taskledger::Ledger;

/// Make a new, empty ledger in the directory that --db names.
///
/// The directory must not exist, or be empty. It will be yours alone (mode 0700),
/// or your group's to read.
///
/// Example:
///   taskledger --db ./ledger init
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Let the group of the directory read it (modes 0750 and 0640)
    #[arg(long)]
    group_read: bool,
}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = Opened::of(Ledger::create(&app.db, readable(self.group_read))?);
        let (ledger, head) = (opened.reader.ledger_id(), opened.reader.head());
        opened.close();
        let db = app.db.clone();
        tell(app, "init", &db, ledger, head)?;
        Ok(Exit::Ok)
    }
}
