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
//!     let mut sink = interop::LedgerSink::new(&ledger)?;
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
//! One folder per format, and one line in [`IMPORTERS`] or [`EXPORTERS`]: a new format changes
//! nothing else. Every one gives the same facts for the same bytes, and the same keys, so that
//! importing again adds nothing. A broken line is counted, reported with its number, and skipped.

mod apply;
mod awaken;
mod claude_code;
mod copilot;
mod demo;
mod detect;
mod error;
mod identity;
mod importer;
mod input;
pub mod jsonl;
mod lax;
mod ledger_sink;
mod likeness;
mod lines;
mod mend;
mod names;
mod notes;
mod options;
mod plan;
mod recording;
mod records;
mod sort;
mod spool;
mod tally;
mod text;
mod when;

pub use apply::{
    BATCH_MAX, Known, Owner, REFUSED_KEPT_MAX, Refused, Report, Sink, SinkError, import,
};
pub use demo::demo_recording_files;
pub use detect::{Found, Importers, Spooled, find_among, look_among};
pub use error::{ImportError, ReadError};
pub use importer::{Dataset, Export, Exporter, Format, Importer};
pub use input::Input;
pub use ledger_sink::{Append, LedgerSink};
pub use notes::NOTE;
pub use options::{Grain, Phase, Progress, ReadOptions};
pub use recording::{Proposals, Recording};
pub use tally::{BAD_LINES_KEPT_MAX, BadLine, Tally};

use std::{path::PathBuf, str::FromStr};

/// Every format that can be read, in the order in which they are tried.
pub static IMPORTERS: [&dyn Importer; 4] =
    [&jsonl::Jsonl, &awaken::Awaken, &claude_code::ClaudeCode, &copilot::CopilotCli];

/// Every format that can be written.
pub static EXPORTERS: [&dyn Exporter; 1] = [&jsonl::Jsonl];

/// Finds the recordings in `paths`, in any of [`IMPORTERS`]: see [`find_among`].
///
/// # Errors
/// As [`find_among`].
pub fn find(paths: &[PathBuf], format: Option<Format>) -> Result<Vec<Dataset>, ReadError> {
    find_among(&IMPORTERS, paths, format)
}

/// Finds the recordings in `paths`, in any of [`IMPORTERS`]: see [`look_among`].
#[must_use]
pub fn look(paths: &[PathBuf], format: Option<Format>) -> Found {
    look_among(&IMPORTERS, paths, format)
}

impl Spooled {
    /// The recording, called `-` in reports, in one of [`IMPORTERS`]' formats.
    ///
    /// # Errors
    /// As [`Spooled::dataset_among`].
    pub fn dataset(&self, format: Option<Format>) -> Result<Dataset, ReadError> {
        self.dataset_among(&IMPORTERS, format)
    }
}

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
    dataset.format.0.read(&dataset.inputs, options, progress)
}

/// Reads recordings, those of a format together: one may tell of what another began, or be a copy
/// of it. One answer for each, in the same order.
pub fn read_all(
    datasets: &[Dataset],
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Vec<Result<Recording, ReadError>> {
    let mut read: Vec<Option<Result<Recording, ReadError>>> =
        datasets.iter().map(|_| None).collect();
    let mut formats: Vec<Format> = datasets.iter().map(|dataset| dataset.format).collect();
    formats.dedup();
    formats.sort_by_key(|format| format.as_str());
    formats.dedup();
    for format in formats {
        let of = |dataset: &Dataset| dataset.format == format;
        let inputs: Vec<&[Input]> =
            datasets.iter().filter(|d| of(d)).map(|d| d.inputs.as_slice()).collect();
        let together = format.0.read_together(&inputs, options, progress);
        let places = datasets.iter().zip(&mut read).filter(|(dataset, _)| of(dataset));
        for ((_, place), recording) in places.zip(together) {
            *place = Some(recording);
        }
    }
    read.into_iter().flatten().collect()
}

/// The key under which a call of a tool in a session transcript is recorded, and its end: for
/// tests of what an earlier import left in a ledger.
#[doc(hidden)]
#[must_use]
pub fn key_of_call(thread: &str, task: &str, what: &str) -> taskledger::ids::Key {
    plan::key(["claude-code", thread, task, what])
}

/// The name is not that of one of [`IMPORTERS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {found:?}: {} are known", names())]
pub struct UnknownFormat {
    /// Says what was asked for.
    pub found: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let known = IMPORTERS.into_iter().find(|importer| importer.id() == text);
        known.map(Format).ok_or_else(|| UnknownFormat { found: text.to_owned() })
    }
}

/// The ids of [`IMPORTERS`], separated by commas.
fn names() -> String {
    IMPORTERS.map(Importer::id).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_what_its_records_hold() {
        let cases = [
            (r#"{"schema":"taskledger.event/v1","action":"began"}"#, Some("jsonl")),
            (r#"{"key":"background_task_state","value":{}}"#, Some("awaken")),
            (r#"{"tasks":{}}"#, Some("awaken")),
            (r#"{"type":"session.start","data":{}}"#, Some("copilot-cli")),
            (r#"{"type":"user","sessionId":"s"}"#, Some("claude-code")),
            (r#"{"type":"file-history-snapshot"}"#, Some("claude-code")),
            (r#"{"type":"session_meta","payload":{}}"#, None),
            (r#"{"type":"response_item"}"#, None),
            ("{", None),
        ];
        for (record, format) in cases {
            let found = IMPORTERS.iter().find(|importer| importer.detect(record.as_bytes()));
            assert_eq!(found.map(|importer| importer.id()), format, "{record}");
        }
    }
}
