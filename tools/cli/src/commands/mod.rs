//! One file for each subcommand. Each holds its arguments, and one `run` that reads top-down.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the help that is shown")]

use crate::{app::App, exit::Exit, exit::Problem, output::Format};
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
mod run;
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
    Init(init::Args),
    Import(import::Args),
    Threads(threads::Args),
    Tree(tree::Args),
    Tasks(tasks::Args),
    Show(show::Args),
    Why(why::Args),
    Log(log::Args),
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
    Run(run::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// The format of an answer when none is asked for.
    pub fn default_format(&self) -> Format {
        if matches!(self, Self::Tree(_)) { Format::Tree } else { Format::Table }
    }

    /// Why `--at` says nothing to it, if so: what to do instead.
    fn deaf_to_at(&self) -> Option<&'static str> {
        Some(match self {
            Self::Threads(_)
            | Self::Tree(_)
            | Self::Tasks(_)
            | Self::Show(_)
            | Self::Why(_)
            | Self::Log(_)
            | Self::Timeline(_)
            | Self::Replay(_)
            | Self::Checkpoint(_)
            | Self::Fork(_)
            | Self::Export(_)
            | Self::Stats(_) => return None,
            Self::Prove(args) => return args.deaf_to_at(),
            Self::Diff(_) => "name the two moments with --from and --to",
            Self::First(_) => "it looks at the whole log of the thread",
            Self::Event(_) => "an event is the same at every moment",
            Self::Backup(_) => {
                "it writes the whole log; `taskledger fork --at` copies a part of it"
            }
            Self::Verify(_) => "it checks the whole log; --expect holds it against an earlier one",
            Self::Record(_) => "--occurred says when something happened",
            Self::Run(_) => "a command runs now",
            Self::Init(_)
            | Self::Import(_)
            | Self::Redact(_)
            | Self::Purge(_)
            | Self::Restore(_)
            | Self::Rebuild(_)
            | Self::Demo(_)
            | Self::Completions(_)
            | Self::Man(_) => "leave it out",
        })
    }

    /// Whether it writes to the ledger that it opens.
    fn appends(&self) -> bool {
        matches!(
            self,
            Self::Init(_)
                | Self::Import(_)
                | Self::Redact(_)
                | Self::Purge(_)
                | Self::Rebuild(_)
                | Self::Record(_)
                | Self::Run(_)
        ) || matches!(self, Self::Demo(args) if args.is_live())
    }

    /// Whether Ctrl-C is to end its work in order: not if it is done at once, or knows itself what to
    /// do about signals.
    pub fn ends_on_interrupt(&self) -> bool {
        !matches!(self, Self::Completions(_) | Self::Man(_) | Self::Run(_))
    }

    /// Does it.
    pub fn run(self, app: &mut App) -> Result<Exit> {
        if app.at.is_some()
            && let Some(instead) = self.deaf_to_at()
        {
            return Err(Problem::usage("--at means nothing to this command").hint(instead).into());
        }
        if app.global.read_only && self.appends() {
            return Err(
                Problem::refused("a ledger opened with --read-only takes no appends").into()
            );
        }
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
            Self::Run(args) => run::run(args, app),
            Self::Demo(args) => demo::run(&args, app),
            Self::Completions(args) => completions::run(&args, app),
            Self::Man(args) => man::run(&args, app),
        }
    }
}
