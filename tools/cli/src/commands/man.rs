//! `taskledger man`: the manual pages.

use crate::{
    app::App,
    command::{Command, Server},
    exit::Exit,
};
use anyhow::{Context as _, Result};
use std::{fs, path::PathBuf};

/// Write the manual pages, one for each command.
///
/// Example:
///   taskledger man --out ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The directory to write them to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Command for Args {
    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn server(&self) -> Server {
        Server::NoLedger
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let dir = &self.out;
        let context = || format!("cannot write to {}", dir.display());
        fs::create_dir_all(dir).with_context(context)?;
        clap_mangen::generate_to((app.program.arguments)(), dir).with_context(context)?;
        let pages = fs::read_dir(dir).with_context(context)?.count();
        app.remark(&format!("{pages} pages in {}", dir.display()));
        Ok(Exit::Ok)
    }
}
