//! `taskledger` on the command line.
//!
//! [`args`] is what clap sees, [`commands`] holds one file for each subcommand, [`command`] says
//! what each of them must say of itself, [`output`] is the only way to standard output, [`exit`]
//! decides what the shell is told. Uses the public API of the library and nothing else; what is
//! answered is in `taskledger-contract`.

#![allow(unreachable_pub, reason = "in a program nothing is reachable from outside")]

mod app;
mod args;
mod asking;
mod command;
mod commands;
mod exit;
mod facts;
mod forest;
mod global;
mod interrupt;
mod note;
mod output;
mod paint;
mod process;
mod progress;
mod remote;
mod shell;
mod shown;
mod signals;
mod table;
mod term;
mod time;
mod unshown;
mod writing;

use app::{App, Program};
use args::Cli;
use clap::{CommandFactory as _, Parser as _};
use command::LogFormat;
use exit::Exit;
use note::note_styled;
use std::{io, process::ExitCode};
use taskledger_contract::escape;
use term::Look;

/// What some commands need of the command line as a whole.
const PROGRAM: Program = Program { arguments: Cli::command, run: run_step };

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told if this cannot be written.
            if !error.use_stderr() {
                let _ = error.print();
                return Exit::Ok.into();
            }
            note_styled(&misuse(&error));
            return Exit::Usage.into();
        }
    };
    let command = cli.command.chosen();
    let mut app = App::new(&cli.global, command.default_format(), PROGRAM);
    trace(&app, command.log_format());
    if command.ends_on_interrupt() {
        interrupt::listen();
    }
    let done = interrupt::catching(|| command::run(command, &mut app));
    let done = done.and_then(|exit| app.out.flush().map(|()| exit));
    app.tell_unshown();
    match done {
        Ok(exit) => app.judge(exit).into(),
        Err(error) if term::is_closed_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            // What was written before the error comes first.
            let _ = app.out.flush();
            let (exit, hint) = exit::judge(&error);
            note_styled(&exit::explain(&error, hint, &app.err));
            exit.into()
        }
    }
}

/// Does what `words` say, as one step of a command that shows others.
fn run_step(words: &[String], look: Look) -> anyhow::Result<Exit> {
    let cli = Cli::try_parse_from(words)?;
    let command = cli.command.chosen();
    let mut app = App::new(&cli.global, command.default_format(), PROGRAM);
    app.quiet = true;
    app.out.look = look;
    let exit = command::run(command, &mut app)?;
    app.out.flush()?;
    Ok(exit)
}

/// What clap says, in which an argument that it repeats cannot act on the terminal.
fn misuse(error: &clap::Error) -> String {
    let told = error.render().to_string();
    let lines = told.lines().map(|line| escape::escape(line, term::charset_of_env()));
    lines.collect::<Vec<_>>().join("\n")
}

/// With `-vv` and more, what the library says of itself; what it warns of is shown without `-q`.
fn trace(app: &App, format: LogFormat) {
    let level = match app.verbose {
        0 | 1 if app.quiet => "off",
        0 | 1 => "warn",
        2 => "info",
        3 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("off,taskledger={level}"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(app.err.color && format == LogFormat::Text)
        .with_target(false);
    match format {
        LogFormat::Text => log.without_time().init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}
