//! `taskledger update`: a change to a running task.

use super::common::check_parent;
use crate::{
    app::App,
    command::{Command, Server},
    exit::{Exit, Problem},
    writing::Writing,
};
use anyhow::{Context as _, Result};
use taskledger::{
    command::{Proposal, Update},
    ids::TaskId,
    ledger::AppendError,
};

/// Change the name, the description or the parent of a running task.
///
/// The values before stay in the log: `taskledger diff` compares. The parent must
/// be a task of this ledger.
///
/// Example:
///   taskledger update bg_3 --name lint --description 'cargo clippy'
///   taskledger update bg_3 --parent bg_1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The task
    task: TaskId,
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    /// Take its name away
    #[arg(long, conflicts_with = "name")]
    no_name: bool,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// The task of this ledger below which it is now
    #[arg(long, value_name = "ID")]
    parent: Option<TaskId>,
    /// Make it a root
    #[arg(long, conflicts_with = "parent")]
    root: bool,
    /// Makes recording twice the same as recording once: 32 hex digits, or any text
    #[arg(long, value_name = "HEX|TEXT")]
    key: Option<String>,
}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let update = self.update()?;
        let mut proposal = Proposal::new(update);
        proposal.key = self.key.as_deref().map(super::record::key);
        let mut writing = Writing::open(app)?;
        check_parent(&writing.facts(), self.parent.as_ref(), None)?;
        let receipts = writing.append([proposal]).context("not recorded")?;
        let body = receipts.into_iter().next().ok_or(AppendError::Halted)?;
        let name = body.seq.to_string();
        let told = app.out.single(body, Some(&name), |out, _| out.name(&name));
        let told = told.and_then(|()| app.out.flush());
        writing.close();
        told.map(|()| Exit::Ok)
    }
}

impl Args {
    fn update(&self) -> Result<Update> {
        let mut update = Update::new(self.task.clone());
        update.name = match (&self.name, self.no_name) {
            (Some(name), _) => Some(Some(name.as_str().into())),
            (None, true) => Some(None),
            (None, false) => None,
        };
        update.description = self.description.as_deref().map(Into::into);
        update.parent = match (&self.parent, self.root) {
            (Some(parent), _) => Some(Some(parent.clone().into())),
            (None, true) => Some(None),
            (None, false) => None,
        };
        if update.name.is_none() && update.description.is_none() && update.parent.is_none() {
            let hint = "--name, --no-name, --description, --parent or --root says what";
            return Err(Problem::usage("nothing is to be changed").hint(hint).into());
        }
        Ok(update)
    }
}
