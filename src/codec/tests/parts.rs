//! Texts beside an event: bound to it, and erased without a trace in its hashes.

use super::{
    super::{DecodeError, check_parts, commit, decode, decode_leaf, encode, erase, leaf, withhold},
    golden,
};
use crate::event::{Entry, PartBody, PartKind, PartSet};

fn golden(wanted: &str) -> (Entry, &'static [u8]) {
    let (_, entry, bytes) =
        golden::all().into_iter().find(|(name, ..)| name.ends_with(wanted)).unwrap();
    (entry, bytes)
}

#[test]
fn an_erased_frame_has_the_same_leaf_and_not_the_text() {
    let (mut entry, frame) = golden("worked-in-hex");
    let text = b"find the stars";
    assert!(frame.windows(text.len()).any(|bytes| bytes == text));
    let erased = erase(frame, PartSet::ALL).unwrap();
    assert_eq!(leaf(&erased), leaf(frame));
    assert!(!erased.windows(text.len()).any(|bytes| bytes == text));
    assert!(!erased.windows(16).any(|bytes| bytes == [0xa5; 16]), "the salt goes with the text");
    entry.erase(PartSet::ALL);
    assert_eq!(decode(&erased), Ok(entry));
}

#[test]
fn erasing_takes_the_named_kinds_only() {
    let (entry, frame) = golden("restored-with-four-parts");
    let one = PartSet::default().with(PartKind::Description).with(PartKind::Content);
    let erased = decode(&erase(frame, one).unwrap()).unwrap();
    assert_eq!(erased.text(PartKind::Description), None);
    assert_eq!(erased.text(PartKind::Result), entry.text(PartKind::Result));
    assert_eq!(erase(frame, PartSet::default()).as_deref(), Ok(frame));
}

#[test]
fn erasing_twice_is_erasing_once() {
    for (name, _, frame) in golden::all() {
        let once = erase(frame, PartSet::ALL).unwrap();
        assert_eq!(erase(&once, PartSet::ALL).as_deref(), Ok(once.as_slice()), "{name}");
    }
}

#[test]
fn a_damaged_frame_is_not_erased_into_a_sound_one() {
    let (_, frame) = golden("worked-in-hex");
    let mut damaged = frame.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(erase(&damaged, PartSet::ALL), Err(DecodeError::Checksum { .. })));
}

#[test]
fn every_golden_text_matches_its_commitment() {
    for (name, entry, _) in golden::all() {
        assert_eq!(check_parts(&entry), Ok(()), "{name}");
    }
}

#[test]
fn a_changed_text_or_salt_is_found_by_hashing_and_only_then() {
    let (entry, _) = golden("worked-in-hex");
    let body = entry.parts[0].body.clone().unwrap();
    let text = PartBody { text: "find the scars".into(), ..body.clone() };
    let salt = PartBody { salt: [0xa4; 16], ..body };
    for changed in [text, salt] {
        let mut entry = entry.clone();
        entry.parts[0].body = Some(changed);
        let read = decode(&encode(&entry).unwrap()).unwrap();
        assert_eq!(read, entry);
        let refused = DecodeError::Mismatch { kind: PartKind::Description };
        assert_eq!(check_parts(&read), Err(refused));
    }
}

#[test]
fn a_commitment_is_over_kind_salt_and_text() {
    let of = |kind, salt, text| commit(kind, [salt; 16], text).digest;
    let one = of(PartKind::Error, 1, "text");
    assert_ne!(one, of(PartKind::Result, 1, "text"));
    assert_ne!(one, of(PartKind::Error, 2, "text"));
    assert_ne!(one, of(PartKind::Error, 1, "texts"));
    assert_eq!(commit(PartKind::Error, [1; 16], "\u{2603}").len, 3);
}

#[test]
fn what_was_changed_is_taken_out_and_named_and_the_rest_stays() {
    let (mut entry, _) = golden("restored-with-four-parts");
    let part = entry.parts.iter_mut().find(|part| part.kind == PartKind::Result).unwrap();
    let changed = part.kind;
    let body = part.body.as_mut().unwrap();
    body.text = "x".repeat(body.text.len()).into();
    let before = entry.clone();
    let named = PartSet::default().with(changed);
    let mut unasked = entry.clone();
    assert_eq!(withhold(&mut unasked, |part| part.kind != changed), PartSet::default());
    assert_eq!(unasked, before, "nobody asked");
    assert_eq!(withhold(&mut entry, |_| true), named);
    assert_eq!((entry.text(changed), entry.withheld), (None, named));
    for part in before.parts.iter().filter(|part| part.kind != changed) {
        assert_eq!(entry.text(part.kind), before.text(part.kind));
    }
    assert_eq!(leaf(&encode(&entry).unwrap()), leaf(&encode(&before).unwrap()));
    entry.erase(named);
    assert_eq!(entry.withheld, PartSet::default(), "what is erased is not called withheld");
}

#[test]
fn a_leaf_gives_its_event_and_takes_no_other_bytes() {
    for (name, entry, frame) in golden::all() {
        let leaf = leaf(frame).unwrap();
        assert_eq!(decode_leaf(leaf), Ok(entry.event), "{name}");
        for len in 0..leaf.len() {
            assert!(decode_leaf(&leaf[..len]).is_err(), "{name}: {len} bytes");
        }
        assert!(decode_leaf(&[leaf, &[0]].concat()).is_err(), "{name}");
        let newer = [&[2], &leaf[1..]].concat();
        let refused = decode_leaf(&newer);
        assert!(matches!(refused, Err(DecodeError::UnsupportedFormat { .. })), "{name}");
    }
}
