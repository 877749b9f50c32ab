//! Recordings of other agents: whatever is in a file, it is read, and the ledger takes it or not.

use super::Input;
use std::io::Write;
use taskledger::{
    Ledger, Options,
    audit::verify_reader,
    time::{ManualClock, Millis, SeededEntropy},
};
use taskledger_interop::{LedgerSink, ReadOptions, Spooled, import, read};

/// Events of a ledger as lines of JSON.
///
/// # Panics
/// If a claim about imports does not hold.
pub fn jsonl(bytes: &[u8]) {
    brought_in("jsonl", bytes);
}

/// Revisions of a background task manager's state.
///
/// # Panics
/// If a claim about imports does not hold.
pub fn awaken(bytes: &[u8]) {
    brought_in("awaken", bytes);
}

/// Session transcripts.
///
/// # Panics
/// If a claim about imports does not hold.
pub fn claude_code(bytes: &[u8]) {
    brought_in("claude-code", bytes);
}

/// Session events.
///
/// # Panics
/// If a claim about imports does not hold.
pub fn copilot(bytes: &[u8]) {
    brought_in("copilot-cli", bytes);
}

/// The file is read twice with the same outcome, what it tells is taken or refused one by one, and
/// importing it again adds nothing.
fn brought_in(format: &str, bytes: &[u8]) {
    let Ok(spooled) = Spooled::new(bytes) else { return };
    let Ok(dataset) = spooled.dataset(format.parse().ok()) else { panic!("the format is given") };
    let _ = spooled.dataset(None);
    let options = ReadOptions { line_bytes_max: 1 << 16, ..ReadOptions::default() };
    let Ok(recording) = read(&dataset, &options, &mut |_| {}) else {
        panic!("a broken line is no error")
    };
    let Ok(proposals) = recording.collect() else { panic!("the file has not changed") };
    assert_eq!(proposals.len(), recording.len());
    if proposals.is_empty() {
        return;
    }
    let options = Options::default()
        .clock(std::sync::Arc::new(ManualClock::at(Millis(1_700_000_000_000))))
        .entropy(std::sync::Arc::new(SeededEntropy::new(1)));
    let Ok(ledger) = Ledger::in_memory(options) else { panic!("memory gives no errors") };
    let add = || {
        let Ok(mut sink) = LedgerSink::new(&ledger) else { panic!("memory can be read") };
        let report = import(&mut sink, &recording, false, &mut |_| {});
        report.unwrap_or_else(|error| panic!("the ledger refuses one by one: {error:?}"))
    };
    let (first, second) = (add(), add());
    assert_eq!(first.appended + first.present + first.refused, first.proposals);
    if first.refused == 0 {
        assert_eq!(second.appended, 0, "importing again adds nothing");
    }
    assert_eq!(verify_reader(&ledger.reader()).findings, []);
}

/// A file that goes when it is dropped.
pub(super) fn file(bytes: &[u8]) -> Option<tempfile::NamedTempFile> {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let mut file = tempfile::Builder::new().prefix("recording-").tempfile_in(place).ok()?;
    file.write_all(Input(bytes).0).ok()?;
    Some(file)
}
