//! How and when a child comes to its end.

use crate::{
    order::Script,
    trace::{CALLS, EVERY_CALL, MAY_FAIL, Tamper, Thread},
};
use std::fmt;
use taskledger::time::{Entropy, SeededEntropy};

/// Lines after which a child is ended, at most: some are ended while they open.
const LINES_MAX: u64 = 120;
/// The same where texts are long.
const LONG_LINES_MAX: u64 = 25;
/// Turns of an empty loop from there to the end, at most, as a power of two: from less than a call
/// to the disk takes to more than an opening.
const TURNS_BITS_MAX: u64 = 22;
/// Calls of one thread after which one is tampered with, at most.
const CALLS_MAX: u64 = 120;

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The parent sends SIGKILL after so many lines and turns of an empty loop.
    Killed(u64, u64),
    /// Another thread of the child aborts it, then.
    Aborted(u64, u64),
    /// It is killed as it makes a call, or a call fails and it aborts when an append says so.
    Traced(Thread, Tamper),
    /// The power goes while it runs.
    Dark(u64, u64),
    /// It aborts by itself when the device fails; then the power goes.
    Failing,
    /// Every sync is faked from the word on; then the power goes.
    Deceived(u64),
}

/// One ending, in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What the child is to do.
    pub script: Script,
    /// And how far it gets.
    pub ending: Ending,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script.name();
        match self.ending {
            Ending::Killed(lines, turns) => write!(f, "{script}, killed after {lines}+{turns}"),
            Ending::Aborted(lines, turns) => write!(f, "{script}, aborted after {lines}+{turns}"),
            Ending::Traced(thread, tamper) => write!(f, "{script}, {}: {tamper}", thread.name()),
            Ending::Dark(lines, turns) => write!(f, "{script}, dark after {lines}+{turns}"),
            Ending::Failing => write!(f, "{script}, until the device fails"),
            Ending::Deceived(lines) => write!(f, "{script}, deceived, dark after {lines}"),
        }
    }
}

/// What can be done here, and is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// There is `strace`.
    pub traced: bool,
    /// The power goes at the end of each round.
    pub dark: bool,
    /// Texts are long.
    pub long: bool,
    /// How large journals become, in KiB.
    pub journal_kib: u64,
}

impl Plan {
    /// An ending at a random moment.
    pub fn draw(random: &SeededEntropy, means: Means) -> Self {
        let below = |max: u64| random.number() % max;
        let early = below(4) == 0;
        let usual = if means.long { LONG_LINES_MAX } else { LINES_MAX };
        let lines = below(if early { 2 } else { usual });
        let turns = below(1 << below(TURNS_BITS_MAX));
        let nth = 1 + below(CALLS_MAX);
        let kind = below(if means.traced { 4 } else { 2 });
        let ending = match kind {
            0 if means.dark => Ending::Dark(lines, turns),
            0 => Ending::Killed(lines, turns),
            1 => Ending::Aborted(lines, turns),
            2 => Ending::Traced(Thread::Any, Tamper::Kill(one_of(&CALLS, random), nth)),
            _ if means.dark => return Self::draw_short(random),
            _ => Ending::Traced(Thread::Any, Tamper::Fail(one_of(&MAY_FAIL, random), nth)),
        };
        Self { script: Script::Mixed, ending }
    }

    /// An end within one thing that a ledger does.
    fn draw_short(random: &SeededEntropy) -> Self {
        let script = one_of(&Script::SHORT, random);
        let thread = match script {
            // Its threads are not there before.
            Script::Open | Script::Create => Thread::Any,
            Script::Rebuild | Script::Spool => Thread::Main,
            Script::Mixed
            | Script::Append
            | Script::Seal
            | Script::Checkpoint
            | Script::Redact
            | Script::Close => one_of(&Thread::ALL, random),
        };
        let nth = 1 + random.number() % 40;
        Self { script, ending: Ending::Traced(thread, Tamper::Kill(EVERY_CALL, nth)) }
    }

    /// Whether the child has to wait until it is traced.
    pub fn waits(&self) -> bool {
        matches!(self.ending, Ending::Traced(..) | Ending::Deceived(_))
            || self.script != Script::Mixed
    }

    /// After so many lines, and so many turns of an empty loop, the child aborts by itself.
    pub fn abort(&self, means: Means) -> Option<(u64, u64)> {
        let usual = if means.long { LONG_LINES_MAX } else { LINES_MAX };
        match self.ending {
            Ending::Aborted(lines, turns) => Some((lines, turns)),
            Ending::Traced(..) if self.script == Script::Mixed => Some((usual, 0)),
            Ending::Killed(..)
            | Ending::Traced(..)
            | Ending::Dark(..)
            | Ending::Failing
            | Ending::Deceived(_) => None,
        }
    }
}

/// One of them, by chance.
pub fn one_of<T: Copy, const N: usize>(things: &[T; N], random: &SeededEntropy) -> T {
    const { assert!(N > 0) };
    let count = u64::try_from(N).unwrap_or(1);
    let place = usize::try_from(random.number() % count).unwrap_or(0);
    *things.get(place).unwrap_or(&things[0])
}
