//! The command line as clap sees it: what its help says as a whole, the options of every command,
//! and the commands.

use crate::{commands::Commands, global::Global};
use clap::Parser;

const AFTER_HELP: &str = "\
A moment (POS) is written the same everywhere:
  @  now     @-3  three events ago     #1204 or 1204  after event 1204
  spawn:TASK  end:TASK  after the event that began or ended a task
  2026-01-31T12:00:00Z  -10m  what had occurred by then
  rec:2026-01-31T12:00:00Z  what had been recorded by then

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 finding or difference, 5 unavailable (in use,
disk full, halted, no server), 6 finished with rejected lines or not the primary, 8 unsafe directory,
9 newer format, 124 waited in vain, 130 interrupted. A closed pipe ends quietly.";

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
    pub command: Commands,
}
