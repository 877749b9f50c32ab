//! The command line as clap sees it: global options here, each command's own in its file.

use crate::{commands::Command, output::Format, term::ColorWhen, time::TimeStyle};
use clap::{ArgAction, Args, Parser};
use std::path::PathBuf;
use taskledger::query::Point;

const AFTER_HELP: &str = "\
A moment (POS) is written the same everywhere:
  @  now     @-3  three events ago     #1204 or 1204  after event 1204
  spawn:TASK  end:TASK  after the event that began or ended a task
  2026-01-31T12:00:00Z  -10m  what had occurred by then
  rec:2026-01-31T12:00:00Z  what had been recorded by then

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 finding or difference, 5 unavailable (in use,
disk full, halted), 6 finished with rejected lines or not the primary, 8 unsafe directory,
9 newer format, 130 interrupted. A closed pipe ends quietly.";

/// The flight recorder of agent tasks: who spawned what, and why.
///
/// A ledger is a directory that holds an append-only, hash-linked log of everything that happened
/// to the tasks of agents. Every answer, of now or of any past moment, is a replay of that log.
#[derive(Debug, Parser)]
#[command(
    name = "taskledger",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_long_help = AFTER_HELP
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The ledger's directory [default: ./ledger]
    #[arg(long, global = true, value_name = "PATH", env = "TASKLEDGER_DB")]
    pub db: Option<PathBuf>,
    /// Which moment to show: @, @-3, #1204, spawn:TASK, end:TASK, a time, -10m, rec:TIME
    #[arg(long, global = true, value_name = "POS", allow_hyphen_values = true)]
    pub at: Option<Point>,
    /// How to write the answer [default: table; tree for `tree`]
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// How to show times to people
    #[arg(long, global = true, value_name = "STYLE", default_value = "iso")]
    pub time: TimeStyle,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
    /// Open without changing any file, and in spite of damage; takes no appends
    #[arg(long, global = true)]
    pub read_only: bool,
    /// Do not show the progress of long work
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Say only what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; -vv says what the library does
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The format that was asked for, or this command's own.
    pub fn format_or(&self, default: Format) -> Format {
        if self.json { Format::Json } else { self.output.unwrap_or(default) }
    }
}
