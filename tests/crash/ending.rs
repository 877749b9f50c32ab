//! How and when a child comes to its end.

use std::{env, process::Command};
use taskledger::time::{Entropy, SeededEntropy};

/// Lines after which a child is killed, at most: some are killed while they open.
const LINES_MAX: u64 = 120;
/// Turns of an empty loop from there to the end, at most, as a power of two: from less than a call
/// to the disk takes to more than an opening.
const TURNS_BITS_MAX: u64 = 22;
/// Calls of one thread after which `strace` steps in, at most.
const CALLS_MAX: u64 = 120;

/// Calls that change what is on the disk.
const CALLS: [&str; 8] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "openat",
    "ftruncate,fallocate,mkdir,mkdirat",
    "sync_file_range,write",
];
/// Those of them that say so when they fail.
const MAY_FAIL: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "rename,renameat,renameat2"];

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// The parent sends SIGKILL.
    Killed,
    /// Another thread of the child aborts it.
    Aborted,
    /// It is killed as it makes a call to the disk.
    KilledAtACall,
    /// A call to the disk fails, and it aborts when an append says so.
    AfterAFailedCall,
}

/// One ending, in full.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) ending: Ending,
    /// After so many lines, and so many turns of an empty loop. A child that is not stopped at a
    /// call is aborted then.
    pub(crate) lines: u64,
    pub(crate) turns: u64,
    /// What `strace` does to which calls.
    inject: String,
}

impl Plan {
    pub(crate) fn draw(random: &SeededEntropy) -> Self {
        let below = |max: u64| random.number() % max;
        let traced = env::var_os("TASKLEDGER_CRASH_STRACE").is_some();
        let ending = match below(if traced { 4 } else { 2 }) {
            0 => Ending::Killed,
            1 => Ending::Aborted,
            2 => Ending::KilledAtACall,
            _ => Ending::AfterAFailedCall,
        };
        let early = below(4) == 0;
        let lines = below(if early { 2 } else { LINES_MAX });
        let turns = below(1 << below(TURNS_BITS_MAX));
        let nth = 1 + below(CALLS_MAX);
        let one_of = |calls: &[&'static str]| {
            calls[usize::try_from(below(u64::try_from(calls.len()).unwrap())).unwrap()]
        };
        let inject = match ending {
            Ending::Killed | Ending::Aborted => String::new(),
            Ending::KilledAtACall => format!("{}:signal=SIGKILL:when={nth}", one_of(&CALLS)),
            Ending::AfterAFailedCall => format!("{}:error=EIO:when={nth}", one_of(&MAY_FAIL)),
        };
        Self { ending, lines, turns, inject }
    }

    /// The child aborts by itself after so many lines and turns.
    pub(crate) fn abort(&self) -> (u64, u64) {
        match self.ending {
            Ending::Killed => (u64::MAX - 1, 0),
            Ending::Aborted => (self.lines, self.turns),
            Ending::KilledAtACall | Ending::AfterAFailedCall => (LINES_MAX, 0),
        }
    }

    /// What runs the test binary.
    pub(crate) fn command(&self) -> Command {
        let binary = env::current_exe().unwrap();
        if self.inject.is_empty() {
            return Command::new(binary);
        }
        let mut command = Command::new("strace");
        command.args(["-f", "-qqq", "-o", "/dev/null", "-e", "signal=none"]);
        command.args(["-e", &format!("inject={}", self.inject)]).arg(binary);
        command
    }
}
