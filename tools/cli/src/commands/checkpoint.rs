//! `taskledger checkpoint`: size and root, to hold the ledger against later.

use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
    exit::Exit,
};
use anyhow::{Context as _, Result};
use std::{fs, path::PathBuf};
use taskledger::proof::{Checkpoint, SigningKey};
use taskledger_contract::{answers::CheckpointBody, questions::CheckpointQuestion};

/// Print the ledger's size and root as a C2SP checkpoint.
///
/// Keep the text somewhere else: `verify --expect FILE` later shows that the ledger
/// still begins with exactly those events. With --key, the text is signed (Ed25519,
/// C2SP signed note).
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        if self.key.is_none() && !matches!(source.pass(app, &CheckpointQuestion)?, Passed::No) {
            return Ok(Exit::Ok);
        }
        let mut body = source.ask(app, &CheckpointQuestion)?;
        let checkpoint = Checkpoint::parse(&body.text).context("the answer is no checkpoint")?;
        body = CheckpointBody::new(&checkpoint, checkpoint.to_text());
        if let Some(file) = &self.key {
            let shown = file.display();
            let key = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
            let key: SigningKey = key.trim().parse().with_context(|| format!("in {shown}"))?;
            body.text = checkpoint.sign(&key)?;
        }
        let name = body.root.clone();
        app.out.single(body, Some(&name), |out, body| out.raw(body.text.as_bytes()))?;
        Ok(Exit::Ok)
    }
}
