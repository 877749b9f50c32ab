//! Kills a process that appends, over and over on one directory, and opens what is left.
//!
//! A few rounds of `taskledger-torture kill` with every `cargo test`. No time is involved: a child
//! is killed after so many lines and so many turns of an empty loop.
//!
//! - `TASKLEDGER_CRASH_ROUNDS`: rounds of each test, 25 if not given.
//! - `TASKLEDGER_CRASH_SEED`: another number, other rounds. A failure names the one it had.
//! - `TASKLEDGER_CRASH_STRACE=1`: kills inside calls to the disk as well, and lets them fail, if
//!   there is `strace`.
#![allow(clippy::expect_used, reason = "tests")]

use std::{env, time::Duration};
use taskledger::Durability;
use taskledger_torture::{kill::Kill, report::Report};

#[test]
fn what_was_acknowledged_survives_a_kill() {
    survives("kill", Durability::Synced);
}

/// An interval promises less about loss of power, and the same about a kill.
#[test]
fn what_was_acknowledged_survives_a_kill_before_it_is_synced() {
    survives("kill, synced every 40 ms", Durability::Interval(Duration::from_millis(40)));
}

#[track_caller]
fn survives(fault: &str, durability: Durability) {
    let kill = Kill {
        program: env!("CARGO_BIN_EXE_taskledger-torture").into(),
        dir: env::temp_dir(),
        rounds: number("TASKLEDGER_CRASH_ROUNDS", 25),
        seed: number("TASKLEDGER_CRASH_SEED", 1),
    };
    let traced = env::var_os("TASKLEDGER_CRASH_STRACE").is_some();
    let mut report = Report::of("cargo test -p taskledger-torture --test crash");
    kill.random(fault, durability, traced, &mut report).expect("the rounds run");
    report.conclude();
    assert!(report.is_ok(), "see above");
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
