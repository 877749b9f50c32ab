//! Progress of long work: on standard error, on a terminal only, with rate and time left.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    cell::Cell,
    fmt, fs,
    io::{self, IsTerminal},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Work that takes less shows nothing: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(300);
/// Redrawn so many times a second.
const DRAWS_HZ: u8 = 8;

/// What the work is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events.
    Events,
    /// Bytes.
    Bytes,
    /// Bytes, nobody knows of how many.
    Growing,
}

/// Whether to show progress at all.
#[derive(Debug, Clone, Copy)]
pub struct Shower {
    wanted: bool,
}

impl Shower {
    /// Shows progress if it is `wanted` and somebody can see it.
    pub fn new(wanted: bool) -> Self {
        Self { wanted: wanted && io::stderr().is_terminal() }
    }

    /// Starts to show the progress of `what`. The line goes when the answer is dropped.
    pub fn start(self, what: &str, unit: Unit) -> Shown {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let template = match unit {
            Unit::Events => "{msg} [{bar:24}] {human_pos}/{human_len}  {rate}  ETA {eta}",
            Unit::Bytes => {
                "{msg} [{bar:24}] {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}"
            }
            Unit::Growing => "{msg} {bytes}  {binary_bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A line of progress that cannot be formatted is no loss.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
        bar.set_message(what.to_owned());
        Shown { bar, started: Instant::now(), waits: Cell::new(self.wanted) }
    }

    /// Does `work`, and meanwhile shows how `file` grows.
    pub fn watch<T>(self, what: &str, file: &Path, work: impl FnOnce() -> T) -> T {
        if !self.wanted {
            return work();
        }
        let shown = self.start(what, Unit::Growing);
        let (working, over) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    let len = fs::metadata(file).map_or(0, |found| found.len());
                    shown.set(len, len);
                }
            });
            let done = work();
            drop(working);
            done
        })
    }
}

/// Progress that is being shown; the line is cleared when it is dropped.
#[derive(Debug)]
pub struct Shown {
    bar: ProgressBar,
    started: Instant,
    /// Whether it is to be shown, but is not yet.
    waits: Cell<bool>,
}

impl Shown {
    /// So much is done of so much.
    pub fn set(&self, done: u64, total: u64) {
        if self.waits.get() && self.started.elapsed() >= PATIENCE {
            self.waits.set(false);
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_HZ));
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number of bytes for people: `3.2 MiB`.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}
