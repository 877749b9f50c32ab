//! What must be left when a process was killed.

use crate::{child::options, work::Place};
use std::{collections::BTreeMap, ops::ControlFlow, path::Path};
use taskledger::{
    Ledger,
    audit::{VerifyOptions, verify, verify_reader},
    event::{Action, Entry},
    ids::{Head, Seq},
    ledger::{Durability, OpenError},
};

/// What is known of a ledger from outside.
#[derive(Debug)]
pub(crate) struct Known {
    /// A child, or a check, had it open: from then on there is a ledger.
    pub(crate) opened: bool,
    /// Every event that was acknowledged, by its number in the log: lane, and number in the lane.
    pub(crate) acknowledged: BTreeMap<u64, (u64, u64)>,
    /// What the last check found. An opening makes it durable, so it stays.
    pub(crate) seen: Head,
}

impl Default for Known {
    fn default() -> Self {
        Self { opened: false, acknowledged: BTreeMap::new(), seen: Head::EMPTY }
    }
}

/// Opens the ledger at `path` and holds it against what is known.
pub(crate) fn check(path: &Path, durability: Durability, known: &mut Known) -> Result<(), String> {
    if known.opened {
        audit_files(path, None)?;
    }
    let ledger = match Ledger::open(path, options(durability)) {
        Ok(ledger) => ledger,
        // Killed while it was created: nothing was promised, and the next child creates it.
        Err(OpenError::NotFound { .. }) if !known.opened => return Ok(()),
        Err(error) => return Err(format!("it does not open: {error:?}")),
    };
    known.opened = true;
    let reader = ledger.reader();
    let head = reader.head();
    if reader.synced() != head {
        return Err(format!("{head:?} is shown, but only {:?} is durable", reader.synced()));
    }
    let root = reader.root_at(known.seen.size).map_err(|e| format!("events are gone: {e}"))?;
    if root != known.seen.root {
        return Err(format!("the first {} events are others now", known.seen.size));
    }
    let mut log = Log::default();
    let mut wrong = None;
    if let Some(last) = head.seq() {
        let visit = |entry: Entry| match log.visit(&entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                wrong = Some(format!("event {}: {why}", entry.event.seq));
                ControlFlow::Break(())
            }
        };
        reader.scan(Seq::FIRST, last, visit).map_err(|error| format!("{error:?}"))?;
    }
    wrong.map_or(Ok(()), Err)?;
    log.end(head, known)?;
    let report = verify_reader(&reader);
    if !report.is_ok() || report.head() != head {
        return Err(format!("the audit says {report:?}"));
    }
    known.seen = head;
    ledger.close_blocking().map_err(|error| format!("it does not close: {error:?}"))?;
    drop(ledger);
    audit_files(path, Some(head))
}

/// Every file, from bytes; of a ledger that was killed and not opened since, too.
fn audit_files(path: &Path, head: Option<Head>) -> Result<(), String> {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {});
    let report = report.map_err(|error| format!("it cannot be audited: {error:?}"))?;
    if report.is_ok() && head.is_none_or(|head| report.head() == head) {
        return Ok(());
    }
    Err(format!("the audit of the files says {report:?}, not {head:?}"))
}

/// A log as it is read.
#[derive(Debug, Default)]
struct Log {
    size: u64,
    incarnation: u64,
    /// The last event of each lane.
    lanes: BTreeMap<u64, Place>,
    /// The place of each event that was asked for.
    places: BTreeMap<u64, Place>,
    /// A batch of which not all has been read.
    open: Option<Place>,
}

impl Log {
    fn visit(&mut self, entry: &Entry) -> Result<(), String> {
        self.size += 1;
        let seq = entry.event.seq.get();
        if seq != self.size {
            return Err(format!("{} is missing", self.size));
        }
        if let Action::Began { incarnation, .. } = &entry.event.action {
            let before = std::mem::replace(&mut self.incarnation, *incarnation);
            let follows = *incarnation == before + 1 && self.open.is_none();
            return if follows { Ok(()) } else { Err(format!("a writer after {before}")) };
        }
        let place = Place::of(entry).ok_or_else(|| format!("nobody appended {entry:?}"))?;
        if entry.event.key != Some(place.key()) {
            return Err(format!("{place:?} has the key {:?}", entry.event.key));
        }
        let next = self.lanes.get(&place.lane).map_or(1, |last| last.number + 1);
        if place.number != next {
            return Err(format!("{place:?} where {next} comes next: not a prefix"));
        }
        let goes_on = match self.open {
            Some(open) => (place.lane, place.first, place.len) == (open.lane, open.first, open.len),
            None => place.number == place.first,
        };
        if !goes_on {
            return Err(format!("{place:?} amid {:?}: not a whole batch", self.open));
        }
        self.open = (!place.is_last()).then_some(place);
        self.lanes.insert(place.lane, place);
        self.places.insert(seq, place);
        Ok(())
    }

    fn end(&self, head: Head, known: &Known) -> Result<(), String> {
        if let Some(open) = &self.open {
            return Err(format!("the log ends within a batch, with {open:?}"));
        }
        if self.size != head.size {
            return Err(format!("{} events are read, the head is {head:?}", self.size));
        }
        for (seq, said) in &known.acknowledged {
            let found = self.places.get(seq).map(|place| (place.lane, place.number));
            if found != Some(*said) {
                return Err(format!("event {seq} was acknowledged as {said:?} and is {found:?}"));
            }
        }
        Ok(())
    }
}
