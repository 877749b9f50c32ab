//! `taskledger completions`: for a shell.

use crate::{
    app::App,
    command::{Command, Server},
    exit::Exit,
};
use anyhow::Result;
use clap_complete::Shell;

/// Print completions for a shell.
///
/// Example:
///   to=~/.local/share/bash-completion/completions
///   taskledger completions bash > $to/taskledger
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Command for Args {
    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn server(&self) -> Server {
        Server::NoLedger
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let mut script = Vec::new();
        let mut arguments = (app.program.arguments)();
        clap_complete::generate(self.shell, &mut arguments, "taskledger", &mut script);
        app.out.raw(&script)?;
        Ok(Exit::Ok)
    }
}
