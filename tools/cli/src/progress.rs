//! Progress of long work: on standard error, on a terminal only, with rate and time left.

use crate::interrupt;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    cell::Cell,
    fmt,
    io::{self, IsTerminal},
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
    /// So much is done of so much. Where the work is interrupted, it ends here.
    pub fn set(&self, done: u64, total: u64) {
        interrupt::unwind_if_asked();
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
