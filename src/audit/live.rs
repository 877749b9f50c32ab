//! An audit of the events that an open ledger gives, for ledgers in memory and for tests.

use super::{
    content::Content,
    history::History,
    report::{FindingKind, Findings, Report},
};
use crate::{
    codec,
    ids::Seq,
    ledger::{Readable, Reader},
};
use std::ops::ControlFlow;

/// Checks every event that `reader` gives, as [`verify`](super::verify) does, but not the files
/// that hold them. O(events). Blocks.
///
/// # Example
/// ```
/// use taskledger::{Ledger, Options, audit::verify_reader, command::Spawn, ids::ThreadId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
/// assert!(verify_reader(&ledger.reader()).is_ok());
/// # Ok(())
/// # }
/// ```
pub fn verify_reader(reader: &Reader) -> Report {
    let (mut history, mut findings) = (History::default(), Findings::default());
    let head = reader.head();
    history.expect(head, FindingKind::Root, "the head");
    history.start(&mut findings);
    let mut next = Seq::FIRST;
    if let Some(last) = head.seq() {
        let read = reader.scan(Seq::FIRST, last, |entry| {
            match codec::encode(&entry) {
                Ok(frame) => history.frame(next, &Content::of(&frame), &mut findings),
                Err(error) => findings.add(next, FindingKind::Frame, error.to_string()),
            }
            next = next.next().unwrap_or(next);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            findings.add(next, FindingKind::Frame, error.to_string());
        }
    }
    // A text that was redacted during the reading is erased in the events that were read after it.
    let head = history.finish(&reader.current(), &mut findings);
    findings.report(head, Readable::all(head))
}
