//! One file for each subcommand. Each holds its arguments, and one `run` that reads top-down.

use crate::{app::App, exit::Exit, output::Format};
use anyhow::Result;
use clap::Subcommand;

mod backup;
mod checkpoint;
mod completions;
mod demo;
mod diff;
mod event;
mod export;
mod first;
mod fork;
mod import;
mod init;
mod log;
mod man;
mod prove;
mod purge;
mod rebuild;
mod record;
mod redact;
mod replay;
mod restore;
mod show;
mod stats;
mod tasks;
mod threads;
mod timeline;
mod tree;
mod verify;
mod why;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new, empty ledger
    Init(init::Args),
    /// Bring recordings of agents into the ledger
    Import(import::Args),
    /// List the threads
    Threads(threads::Args),
    /// Draw the tree of a thread's tasks
    Tree(tree::Args),
    /// List tasks
    Tasks(tasks::Args),
    /// Show one task and its history
    Show(show::Args),
    /// Say who started a task, and why
    Why(why::Args),
    /// List events
    Log(log::Args),
    /// Show one event
    Event(event::Args),
    /// Compare two moments of a thread
    Diff(diff::Args),
    /// Find the first event after which something was true
    First(first::Args),
    /// Draw a thread's tasks on a line of time
    Timeline(timeline::Args),
    /// Watch a thread's tree grow, event by event
    Replay(replay::Args),
    /// Check every byte of the ledger
    Verify(verify::Args),
    /// Print the ledger's size and root, to hold it against later
    Checkpoint(checkpoint::Args),
    /// Prove that an event is in the log
    Prove(prove::Args),
    /// Erase an event's texts from every view
    Redact(redact::Args),
    /// Remove redacted texts from every file
    Purge(purge::Args),
    /// Make a new ledger of the events up to a moment
    Fork(fork::Args),
    /// Write the whole history to one file
    Backup(backup::Args),
    /// Make a new ledger of a backup file
    Restore(restore::Args),
    /// Make the sealed blocks anew from archive and journal
    Rebuild(rebuild::Args),
    /// Write the history in another format
    Export(export::Args),
    /// Figures about the ledger
    Stats(stats::Args),
    /// Record one event from a script
    Record(record::Args),
    /// Show what this program does, on a bundled recording
    Demo(demo::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

impl Command {
    /// The format of an answer when none is asked for.
    pub fn default_format(&self) -> Format {
        if matches!(self, Self::Tree(_)) { Format::Tree } else { Format::Table }
    }

    /// Does it.
    pub fn run(self, app: &mut App) -> Result<Exit> {
        match self {
            Self::Init(args) => init::run(&args, app),
            Self::Import(args) => import::run(&args, app),
            Self::Threads(args) => threads::run(&args, app),
            Self::Tree(args) => tree::run(&args, app),
            Self::Tasks(args) => tasks::run(args, app),
            Self::Show(args) => show::run(&args, app),
            Self::Why(args) => why::run(&args, app),
            Self::Log(args) => log::run(&args, app),
            Self::Event(args) => event::run(&args, app),
            Self::Diff(args) => diff::run(&args, app),
            Self::First(args) => first::run(&args, app),
            Self::Timeline(args) => timeline::run(&args, app),
            Self::Replay(args) => replay::run(&args, app),
            Self::Verify(args) => verify::run(&args, app),
            Self::Checkpoint(args) => checkpoint::run(&args, app),
            Self::Prove(args) => prove::run(&args, app),
            Self::Redact(args) => redact::run(args, app),
            Self::Purge(args) => purge::run(&args, app),
            Self::Fork(args) => fork::run(&args, app),
            Self::Backup(args) => backup::run(&args, app),
            Self::Restore(args) => restore::run(&args, app),
            Self::Rebuild(args) => rebuild::run(&args, app),
            Self::Export(args) => export::run(&args, app),
            Self::Stats(args) => stats::run(&args, app),
            Self::Record(args) => record::run(args, app),
            Self::Demo(args) => demo::run(&args, app),
            Self::Completions(args) => completions::run(&args, app),
            Self::Man(args) => man::run(&args, app),
        }
    }
}
