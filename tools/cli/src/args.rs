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

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 finding or difference, 5
unavailable (in use, disk full, halted, no server), 6 finished with rejected
lines or not the primary, 8 unsafe directory, 9 newer format, 124 waited in
vain, 130 interrupted. A closed pipe ends quietly.";

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, CommandFactory as _};

    const COLUMNS: usize = 80;

    /// Looks at a command and at those below it.
    fn each(command: &mut Command, look: &mut impl FnMut(&mut Command)) {
        look(command);
        command.get_subcommands_mut().for_each(|below| each(below, look));
    }

    fn columns(line: &str) -> usize {
        line.chars().count()
    }

    /// A paragraph of several lines is laid out for 80 columns, or clap breaks its lines again. One of a single
    /// line is broken by clap alone.
    fn long_lines(command: &Command) -> Vec<String> {
        let about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let paragraphs = about.split("\n\n").chain(after.split("\n\n"));
        let lines = paragraphs.filter(|text| text.contains('\n')).flat_map(str::lines);
        lines.filter(|line| columns(line) > COLUMNS).map(str::to_owned).collect()
    }

    /// The lines within a paragraph of prose that have room for the next word.
    fn orphans(help: &str) -> Vec<String> {
        let lines: Vec<&str> =
            help.lines().take_while(|line| !line.starts_with("Usage:")).collect();
        let after = help.lines().skip_while(|line| !line.starts_with("Exit codes:"));
        let lines = [lines, after.collect()].concat();
        let prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
        let pairs = lines.windows(2).filter(|pair| prose(pair[0]) && prose(pair[1]));
        let ragged = pairs.filter(|pair| {
            let word = pair[1].split(' ').next().unwrap();
            columns(pair[0]) + 1 + columns(word) <= COLUMNS
        });
        ragged.map(|pair| format!("{:?} and then {:?}", pair[0], pair[1])).collect()
    }

    #[test]
    fn the_help_of_every_command_fits_80_columns_and_breaks_no_line_twice() {
        let mut command = Cli::command().term_width(COLUMNS);
        command.build();
        let mut commands = 0;
        each(&mut command, &mut |command| {
            commands += 1;
            let name = command.get_bin_name().unwrap_or_default().to_owned();
            assert_eq!(long_lines(command), [""; 0], "{name}: lines that would be broken again");
            let help = command.render_long_help().to_string();
            let wide: Vec<_> = help.lines().filter(|line| columns(line) > COLUMNS).collect();
            assert_eq!(wide, [""; 0], "{name}");
            assert_eq!(orphans(&help), [""; 0], "{name}: lines that end too early");
        });
        assert!(commands > 40, "{commands}");
    }

    #[test]
    fn a_line_that_was_broken_again_is_seen() {
        let broken = format!("{}\nto read\n\nUsage: x", "word ".repeat(15).trim());
        assert_eq!(orphans(&broken).len(), 1, "{broken}");
        assert_eq!(orphans("Short.\n\nExample:\n  x\n\nUsage: x"), [""; 0]);
    }
}
