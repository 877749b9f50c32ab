//! What Ctrl-C, SIGTERM and SIGHUP do: the work ends at its next step, the ledger is closed, and
//! the exit code is 128 and the number of the signal.
//!
//! A ledger is sound however a process ends, so nothing here is needed for that. It is for what
//! lies beside: temporary copies, files half written, forks half made. Work stops where it tells of
//! its progress ([`unwind_if_asked`]) and where it writes ([`check`]); what does neither for a
//! while, or is asked again, ends at once.

use crate::signals::{HANGUP, INTERRUPT, Kind, Signals, TERMINATE};
use std::{
    any::Any,
    fmt, io,
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread::{self, Thread},
    time::Duration,
};
use taskledger_contract::exit::Exit;
use tokio::{select, time::sleep};

/// How long work may take to notice.
const GRACE: Duration = Duration::from_secs(2);

/// The number of the signal that asked for the end; 0 as long as none has.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// A signal asked the program to end.
#[derive(Debug)]
pub struct Interrupted {
    /// The number of the signal.
    signal: u8,
}

impl Interrupted {
    #[cfg(test)]
    pub fn by(signal: u8) -> Self {
        Self { signal }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::Signal(self.signal)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From now on these signals ask the calling thread to end its work. Those that the program was
/// started to ignore (`nohup`, a background job of a script) stay ignored.
pub fn listen() {
    let worker = thread::current();
    let (ready, is_ready) = mpsc::sync_channel(1);
    let listener = thread::Builder::new().name("signals".to_owned());
    let started = listener.spawn(move || heed(&worker, &ready));
    if started.is_ok() {
        // Without a listener the system ends the program, which no ledger minds.
        let _ = is_ready.recv();
    }
}

/// Waits for signals on a thread of its own, and never returns if it can.
fn heed(worker: &Thread, ready: &mpsc::SyncSender<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::catch(&[&INTERRUPT, &TERMINATE, &HANGUP])?;
        let _ = ready.send(());
        let first = signals.next().await;
        ASKED.store(first.number(), Ordering::SeqCst);
        worker.unpark();
        select! {
            again = signals.next() => end(again),
            () = sleep(GRACE) => end(first),
        }
    })
}

fn end(signal: &Kind) -> ! {
    process::exit(Exit::Signal(signal.number()).code().into())
}

/// Whether to go on.
///
/// # Errors
///
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    match ASKED.load(Ordering::Relaxed) {
        0 => Ok(()),
        signal => Err(Interrupted { signal }),
    }
}

/// Ends the work on this thread if that was asked for, from where it has no way to answer with an
/// error: [`catching`] gets it back.
pub fn unwind_if_asked() {
    if let Err(interrupted) = check() {
        // No panic, so nobody is told of one.
        panic::resume_unwind(Box::new(interrupted));
    }
}

/// Does `work`, and answers with an error if it was ended by [`unwind_if_asked`].
pub fn catching<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    // What it leaves behind is not looked at again, but for standard output.
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(answer) => answer,
        Err(payload) => Err(interrupted(payload).into()),
    }
}

/// Goes on with any other panic.
fn interrupted(payload: Box<dyn Any + Send>) -> Interrupted {
    match payload.downcast::<Interrupted>() {
        Ok(interrupted) => *interrupted,
        Err(panic) => panic::resume_unwind(panic),
    }
}
