//! The signals that are passed on to a command.
//!
//! They are caught from before anything is recorded until its end is. A signal that was ignored
//! when this program began (`nohup`, a background job of a script) stays ignored, also for the
//! command.

use std::{fs, io};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};

/// A signal that is passed on.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// As people call it.
    pub name: &'static str,
    /// The same for the system.
    pub signal: rustix::process::Signal,
}

const INTERRUPT: Passed = Passed { name: "SIGINT", signal: rustix::process::Signal::INT };
const TERMINATE: Passed = Passed { name: "SIGTERM", signal: rustix::process::Signal::TERM };
const HANGUP: Passed = Passed { name: "SIGHUP", signal: rustix::process::Signal::HUP };

impl Passed {
    /// The exit code of a program that this signal ended, as shells count.
    pub fn code(&self) -> u8 {
        128_u8.saturating_add(u8::try_from(self.signal.as_raw()).unwrap_or(u8::MAX))
    }
}

/// Signals that were caught and wait to be passed on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    /// Catches them from now on. Needs a runtime.
    pub fn catch() -> io::Result<Self> {
        let ignored = ignored();
        let caught = |passed: &Passed| {
            let number = passed.signal.as_raw();
            let bit = 1_u64.checked_shl(u32::try_from(number - 1).unwrap_or(u32::MAX));
            let heeded = bit.is_none_or(|bit| ignored & bit == 0);
            heeded.then(|| signal(SignalKind::from_raw(number))).transpose()
        };
        Ok(Self {
            interrupt: caught(&INTERRUPT)?,
            terminate: caught(&TERMINATE)?,
            hangup: caught(&HANGUP)?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> &'static Passed {
        select! {
            () = received(self.interrupt.as_mut()) => &INTERRUPT,
            () = received(self.terminate.as_mut()) => &TERMINATE,
            () = received(self.hangup.as_mut()) => &HANGUP,
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The signals that this process was told to ignore, one bit for each; none where that cannot be
/// told.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
