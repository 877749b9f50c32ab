//! Frames, events in them, and the texts beside these.

use super::{Input, short};
use std::sync::Arc;
use taskledger::{
    codec::{FORMAT, FRAME_BYTES_MAX, check_parts, commit, decode, encode, erase, leaf, split},
    event::{
        Action, Cause, Commitment, DESCRIPTION_BYTES_MAX, Entry, Event, PARTS_MAX, Part, PartBody,
        PartKind, PartSet,
    },
    ids::{Epoch, Seq},
    time::Millis,
};

/// A frame, as it stands and behind a checksum that holds.
///
/// # Panics
/// If a claim about the codec does not hold.
pub fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok((frame, after)) = split(rest) {
        assert!(frame.len() <= FRAME_BYTES_MAX, "a frame within its limit");
        assert_eq!(frame.len() + after.len(), rest.len(), "nothing is left out");
        check(frame);
        rest = after;
    }
    check(bytes);
    check(&sealed(bytes));
}

/// The bytes of an event, in a frame that holds.
///
/// # Panics
/// If a claim about the codec does not hold.
pub fn event(bytes: &[u8]) {
    check(&sealed(&body(0, bytes, &[])));
}

/// The texts of an event, in a frame that holds: which there are, how long, which are erased.
///
/// # Panics
/// If a claim about the codec does not hold.
pub fn parts(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (which, flags) = (input.byte(), input.byte());
    let kinds = PartKind::ALL.into_iter().zip(0..).filter(|(_, bit)| which >> bit & 1 == 1);
    let kinds: Vec<_> = kinds.map(|(kind, _)| kind).take(PARTS_MAX).collect();
    let lengths: Vec<usize> = kinds.iter().map(|_| usize::from(input.byte())).collect();
    // Commitments of texts as long as that, and then other texts in their place.
    let promised: Vec<_> = kinds.iter().zip(lengths).map(|(kind, len)| text(*kind, len)).collect();
    let entry = told(promised);
    let Ok(frame) = encode(&entry) else { return };
    let Ok(leaf) = leaf(&frame) else { panic!("a frame has a leaf") };
    let Some((_, event)) = leaf.split_first() else { panic!("a leaf has a format") };
    let forged = sealed(&body(flags, event, input.0));
    check(&forged);
    if let Ok(read) = decode(&forged) {
        assert_eq!(read.event, entry.event, "texts change no event");
        let same = read.parts.iter().zip(&entry.parts);
        let same = same.filter(|(_, promised)| promised.body.is_some());
        let same = same
            .filter(|(read, _)| read.body.is_some())
            .all(|(read, promised)| read.body == promised.body);
        assert_eq!(check_parts(&read).is_ok(), same, "a text is proven by its commitment");
    }
}

/// Whatever is read is read in one form only, and says what it holds.
fn check(frame: &[u8]) {
    let Ok(entry) = decode(frame) else {
        return assert!(erase(frame, PartSet::ALL).is_err(), "it is not made whole");
    };
    assert_eq!(encode(&entry).as_deref(), Ok(frame), "there is one way to write it");
    assert_eq!(leaf(frame).ok().and_then(<[u8]>::first), Some(&FORMAT));
    let _ = check_parts(&entry);
    let mut expected = entry.clone();
    expected.erase(PartSet::ALL);
    let erased = erase(frame, PartSet::ALL);
    assert_eq!(erased, encode(&expected).map_err(|_| unreachable!("it was encoded before")));
    assert_eq!(erased.as_deref().map(leaf), Ok(leaf(frame)), "the leaf stays");
    for commitment in &entry.event.parts {
        if commitment.kind == PartKind::Description {
            let length = usize::try_from(commitment.len).unwrap_or(usize::MAX);
            assert!(length <= DESCRIPTION_BYTES_MAX, "a description within its limit");
        }
    }
}

/// Behind the length and the checksum that it has.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    [&short(body.len()), &crc32c::crc32c(body).to_le_bytes(), body].concat()
}

fn body(flags: u8, event: &[u8], texts: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(event.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[flags, low, high, FORMAT], event, texts].concat()
}

fn text(kind: PartKind, len: usize) -> (Commitment, Part) {
    let text: Arc<str> = "x".repeat(len).into();
    let salt = [7; 16];
    (commit(kind, salt, &text), Part { kind, body: Some(PartBody { salt, text }) })
}

/// An event with these texts.
pub(super) fn told(texts: Vec<(Commitment, Part)>) -> Entry {
    let (commitments, parts) = texts.into_iter().unzip();
    let event = Event {
        seq: Seq::FIRST,
        epoch: Epoch { number: 1, nonce: 2 },
        recorded: Millis(3),
        occurred: Millis(4),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action: Action::Emitted { event_type: "told".into() },
        parts: commitments,
    };
    Entry { event, parts, withheld: PartSet::default(), batch_goes_on: false }
}
