//! `taskledger completions`: for a shell.

use crate::{app::App, args::Cli, exit::Exit};
use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print completions for a shell.
///
/// Example:
///   taskledger completions bash > ~/.local/share/bash-completion/completions/taskledger
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "taskledger", &mut script);
    app.out.raw(&script)?;
    Ok(Exit::Ok)
}
