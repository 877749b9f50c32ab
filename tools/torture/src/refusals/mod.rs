//! A world that is not as it should be: each time exactly the outcome that was promised.
//!
//! Each case makes one such world, asks the library and, where a person would meet it, the command
//! line, and answers in words what came of it; anything else is an error. Start reading at
//! [`Refusals::run`]; the cases are in `doors`, `space` and `world`.

mod bench;
mod doors;
pub mod limited;
mod space;
mod world;

use crate::{
    machine,
    report::{Failure, Report},
};
use anyhow::Result;
use bench::{Bench, Said};
use std::path::PathBuf;

type Case = fn(&Bench) -> Result<Said>;

/// What there is to be met.
const CASES: [(&str, Case); 17] = [
    ("no ledger there", doors::no_ledger),
    ("something there already", doors::something_there),
    ("a second process", doors::second_process),
    ("a directory that others may enter", doors::open_to_others),
    ("a file that others may write", doors::writable_file),
    ("a directory of somebody else", doors::of_somebody_else),
    ("a symbolic link to the directory", doors::link_to_it),
    ("a symbolic link within it", doors::link_within),
    ("a newer format", doors::newer_format),
    ("a full disk", space::full_disk),
    ("no space to begin with", space::no_space_to_begin),
    ("RLIMIT_FSIZE", space::file_size_limit),
    ("RLIMIT_NOFILE", space::no_descriptors),
    ("a read-only file system", world::read_only),
    ("a failed write, sync or rename", world::failed_call),
    ("a clock that goes backwards", world::clock_backwards),
    ("a clock that is far ahead", world::clock_ahead),
];

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Refusals {
    /// This program, for processes with limits.
    pub program: PathBuf,
    /// Below which directory.
    pub dir: PathBuf,
    /// Where one thing is refused at many limits or calls: every n-th of them is tried.
    pub every: usize,
}

impl Refusals {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let cli = match machine::command_line() {
            Ok(cli) => Some(cli),
            Err(why) => {
                report.skip("exit codes of the command line", format!("{why:#}"));
                None
            }
        };
        for (fault, case) in CASES {
            let place = tempfile::Builder::new().prefix("torture-refusal").tempdir_in(&self.dir)?;
            let bench = Bench {
                dir: place.path().to_owned(),
                cli: cli.clone(),
                program: self.program.clone(),
                every: self.every,
            };
            match case(&bench) {
                Ok(Said::Skipped(why)) => report.skip(fault, why),
                Ok(Said::Did { rounds, outcome }) => report.row(bench.row(fault, rounds, &outcome)),
                Ok(Said::Partly { rounds, outcome, missed }) => {
                    report.row(bench.row(fault, rounds, &outcome));
                    report.skip(format!("a part of {fault}"), missed);
                }
                Err(why) => report.failure(Failure {
                    what: format!("{fault}: {why:#}"),
                    repeat: "refusals".to_owned(),
                }),
            }
        }
        Ok(())
    }
}
