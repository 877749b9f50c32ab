//! What Ctrl-C does: the work ends at its next step, the ledger is closed, and the exit code is 130.
//!
//! A ledger is sound however a process ends, so nothing here is needed for that. It is for what
//! lies beside: temporary copies, files half written, forks half made. Work stops where it tells of
//! its progress ([`unwind_if_asked`]) and where it writes ([`check`]); what does neither for a
//! while, or asks again, ends at once.

use std::{
    any::Any,
    fmt, fs,
    panic::{self, AssertUnwindSafe},
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Thread},
    time::{Duration, Instant},
};
use taskledger_contract::exit::Exit;

/// How long work may take to notice.
const GRACE: Duration = Duration::from_secs(2);

static ASKED: AtomicBool = AtomicBool::new(false);

/// Somebody asked the program to end.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From now on Ctrl-C asks the calling thread to end its work, unless whoever started the program
/// told it to ignore that (`nohup`, a background job of a script).
pub fn listen() {
    if is_ignored() {
        return;
    }
    let worker = thread::current();
    // Without a handler the system ends the program, which no ledger minds.
    let _ = ctrlc::set_handler(move || asked(&worker));
}

fn asked(worker: &Thread) {
    if ASKED.swap(true, Ordering::SeqCst) {
        end();
    }
    worker.unpark();
    // Beside the handler, which is to hear the next Ctrl-C.
    thread::spawn(|| {
        let began = Instant::now();
        while began.elapsed() < GRACE {
            thread::park_timeout(GRACE);
        }
        end();
    });
}

/// Whether the program was started with Ctrl-C ignored; not where that cannot be told.
fn is_ignored() -> bool {
    /// The bit of SIGINT, which is signal 2.
    const INTERRUPT: u64 = 1 << 1;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & INTERRUPT != 0)
}

fn end() -> ! {
    process::exit(Exit::Interrupted.code().into())
}

/// Whether to go on.
///
/// # Errors
///
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if ASKED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
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
