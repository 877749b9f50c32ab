//! The tail of a history that parted from its ledger's: the events that no other node has.
//!
//! Start reading at [`Tail`].

use crate::{
    command::{Proposal, Redact},
    event::{Action, Entry, Part, PartKind},
    ids::{Epoch, Head, Key, LedgerId, TaskId},
    ledger::{Ledger, ReadError, Reader, read::texts::withholding},
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// The events after the point at which a history parted from its ledger's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tail {
    /// The history up to which it is that of its ledger.
    pub common: Head,
    /// Its end.
    pub head: Head,
    /// The epoch of its last event.
    pub epoch: Option<Epoch>,
    /// The number of its events.
    pub events: u64,
    /// The bytes of its frames.
    pub bytes: u64,
    /// The tasks that its events are about.
    pub tasks: BTreeSet<TaskId>,
    /// Those of them that began in it. The ledger may give the same ids to other tasks.
    pub spawned: BTreeSet<TaskId>,
    /// The redactions in it of events before it. The ledger does not know of them, and shows these
    /// texts again until it is told: record them on its primary. Each has a key, so that recording it
    /// twice does no harm.
    pub redactions: Vec<Proposal>,
}

impl Tail {
    /// Reads the events of a history after `common`. O(bytes of the tail).
    ///
    /// # Errors
    /// As [`Reader::scan`].
    pub(super) fn read(reader: &Reader, common: Head) -> Result<Self, ReadError> {
        let head = reader.head();
        let mut tail = Self {
            common,
            head,
            epoch: None,
            events: 0,
            bytes: 0,
            tasks: BTreeSet::new(),
            spawned: BTreeSet::new(),
            redactions: Vec::new(),
        };
        let Some((first, last)) = common.size.next_seq().zip(head.seq()) else { return Ok(tail) };
        let (now, withheld) = (reader.current(), reader.withheld());
        let reason: fn(&Part) -> bool = |part| part.kind == PartKind::Reason;
        reader.scan_frames(first, last, |seq, frame| {
            let entry = withholding(seq, &frame, (now.redacted(seq), reason), &withheld)?;
            tail.bytes += u64::try_from(frame.len()).unwrap_or(0);
            tail.add(&entry, reader.ledger_id());
            Ok::<_, ReadError>(ControlFlow::Continue(()))
        })?;
        for id in &tail.tasks {
            if reader.task(id)?.is_some_and(|task| task.first_seq.size() > common.size) {
                tail.spawned.insert(id.clone());
            }
        }
        Ok(tail)
    }

    fn add(&mut self, entry: &Entry, ledger: LedgerId) {
        self.events += 1;
        self.epoch = Some(entry.event.epoch);
        self.tasks.extend(entry.event.task.clone());
        if let Action::Redacted { seq, parts } = entry.event.action
            && seq.size() <= self.common.size
        {
            let reason = entry.text(PartKind::Reason).map_or("", |reason| reason);
            let redact = Redact::new(seq, parts, reason);
            self.redactions.push(Proposal::new(redact).key(tail_key(ledger, entry)));
        }
    }
}

/// The key under which an event of a tail is recorded in another history: its own, or else one that
/// follows from its place. So the same event is recorded once, however often it is brought there.
#[must_use]
pub fn tail_key(ledger: LedgerId, entry: &Entry) -> Key {
    let (epoch, seq) = (entry.event.epoch, entry.event.seq.get());
    entry
        .event
        .key
        .unwrap_or_else(|| Key::of(format!("tail of {ledger}, epoch {epoch}, event {seq}")))
}

impl Ledger {
    /// The point up to which the history of a ledger that was
    /// [opened for reading](Self::open_read_only) is that of its ledger; `None` if it did not part from
    /// it. O(1).
    pub fn parted_at(&self) -> Option<Head> {
        self.inner.parted
    }

    /// The events behind [`parted_at`](Self::parted_at); `None` if the history did not part. Blocks.
    ///
    /// # Errors
    /// [`ReadError`] if they could not be read.
    ///
    /// # Cost
    /// O(bytes of the tail).
    pub fn tail_blocking(&self) -> Result<Option<Tail>, ReadError> {
        self.parted_at().map(|common| Tail::read(&self.reader(), common)).transpose()
    }
}
