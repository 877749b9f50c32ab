//! The contents of a snapshot, and the reasons to distrust one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{
    event::{Action, Began, Cause, Entry, Event, PartSet},
    ids::{Epoch, LedgerId, NodeId, Seq},
    time::Millis,
};

fn state() -> (LedgerState, Head) {
    let mut state = LedgerState::default();
    let action = Action::Began {
        ledger: LedgerId([1; 16]),
        node: NodeId([2; 16]),
        version: "0.1.0".into(),
        incarnation: 1,
        why: Began::Created,
    };
    let event = Event {
        seq: Seq::FIRST,
        epoch: Epoch { number: 1, nonce: 7 },
        recorded: Millis(1),
        occurred: Millis(1),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action,
        parts: vec![],
    };
    state.apply(&Entry {
        event,
        parts: vec![],
        withheld: PartSet::default(),
        batch_goes_on: false,
    });
    (state, Head { size: Size::new(1), root: Root([5; 32]) })
}

#[test]
fn a_snapshot_comes_back_with_its_head() {
    let (state, head) = state();
    assert_eq!(decode(&encode(&state, head)).unwrap(), (state, head));
    let empty = LedgerState::default();
    assert_eq!(decode(&encode(&empty, Head::EMPTY)).unwrap(), (empty, Head::EMPTY));
}

#[test]
fn any_flipped_bit_is_noticed() {
    let (state, head) = state();
    let bytes = encode(&state, head);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let refused = decode(&flipped).unwrap_err();
            let known = match at {
                0..8 => matches!(refused, SnapshotError::NotASnapshot),
                8..12 => matches!(refused, SnapshotError::UnsupportedFormat { .. }),
                _ => matches!(refused, SnapshotError::Damaged),
            };
            assert!(known, "bit {bit} of byte {at}: {refused}");
        }
    }
}

#[test]
fn a_cut_snapshot_is_noticed() {
    let (state, head) = state();
    let bytes = encode(&state, head);
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
#[should_panic(expected = "named by the last event")]
fn a_snapshot_cannot_be_given_another_head() {
    let (state, head) = state();
    drop(encode(&state, Head { size: Size::new(2), ..head }));
}

/// Bytes with a valid digest that a forger made are still not believed.
#[test]
fn a_well_sealed_lie_is_refused() {
    let (state, head) = state();
    let raw = state.to_bytes();
    let len = size_of(&raw);
    let stored = Method::Stored;
    let sealed =
        |method, head, len, payload: &[u8]| decode(&Header { method, head, len }.seal(payload));
    assert!(sealed(stored, head, len, &raw).is_ok());
    let two = Head { size: Size::new(2), ..head };
    let refused = sealed(stored, two, len, &raw).unwrap_err();
    assert!(matches!(refused, SnapshotError::WrongSize { said: 2, found: 1 }));
    let refused = sealed(stored, head, len + 1, &raw).unwrap_err();
    assert!(matches!(refused, SnapshotError::WrongLength { .. }));
    let refused = sealed(Method::Zstd, head, len, &raw).unwrap_err();
    assert!(matches!(refused, SnapshotError::Compression { .. }));
    let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).unwrap();
    let refused = sealed(Method::Zstd, head, len + 1, &packed).unwrap_err();
    assert!(matches!(refused, SnapshotError::WrongLength { .. }));
    let refused = sealed(stored, head, 3, &raw[..3]).unwrap_err();
    assert!(matches!(refused, SnapshotError::State { .. }));
    // A terabyte is claimed by a few bytes: nothing is allocated for it.
    let refused = sealed(Method::Zstd, head, 1 << 40, &packed).unwrap_err();
    assert!(matches!(refused, SnapshotError::WrongLength { said } if said == 1 << 40));
}

#[test]
fn a_snapshot_is_taken_when_replay_would_cost_as_much_again() {
    assert!(!due(10_000, 0));
    assert!(due(10_001, 0));
    assert!(!due(50_000, 50_000));
    assert!(due(50_001, 50_000));
}

/// A golden file that an early version wrote, and that is never made again: of the next version of the
/// fold it says so, until then it is read and written.
#[test]
fn a_golden_snapshot_is_read_and_written() {
    let golden =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-v1/snapshot"));
    let (state, head) = match decode(golden) {
        Err(SnapshotError::OtherFold { found: 1, known }) if known > 1 => return,
        read => read.unwrap(),
    };
    assert_eq!((head.size.get(), state.tasks_len()), (39, 15));
    let written = encode(&state, head);
    assert_eq!(written[..69], golden[..69], "magic, format, fold, method, head, length");
    assert_eq!(state_digest(&written).unwrap(), state_digest(golden).unwrap());
}
