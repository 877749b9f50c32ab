//! The signals that this program heeds.
//!
//! `run` passes them on to a command; every other command ends its work in order. A signal that was
//! ignored when this program began (`nohup`, a background job of a script) stays ignored, also for
//! a command that is run.

use rustix::process::Signal as Number;
use std::{
    fs,
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::yield_now,
};

/// How long to wait for a signal that is on its way; it never takes as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// A signal.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// As people call it.
    pub name: &'static str,
    /// The same for the system.
    pub signal: Number,
    /// Whether it is a request to stop.
    pub stops: bool,
}

/// What Ctrl-C sends.
pub const INTERRUPT: Kind = Kind { name: "SIGINT", signal: Number::INT, stops: true };
/// What Ctrl-\ sends.
pub const QUIT: Kind = Kind { name: "SIGQUIT", signal: Number::QUIT, stops: true };
/// What `kill`, `timeout` and service managers send.
pub const TERMINATE: Kind = Kind { name: "SIGTERM", signal: Number::TERM, stops: true };
/// What a terminal sends that goes away.
pub const HANGUP: Kind = Kind { name: "SIGHUP", signal: Number::HUP, stops: true };
/// What programs give a meaning of their own.
pub const USER_1: Kind = Kind { name: "SIGUSR1", signal: Number::USR1, stops: false };
/// As [`USER_1`].
pub const USER_2: Kind = Kind { name: "SIGUSR2", signal: Number::USR2, stops: false };

impl Kind {
    /// The number of the signal.
    pub fn number(&self) -> u8 {
        u8::try_from(self.signal.as_raw()).unwrap_or(u8::MAX)
    }

    /// Its bit in a set of signals.
    fn bit(&self) -> u64 {
        1_u64.checked_shl(u32::from(self.number().saturating_sub(1))).unwrap_or(0)
    }
}

/// Signals that are caught.
#[derive(Debug)]
pub struct Signals {
    caught: Vec<(&'static Kind, Signal)>,
}

impl Signals {
    /// Catches those of `kinds` that are not ignored, from now on and for good. Needs a runtime.
    pub fn catch(kinds: &[&'static Kind]) -> io::Result<Self> {
        let ignored = ignored();
        let heeded = kinds.iter().filter(|kind| ignored & kind.bit() == 0);
        let caught =
            heeded.map(|kind| Ok((*kind, signal(SignalKind::from_raw(kind.signal.as_raw()))?)));
        Ok(Self { caught: caught.collect::<io::Result<_>>()? })
    }

    /// The next one. It stays to be seen if the future is dropped.
    pub async fn next(&mut self) -> &'static Kind {
        poll_fn(|context| self.poll(context)).await
    }

    /// The next request to stop; what else comes is dropped.
    pub async fn next_stop(&mut self) -> &'static Kind {
        loop {
            let signal = self.next().await;
            if signal.stops {
                return signal;
            }
        }
    }

    /// One that has come already, if there is one.
    pub async fn come(&mut self) -> Option<&'static Kind> {
        let mask = self.caught.iter().fold(0, |mask, (kind, _)| mask | kind.bit());
        let began = Instant::now();
        // Twice in a row: a thread may take a signal while it is looked at.
        while !(are_handled(mask) && are_handled(mask)) && began.elapsed() < PATIENCE {
            yield_now().await;
        }
        // Lets the runtime look at what its handlers were told.
        yield_now().await;
        poll_fn(|context| {
            Poll::Ready(match self.poll(context) {
                Poll::Ready(signal) => Some(signal),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<&'static Kind> {
        for (kind, signal) in &mut self.caught {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(kind);
            }
        }
        Poll::Pending
    }
}

/// The signals that this process was told to ignore; none where that cannot be told.
fn ignored() -> u64 {
    set(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "SigIgn:")
}

/// Whether every signal of `mask` that was sent to this process has met its handler; also where
/// that cannot be told.
///
/// The system gives a signal to any thread. It is pending first; then its thread runs, whatever
/// it waited for, and calls the handler. So it is on its way as long as it is pending, or another
/// thread than this one runs.
fn are_handled(mask: u64) -> bool {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let told = threads.map(|thread| fs::read_to_string(thread.path().join("status")));
    let told: Vec<String> = told.map(Result::unwrap_or_default).collect();
    let runs = |told: &&String| told.contains("\nState:\tR");
    let pending = told.iter().any(|told| (set(told, "SigPnd:") | set(told, "ShdPnd:")) & mask != 0);
    !pending && told.iter().filter(runs).count() <= 1
}

/// A set of signals in what the system tells of a thread, one bit for each.
fn set(status: &str, name: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix(name));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
