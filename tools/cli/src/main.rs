//! `taskledger` on the command line.
//!
//! [`args`] is what clap sees, [`commands`] holds one file for each subcommand, [`output`] is the
//! only way to standard output, [`exit`] decides what the shell is told. Uses the public API of the
//! library and nothing else.

#![allow(unreachable_pub, reason = "in a program nothing is reachable from outside")]

mod app;
mod args;
mod commands;
mod escape;
mod events;
mod exit;
mod forest;
mod interrupt;
mod json;
mod output;
mod paint;
mod progress;
mod shell;
mod table;
mod tasks;
mod term;
mod time;

#[cfg(test)]
mod schemas;

use app::App;
use clap::Parser as _;
use exit::Exit;
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told if this cannot be written.
            if !error.use_stderr() {
                let _ = error.print();
                return Exit::Ok.into();
            }
            note(&misuse(&error));
            return Exit::Usage.into();
        }
    };
    let mut app = App::new(&cli.global, cli.command.default_format());
    trace(&app);
    if cli.command.ends_on_interrupt() {
        interrupt::listen();
    }
    let done = interrupt::catching(|| cli.command.run(&mut app));
    match done.and_then(|exit| app.out.flush().map(|()| exit)) {
        Ok(exit) => app.judge(exit).into(),
        Err(error) if term::is_closed_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            // What was written before the error comes first.
            let _ = app.out.flush();
            let (exit, hint) = exit::judge(&error);
            note(&exit::explain(&error, hint, &app.err));
            exit.into()
        }
    }
}

/// What clap says, in which an argument that it repeats cannot act on the terminal.
fn misuse(error: &clap::Error) -> String {
    let told = error.render().to_string();
    let lines = told.lines().map(|line| escape::escape(line, term::charset_of_env()));
    lines.collect::<Vec<_>>().join("\n")
}

/// One line on standard error. Nobody is left to be told if it cannot be written.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// With `-vv` and more, what the library says of itself; what it warns of is shown without `-q`.
fn trace(app: &App) {
    let level = match app.verbose {
        0 | 1 if app.quiet => "off",
        0 | 1 => "warn",
        2 => "info",
        3 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("off,taskledger={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(app.err.color)
        .without_time()
        .with_target(false)
        .init();
}
