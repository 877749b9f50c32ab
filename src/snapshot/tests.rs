//! The contents of a snapshot, and the reasons to distrust one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::{
    whole::{Header, Method},
    *,
};
use crate::{
    event::{Action, Began, Cause, Entry, Event, PartSet},
    ids::{Epoch, LedgerId, NodeId, Root, Seq, Size},
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

/// A state with something in every table, and more tasks than fit one section.
fn full() -> (LedgerState, Head) {
    let state = crate::state::full_state();
    let head = Head { size: state.size(), root: Root([5; 32]) };
    (state, head)
}

#[test]
fn a_snapshot_of_everything_comes_back() {
    let (state, head) = full();
    let bytes = encode(&state, head);
    assert_eq!(decode(&bytes).unwrap(), (state.clone(), head));
    assert_eq!(encode(&decode(&bytes).unwrap().0, head), bytes, "equal states, equal bytes");
    let (digest, found) = state_digest(&bytes).unwrap();
    assert_eq!(found, head);
    assert!(digest.is_of(&state));
    assert!(!digest.is_of(&LedgerState::default()));
}

/// A flipped bit may stand where the compressor reads nothing: then nothing is changed.
#[test]
fn any_flipped_bit_is_noticed_or_changes_nothing() {
    let (state, head) = full();
    let bytes = encode(&state, head);
    let whole = state_digest(&bytes).unwrap();
    // Every byte of the header, and some of each section and of each entry of the directory.
    for at in (0..512).chain((512..bytes.len()).step_by(13)) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let refused = match decode(&flipped) {
            Ok(read) => {
                assert_eq!(read, (state.clone(), head), "byte {at}");
                match state_digest(&flipped) {
                    Ok(digest) => {
                        assert_eq!(digest, whole, "byte {at}");
                        continue;
                    }
                    Err(refused) => refused,
                }
            }
            Err(refused) => refused,
        };
        let known = match at {
            0..8 => matches!(refused, SnapshotError::NotASnapshot),
            8..12 => matches!(refused, SnapshotError::UnsupportedFormat { .. }),
            12..512 => matches!(refused, SnapshotError::Damaged),
            _ => matches!(refused, SnapshotError::Damaged | SnapshotError::Compression { .. }),
        };
        assert!(known, "byte {at}: {refused}");
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

/// Bytes of format 1 with a valid digest that a forger made are still not believed.
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

/// A golden file that an early version wrote, and that is never made again: of another version of the
/// fold it says so.
#[test]
fn a_golden_snapshot_of_format_1_is_read() {
    let golden =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-v1/snapshot"));
    let (state, head) = match decode(golden) {
        Err(SnapshotError::OtherFold { found: 1, known }) if known > 1 => return,
        read => read.unwrap(),
    };
    assert_eq!((head.size.get(), state.tasks_len()), (39, 15));
    assert!(state_digest(golden).unwrap().0.is_of(&state));
}

/// The state after the three golden events.
fn golden() -> (LedgerState, Head) {
    let mut state = LedgerState::default();
    for frame in [
        include_bytes!("../../tests/fixtures/v1/01-began-created.frame").as_slice(),
        include_bytes!("../../tests/fixtures/v1/02-upserted-with-everything.frame"),
        include_bytes!("../../tests/fixtures/v1/03-upserted-with-nothing.frame"),
    ] {
        state.apply(&crate::codec::decode(frame).unwrap());
    }
    let head = Head { size: state.size(), root: Root([7; 32]) };
    (state, head)
}

/// A golden file of format 2, never made again: of another version of the fold it says so.
#[test]
fn a_golden_snapshot_of_format_2_is_read_and_written() {
    let bytes =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-v1/snapshot-2"));
    let read = match decode(bytes) {
        Err(SnapshotError::OtherFold { found: 3, known }) if known > 3 => return,
        read => read.unwrap(),
    };
    assert_eq!(read, golden());
    let (state, head) = read;
    let written = encode(&state, head);
    assert_eq!(written[..60], bytes[..60], "magic, format, fold, size, root");
    assert_eq!(state_digest(&written).unwrap(), state_digest(bytes).unwrap());
}

/// Both formats say the same of a state, and each only of that one.
#[test]
fn a_snapshot_of_format_1_of_this_fold_is_read() {
    let (state, head) = full();
    let raw = state.to_bytes();
    let header = Header { method: Method::Stored, head, len: size_of(&raw) };
    let older = header.seal(&raw);
    assert_eq!(decode(&older).unwrap(), (state.clone(), head));
    let (digest, _) = state_digest(&older).unwrap();
    assert!(digest.is_of(&state) && !digest.is_of(&LedgerState::default()));
    assert_ne!(digest, state_digest(&encode(&state, head)).unwrap().0, "they are of two formats");
}
