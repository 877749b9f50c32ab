//! `taskledger purge`: redacted texts leave every file.

use super::common::tell;
use crate::{app::App, command::Command, exit::Exit};
use anyhow::{Context as _, Result};
use taskledger::ledger::{Spool, divergent_beside};

/// Remove every redacted text from every file of the ledger.
///
/// Journal and archive are rewritten, the sealed blocks and the snapshots are made
/// anew. Stopped half way, it is repeated. The output of a task that has not ended
/// stays in the spool. Backups that were made before keep the texts: delete those
/// yourself.
///
/// Example:
///   taskledger redact 1204 --reason 'holds a password' && taskledger purge
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        opened.ledger.purge_blocking().context("not every file was rewritten: purge again")?;
        let (ledger, head) = (opened.reader.ledger_id(), opened.reader.head());
        opened.close();
        let db = app.db.clone();
        tell(app, "purge", &db, ledger, head)?;
        app.remark("backups that were made before keep the texts");
        let divergent = divergent_beside(&app.db)?.len();
        if divergent > 0 {
            app.remark(&format!(
                "{divergent} directories of an old history keep them too: `taskledger divergent list`"
            ));
        }
        let spool = Spool::of(&app.db);
        let (outputs, batches) = (spool.outputs()?, spool.waiting()?);
        if outputs > 0 {
            app.remark(&format!("{outputs} outputs stay: their tasks have not ended"));
        }
        if batches > 0 {
            app.remark(&format!("{batches} batches stay in the spool: they could not be recorded"));
        }
        Ok(Exit::Ok)
    }
}
