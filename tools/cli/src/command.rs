//! What a command is: its facts, and its work.
//!
//! Each command says in its own file what the rest of the program must know of it. Start at
//! [`Command`]; [`run`] is how every command is run.

use crate::{
    app::App,
    exit::{Exit, Problem},
    output::Format,
    remote::Remote,
};
use anyhow::Result;
use clap::ValueEnum;

/// One command of the command line.
pub trait Command {
    /// What `--at` means to it.
    fn moment(&self) -> Moment {
        Moment::Refused("leave it out")
    }

    /// Whether it writes to the ledger that it opens.
    fn appends(&self) -> bool {
        false
    }

    /// The meaning of `--server` to it.
    fn server(&self) -> Server {
        Server::Refused
    }

    /// Whether Ctrl-C ends its work in order. Not where the work is done at once, nor where the
    /// command itself knows what to do about signals.
    fn ends_on_interrupt(&self) -> bool {
        true
    }

    /// The format of its answer when none is asked for.
    fn default_format(&self) -> Format {
        Format::Table
    }

    /// The form of the log on standard error.
    fn log_format(&self) -> LogFormat {
        LogFormat::Text
    }

    /// Does it.
    fn run(&self, app: &mut App) -> Result<Exit>;
}

/// The form of the log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people, and for a journal that adds the time.
    Text,
    /// A JSON object on each line, with the time.
    Json,
}

/// What `--at` means to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The moment that is shown or copied.
    Taken,
    /// Nothing; what to do instead.
    Refused(&'static str),
}

/// The meaning of `--server` to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It asks or records there.
    Taken,
    /// Nothing, and neither does a directory.
    NoLedger,
    /// It needs the directory.
    Refused,
}

/// Runs a command, unless the global options do not fit it.
pub fn run(command: &dyn Command, app: &mut App) -> Result<Exit> {
    if app.at.is_some()
        && let Moment::Refused(instead) = command.moment()
    {
        return Err(Problem::usage("--at means nothing to this command").hint(instead).into());
    }
    app.appends = command.appends();
    if command.server() != Server::NoLedger
        && let Some(address) = app.global.server()?
    {
        if command.server() == Server::Refused {
            let problem = Problem::usage("this command needs the directory of the ledger");
            return Err(problem.hint("run it where the ledger is, with --db PATH").into());
        }
        app.remote = Some(Remote::named(&address, app.global.authority().as_deref())?);
    }
    command.run(app)
}
