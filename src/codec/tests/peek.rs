//! The beginning of an event is told as decoding tells it.

use super::super::{DecodeError, Told, decode, peek};
use crate::{
    event::{Action, CancelScope},
    ids::{TaskId, ThreadId},
};

fn told(action: &Action) -> Told {
    match action {
        Action::Upserted { .. } | Action::Restored { .. } => Told::Task,
        Action::CancelRequested { scope: CancelScope::Thread, .. } => Told::Stop,
        Action::CancelRequested { scope: CancelScope::Run(_), .. }
        | Action::Redacted { .. }
        | Action::Began { .. } => Told::Mark,
        Action::CancelRequested { scope: CancelScope::Task | CancelScope::Tree, .. }
        | Action::Terminated { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. } => Told::Other,
    }
}

#[test]
fn every_golden_frame_is_peeked_as_it_is_decoded() {
    let mut kinds = Vec::new();
    for (name, _, frame) in super::golden::all() {
        let (event, peeked) = (decode(frame).unwrap().event, peek(frame).unwrap());
        assert_eq!((peeked.seq, peeked.recorded), (event.seq, event.recorded), "{name}");
        assert_eq!(peeked.thread, event.thread.as_ref().map(ThreadId::as_str), "{name}");
        assert_eq!(peeked.task, event.task.as_ref().map(TaskId::as_str), "{name}");
        assert_eq!(peeked.told, told(&event.action), "{name}");
        if !kinds.contains(&peeked.told) {
            kinds.push(peeked.told);
        }
    }
    assert_eq!(kinds.len(), 4, "the golden frames tell of each kind");
}

#[test]
fn a_changed_or_cut_frame_is_not_peeked() {
    for (name, _, frame) in super::golden::all() {
        for at in 0..frame.len() {
            let mut changed = frame.to_vec();
            changed[at] ^= 4;
            assert!(peek(&changed).is_err(), "{name}: byte {at}");
            assert!(peek(&frame[..at]).is_err(), "{name}: cut at {at}");
        }
    }
}

/// An action of a later version is told to be one, as decoding tells it.
#[test]
fn an_action_of_a_later_version_is_none_of_this_one() {
    let (_, _, frame) = super::golden::all()
        .into_iter()
        .find(|(name, ..)| *name == "08-terminated-cancelled")
        .unwrap();
    let event = decode(frame).unwrap().event;
    let told = |tag: u8| {
        let mut newer = frame.to_vec();
        // The tag stands before the outcome, 2, and the time of the end.
        let at = newer.windows(3).position(|bytes| bytes == [1, 2, 253]).unwrap();
        newer[at] = tag;
        let crc = crc32c::crc32c(&newer[8..]).to_le_bytes();
        newer[4..8].copy_from_slice(&crc);
        peek(&newer).map(|peek| (peek.seq, peek.told))
    };
    assert_eq!(told(1).unwrap(), (event.seq, Told::Other));
    let refused = told(8).unwrap_err();
    assert!(matches!(refused, DecodeError::UnsupportedFormat { what: "action", found: 8, max: 7 }));
}
