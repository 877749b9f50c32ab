//! The codec, held against any entry and any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::{collection::vec, prelude::*, sample::Index};
use taskledger::{
    codec::{
        DecodeError, FORMAT, FRAME_BYTES_MAX, check_parts, decode, encode, erase, leaf, split,
    },
    event::PartKind,
};
use taskledger_proptests::{
    config,
    strategies::{entry, part_set},
};

/// A frame with a length and a checksum that hold, and a body that may be anything.
fn checksummed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    [len.as_slice(), &crc32c::crc32c(body).to_le_bytes(), body].concat()
}

/// Whatever `decode` takes, it takes in one form only, and its parts can all be read.
fn assert_canonical(frame: &[u8]) {
    if let Ok(entry) = decode(frame) {
        assert_eq!(encode(&entry).as_deref(), Ok(frame));
        for part in &entry.parts {
            assert_eq!(entry.text(part.kind).is_some(), part.body.is_some());
        }
    }
}

proptest! {
    #![proptest_config(config("codec", 256))]

    #[test]
    fn what_is_encoded_is_decoded_as_it_was(entry in entry()) {
        let frame = encode(&entry).unwrap();
        prop_assert!(frame.len() <= FRAME_BYTES_MAX);
        prop_assert_eq!(decode(&frame), Ok(entry.clone()));
        prop_assert_eq!(check_parts(&entry), Ok(()));
        prop_assert_eq!(leaf(&frame).unwrap().first(), Some(&FORMAT));
    }

    #[test]
    fn frames_behind_one_another_are_cut_apart(
        entries in vec(entry(), 0..5),
        torn in vec(any::<u8>(), 0..3),
    ) {
        let frames: Vec<Vec<u8>> = entries.iter().map(|e| encode(e).unwrap()).collect();
        let run = [frames.concat(), torn.clone()].concat();
        let mut rest = run.as_slice();
        for frame in &frames {
            let (cut, after) = split(rest).unwrap();
            prop_assert_eq!(cut, frame);
            rest = after;
        }
        prop_assert_eq!(rest, &torn);
        let is_truncated = matches!(split(rest), Err(DecodeError::Truncated { .. }));
        prop_assert!(is_truncated);
    }

    #[test]
    fn erasing_keeps_the_leaf_and_loses_the_texts(entry in entry(), kinds in part_set()) {
        let frame = encode(&entry).unwrap();
        let erased = erase(&frame, kinds).unwrap();
        prop_assert_eq!(leaf(&erased), leaf(&frame));
        let mut expected = entry.clone();
        expected.erase(kinds);
        prop_assert_eq!(encode(&expected), Ok(erased.clone()));
        let read = decode(&erased).unwrap();
        for kind in PartKind::ALL {
            let kept = if kinds.contains(kind) { None } else { entry.text(kind) };
            prop_assert_eq!(read.text(kind), kept);
        }
    }

    #[test]
    fn a_changed_byte_is_found(entry in entry(), at in any::<Index>(), flip in 1..=255_u8) {
        let mut frame = encode(&entry).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(decode(&frame).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _ = (split(&bytes), leaf(&bytes), decode(&bytes));
        assert_canonical(&checksummed(&bytes));
    }

    /// Bytes that came from a frame get further than random ones.
    #[test]
    fn no_change_under_a_checksum_that_holds_makes_it_panic_or_take_two_forms(
        entry in entry(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Option<Index>>(),
    ) {
        let mut body = encode(&entry).unwrap().split_off(8);
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let frame = checksummed(&body);
        let _ = leaf(&frame);
        assert_canonical(&frame);
    }
}
