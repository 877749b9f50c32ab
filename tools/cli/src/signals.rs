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
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::yield_now,
};

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

    /// Whether it is among these signals, one bit for each.
    fn is_in(&self, mask: u64) -> bool {
        let bit = 1_u64.checked_shl(u32::from(self.number().saturating_sub(1)));
        bit.is_some_and(|bit| mask & bit != 0)
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
        let heeded = kinds.iter().filter(|kind| !kind.is_in(ignored));
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
        // Lets the runtime look at what the system has told.
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

/// The signals that this process was told to ignore, one bit for each; none where that cannot be
/// told.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
