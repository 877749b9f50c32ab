//! Progress of long work: on standard error, on a terminal only, with rate and time left.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};

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

    /// Starts to show the progress of `what`. Drop it, or finish it, to clear the line.
    pub fn start(self, what: &str, unit: Unit, total: u64) -> Shown {
        let bar = ProgressBar::new(total);
        bar.set_draw_target(if self.wanted {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let template = match unit {
            Unit::Events => "{msg} [{bar:24}] {human_pos}/{human_len} {per_sec:>14} ETA {eta}",
            Unit::Bytes => {
                "{msg} [{bar:24}] {bytes}/{total_bytes} {binary_bytes_per_sec:>14} ETA {eta}"
            }
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_message(what.to_owned());
        Shown { bar }
    }
}

/// Progress that is being shown; the line is cleared when it is dropped.
#[derive(Debug)]
pub struct Shown {
    bar: ProgressBar,
}

impl Shown {
    /// So much is done of so much.
    pub fn set(&self, done: u64, total: u64) {
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
