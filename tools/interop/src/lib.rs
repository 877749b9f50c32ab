//! Recordings of agents, brought into a task ledger, and events brought out of it.
//!
//! [`find`] looks at what a path holds, [`read()`] turns one recording into proposals in order,
//! and [`import()`] appends those that a ledger does not have yet:
//!
//! ```
//! # use taskledger_interop as interop;
//! # let ledger = taskledger::Ledger::in_memory(taskledger::Options::default())?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("session.jsonl");
//! # std::fs::write(&path, r#"{"type":"summary","sessionId":"s"}"#)?;
//! for dataset in interop::find(&[path], None)? {
//!     let recording = interop::read(&dataset, &Default::default(), &mut |_| {})?;
//!     let mut sink = interop::LedgerSink::new(&ledger);
//!     let report = interop::import(&mut sink, &recording, false, &mut |_| {})?;
//!     println!("{} records, {} events", recording.tally.records, report.appended);
//!     for line in &recording.tally.bad_lines {
//!         println!("{line}");
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A recording is read twice: once in full, one line at a time, keeping small facts; and again
//! where a text is needed. So a file of any size is read in memory that grows with its tasks, not
//! with its bytes.
//!
//! One file per format: `jsonl`, `awaken`, `claude_code`, `copilot`. Every one gives the same
//! facts for the same bytes, and the same keys, so that importing again adds nothing. A broken
//! line is counted, reported with its number, and skipped.

mod apply;
mod awaken;
mod claude_code;
mod copilot;
mod demo;
mod detect;
mod error;
mod fetch;
pub mod jsonl;
mod lax;
mod ledger_sink;
mod lines;
mod plan;
mod recording;
mod sort;
mod text;
mod when;

pub use apply::{
    BATCH_MAX, Known, Owner, REFUSED_KEPT_MAX, Refused, Report, Sink, SinkError, import,
};
pub use demo::demo_recording_files;
pub use detect::{Dataset, Spooled, find, recognise};
pub use error::{ImportError, ReadError};
pub use fetch::Proposals;
pub use ledger_sink::LedgerSink;
pub use recording::{
    BAD_LINES_KEPT_MAX, BadLine, Format, Grain, Input, Phase, Progress, ReadOptions, Recording,
    Tally, UnknownFormat,
};

/// Reads one recording in full and puts what it tells in order. O(bytes) time.
///
/// # Errors
/// [`ReadError::Io`] and [`ReadError::Changed`]. Broken lines are no error: see
/// [`Recording::tally`].
pub fn read(
    dataset: &Dataset,
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recording, ReadError> {
    match dataset.format {
        Format::Jsonl => jsonl::read(dataset, options, progress),
        Format::Awaken => awaken::read(dataset, options, progress),
        Format::ClaudeCode => claude_code::read(dataset, options, progress),
        Format::CopilotCli => copilot::read(dataset, options, progress),
    }
}
