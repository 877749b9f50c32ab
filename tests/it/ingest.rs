//! Frames of another ledger: what does not continue the log is refused, each with its own kind.

use crate::support::*;
use std::sync::Arc;
use taskledger::{
    Code, Ledger, codec,
    event::{Entry, Outcome},
    ids::{Head, LedgerId, Root, Seq},
    ledger::{AppendError, Discontinuity, Fork, ReadError},
    store::faulty::{Call, Effect, Fault, FaultyDisk},
};

/// A ledger of one task, and what its sender would send next.
fn sender() -> (Ledger, Vec<Entry>) {
    let sender = ledger();
    append(&sender, [spawn("a")]);
    append(&sender, [finish("a")]); // no batch, which could only be sent whole
    let sent = entries(&sender);
    (sender, sent)
}

/// Why the last of these is refused, by a ledger that has taken those before it.
#[track_caller]
fn refusal(sent: &[Entry]) -> Discontinuity {
    let (last, before) = sent.split_last().unwrap();
    let frames = before.iter().map(|entry| codec::encode(entry).unwrap()).collect();
    why(frames, codec::encode(last).unwrap(), None)
}

#[track_caller]
fn why(before: Vec<Vec<u8>>, last: Vec<u8>, expect: Option<Head>) -> Discontinuity {
    let receiver = standby_of(&ledger());
    let head = receiver.ingest_blocking(before, None).unwrap();
    let refused = receiver.ingest_blocking(vec![last], expect).unwrap_err();
    assert_eq!(receiver.reader().head(), head, "all or nothing");
    let AppendError::NotContinuation { at, why } = refused else { panic!("{refused}") };
    assert_eq!(at.get(), head.size.get() + 1);
    why
}

#[test]
fn an_event_that_is_not_the_next_is_a_gap() {
    let (_, mut sent) = sender();
    let skipped = sent.remove(1);
    let why = refusal(&sent);
    let found = skipped.event.seq.next().unwrap();
    assert_eq!(why, Discontinuity::Gap { expected: skipped.event.seq, found });
    assert_eq!(why.code(), Code::DiscontinuityGap);
}

#[test]
fn an_event_that_is_linked_to_another_history_is_a_fork() {
    let (_, mut sent) = sender();
    sent[2].event.prev_in_task = Some(Seq::FIRST);
    let why = refusal(&sent);
    let (whose, expected, found) = ("of its task", Seq::new(2), Some(Seq::FIRST));
    assert_eq!(why, Discontinuity::Fork(Fork::Link { whose, expected, found }));
    assert_eq!(why.code(), Code::DiscontinuityFork);
}

#[test]
fn bytes_that_are_no_frame_of_the_format_are_damage() {
    let (_, sent) = sender();
    let mut frames: Vec<_> = sent.iter().map(|entry| codec::encode(entry).unwrap()).collect();
    let mut last = frames.pop().unwrap();
    *last.last_mut().unwrap() ^= 1;
    let why = why(frames, last, None);
    assert!(matches!(why, Discontinuity::Frame(codec::DecodeError::Checksum { .. })), "{why}");
    assert_eq!(why.code(), Code::DiscontinuityFrame);
}

#[test]
fn an_event_of_an_epoch_that_nobody_began_says_so() {
    let (_, mut sent) = sender();
    let previous = sent[2].event.epoch;
    sent[2].event.epoch.number += 1;
    let why = refusal(&sent);
    assert_eq!(why, Discontinuity::Epoch { previous, found: sent[2].event.epoch });
    assert_eq!(why.code(), Code::DiscontinuityEpoch);
}

#[test]
fn events_that_do_not_lead_where_they_must_have_another_root() {
    let (sender, sent) = sender();
    let mut frames: Vec<_> = sent.iter().map(|entry| codec::encode(entry).unwrap()).collect();
    let last = frames.pop().unwrap();
    let found = sender.reader().head();
    let expected = Head { root: Root([7; 32]), ..found };
    let why = why(frames, last, Some(expected));
    assert_eq!(why, Discontinuity::Root { expected, found });
    assert_eq!(why.code(), Code::DiscontinuityRoot);
}

// It was "cannot be recorded as it stands", which an import counts as a line that is wrong.
#[test]
fn an_event_that_cannot_be_read_is_no_fault_of_the_append_that_needs_it() {
    let disk = FaultyDisk::new(1);
    let store = Arc::new(disk.open().unwrap());
    let ledger = Ledger::over_store(store.clone(), store, LedgerId([1; 16]), options()).unwrap();
    append(&ledger, [keyed(spawn("a"), 1)]);
    disk.fail(Fault { call: Call::Read, after: 0, effect: Effect::FailsOnce });
    let refused = ledger.append_blocking([keyed(spawn("a"), 1)]).unwrap_err();
    let AppendError::Unreadable { seq, source } = &refused else { panic!("{refused}") };
    assert_eq!(seq.get(), 2);
    assert!(matches!(**source, ReadError::Store(_)), "{source}");
    assert_eq!((refused.code(), refused.is_retryable()), (Code::StorageFailed, false));
    let again = ledger.append_blocking([keyed(spawn("a"), 1)]).unwrap();
    assert!(again[0].repeated);
    append(&ledger, [finish_with("a", Outcome::Completed, None)]);
}
