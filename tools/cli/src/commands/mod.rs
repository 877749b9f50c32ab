//! One file for each subcommand. Each holds its arguments and implements
//! [`Command`]: its facts, and one `run` that reads top-down. [`common`] holds what several share.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the help that is shown")]

use crate::command::Command;
use clap::Subcommand;

mod backup;
mod cancel;
mod cert;
mod checkpoint;
mod common;
mod completions;
mod demo;
mod diff;
mod divergent;
mod event;
mod export;
mod first;
mod fork;
mod import;
mod init;
mod log;
mod logs;
mod man;
mod prove;
mod purge;
mod rebuild;
mod record;
mod redact;
mod replay;
mod restore;
mod run;
mod serve;
mod show;
mod standby;
mod stats;
mod tasks;
mod threads;
mod timeline;
mod token;
mod tree;
mod update;
mod verify;
mod why;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Commands {
    Init(init::Args),
    Import(import::Args),
    Threads(threads::Args),
    Tree(tree::Args),
    Tasks(tasks::Args),
    Show(show::Args),
    Why(why::Args),
    Log(log::Args),
    Logs(logs::Args),
    Event(event::Args),
    Diff(diff::Args),
    First(first::Args),
    Timeline(timeline::Args),
    Replay(replay::Args),
    Verify(verify::Args),
    Checkpoint(checkpoint::Args),
    Prove(prove::Args),
    Redact(redact::Args),
    Purge(purge::Args),
    Fork(fork::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Rebuild(rebuild::Args),
    Export(export::Args),
    Stats(stats::Args),
    Record(record::Args),
    Update(update::Args),
    Run(run::Args),
    Cancel(cancel::Args),
    Serve(serve::Args),
    Standby(standby::Args),
    Token(token::Args),
    Cert(cert::Args),
    Divergent(divergent::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Commands {
    /// The one that was chosen.
    pub fn chosen(&self) -> &dyn Command {
        match self {
            Self::Init(args) => args,
            Self::Import(args) => args,
            Self::Threads(args) => args,
            Self::Tree(args) => args,
            Self::Tasks(args) => args,
            Self::Show(args) => args,
            Self::Why(args) => args,
            Self::Log(args) => args,
            Self::Logs(args) => args,
            Self::Event(args) => args,
            Self::Diff(args) => args,
            Self::First(args) => args,
            Self::Timeline(args) => args,
            Self::Replay(args) => args,
            Self::Verify(args) => args,
            Self::Checkpoint(args) => args,
            Self::Prove(args) => args,
            Self::Redact(args) => args,
            Self::Purge(args) => args,
            Self::Fork(args) => args,
            Self::Backup(args) => args,
            Self::Restore(args) => args,
            Self::Rebuild(args) => args,
            Self::Export(args) => args,
            Self::Stats(args) => args,
            Self::Record(args) => args,
            Self::Update(args) => args,
            Self::Run(args) => args,
            Self::Cancel(args) => args,
            Self::Serve(args) => args,
            Self::Standby(args) => args,
            Self::Token(args) => args,
            Self::Cert(args) => args,
            Self::Divergent(args) => args,
            Self::Demo(args) => args,
            Self::Completions(args) => args,
            Self::Man(args) => args,
        }
    }
}
