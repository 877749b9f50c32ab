//! `taskledger checkpoint`: size and root, to hold the ledger against later.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
};
use anyhow::{Context as _, Result};
use std::{fs, path::PathBuf};
use taskledger::proof::SigningKey;
use taskledger_contract::{answers::CheckpointBody, questions::CheckpointQuestion};

/// Print the ledger's size and root as a C2SP checkpoint.
///
/// Keep the text somewhere else: `verify --expect FILE` later shows that the ledger still begins
/// with exactly those events. With --key, the text is signed (Ed25519, C2SP signed note).
///
/// Example:
///   taskledger checkpoint > monday.checkpoint
///   taskledger verify --expect monday.checkpoint
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sign with the key in this file (PRIVATE+KEY+NAME+ID+KEY)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let checkpoint = CheckpointQuestion.checkpoint(&app.asked(&opened.reader)?)?;
        let text = match &self.key {
            Some(file) => {
                let key = fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let key: SigningKey =
                    key.trim().parse().with_context(|| format!("in {}", file.display()))?;
                checkpoint.sign(&key)?
            }
            None => checkpoint.to_text(),
        };
        let body = CheckpointBody::new(&checkpoint, text);
        let name = body.root.clone();
        app.out.single(body, Some(&name), |out, body| out.raw(body.text.as_bytes()))?;
        Ok(Exit::Ok)
    }
}
