//! Kills a process that appends, over and over on one directory, and opens what is left.
//!
//! A round: this binary runs itself as a child, which opens the ledger, appends batches from
//! several threads, and says on its standard output what was acknowledged. After so many lines, or
//! at a call to the disk, it is killed. Then the ledger is opened, and must hold everything that
//! was acknowledged, be a prefix of what was appended, and pass an audit. The next round goes on
//! with what this one left.
//!
//! No time is involved: a child is killed after so many lines and so many turns of an empty loop.
//! Start reading at `survives`; `work` says what is appended, `check` what must be left.
//!
//! - `TASKLEDGER_CRASH_ROUNDS`: rounds of each test, 25 if not given.
//! - `TASKLEDGER_CRASH_SEED`: another number, other rounds. A failure names the one it had.
//! - `TASKLEDGER_CRASH_STRACE=1`: kills inside calls to the disk as well, and lets them fail, if
//!   there is `strace`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod check;
mod child;
mod ending;
mod round;
mod work;

use child::Order;
use round::{Life, Tally};
use std::{env, time::Duration};
use taskledger::ledger::Durability;

/// Rounds on one directory, so that no round is spent on reading a long history.
const ROUNDS_OF_A_LIFE: u64 = 25;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    survives(Durability::Synced);
}

/// An interval promises less about loss of power, and the same about a kill.
#[test]
fn what_was_acknowledged_survives_a_kill_before_it_is_synced() {
    survives(Durability::Interval(Duration::from_millis(40)));
}

/// What a child runs. Does nothing unless this process is one.
#[test]
fn child() {
    if let Some(order) = Order::given() {
        child::run(&order);
    }
}

fn survives(durability: Durability) {
    let (rounds, seed) =
        (number("TASKLEDGER_CRASH_ROUNDS", 25), number("TASKLEDGER_CRASH_SEED", 1));
    let mut tally = Tally::default();
    let mut life = Life::new(durability, seed);
    for round in 0..rounds {
        if round > 0 && round % ROUNDS_OF_A_LIFE == 0 {
            life = Life::new(durability, seed + round);
        }
        if let Err(why) = life.round(&mut tally) {
            let left = life.keep();
            panic!("round {round} of seed {seed}: {why}; what is left: {}", left.display());
        }
    }
    println!("{rounds} rounds of {durability:?}, seed {seed}: {tally:?}");
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
