//! Bytes that no writer wrote, and entries that no writer may write.

use super::{
    super::{
        DecodeError, EVENT_BYTES_MAX, EncodeError, FRAME_BYTES_MAX, Limits, PartsError, commit,
        decode, encode, encode_within, end_batch, erase, leaf, split,
    },
    golden,
};
use crate::event::{
    Action, DESCRIPTION_BYTES_MAX, Entry, PART_BYTES_MAX, Part, PartBody, PartKind, PartSet,
};

/// The frame that holds these bytes after its flags, with a length and a checksum that hold.
fn frame_of(flags: u8, event: &[u8], texts: &[u8]) -> Vec<u8> {
    let event_len = u16::try_from(event.len()).unwrap().to_le_bytes();
    checksummed(&[&[flags], event_len.as_slice(), &[1], event, texts].concat())
}

fn checksummed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    [len.as_slice(), &crc32c::crc32c(body).to_le_bytes(), body].concat()
}

fn golden(wanted: &str) -> (Entry, Vec<u8>) {
    let (_, entry, bytes) =
        golden::all().into_iter().find(|(name, ..)| name.ends_with(wanted)).unwrap();
    (entry, bytes.to_vec())
}

/// The event and the texts of a golden frame.
fn opened(wanted: &str) -> (Vec<u8>, Vec<u8>) {
    let (_, frame) = golden(wanted);
    let event = leaf(&frame).unwrap()[1..].to_vec();
    let texts = frame[12 + event.len()..].to_vec();
    (event, texts)
}

#[test]
fn a_frame_with_any_bit_flipped_is_refused() {
    for (name, _, frame) in golden::all() {
        for at in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            let refused = decode(&flipped).unwrap_err();
            // Past the length it is the checksum that says so: damage is never taken for a newer
            // format.
            let by_checksum = matches!(refused, DecodeError::Checksum { .. });
            assert!(at < 32 || by_checksum, "{name}, bit {at}: {refused}");
        }
    }
}

#[test]
fn a_frame_that_is_cut_or_followed_by_more_is_refused() {
    for (_, _, frame) in golden::all() {
        for len in 0..frame.len() {
            let need = if len < 4 { 8 } else { frame.len() };
            assert_eq!(decode(&frame[..len]), Err(DecodeError::Truncated { need, have: len }));
        }
        let more = [frame, b"x"].concat();
        assert_eq!(decode(&more), Err(DecodeError::Leftover { what: "frame", bytes: 1 }));
        assert_eq!(split(&more), Ok((frame, b"x".as_slice())));
    }
}

/// A length is the first thing that damage reaches; nothing may be allocated on its word.
#[test]
fn a_frame_that_asks_for_more_than_the_limit_is_refused_by_its_length() {
    let max = FRAME_BYTES_MAX;
    let too_large = |len| Err(DecodeError::TooLarge { what: "frame", len, max });
    assert_eq!(split(&[0xff; 20]), too_large(0xffff_ffff + 8));
    let longest = u32::try_from(max - 8).unwrap();
    let at_the_limit = Err(DecodeError::Truncated { need: max, have: 4 });
    assert_eq!(split(&longest.to_le_bytes()), at_the_limit);
    assert_eq!(split(&(longest + 1).to_le_bytes()), too_large(max + 1));
}

/// bincode believes a length of 1 TiB. The limit stops it before anything is reserved.
#[test]
fn an_event_that_asks_for_a_tebibyte_is_refused() {
    let tebibyte = [&[0xfd], (1_u64 << 40).to_le_bytes().as_slice()].concat();
    let (event, _) = opened("upserted-with-nothing");
    // The last byte is the number of parts.
    let parts = [&event[..event.len() - 1], &tebibyte].concat();
    assert!(matches!(decode(&frame_of(0, &parts, &[])), Err(DecodeError::Malformed { .. })));
    let (event, _) = opened("cancel-thread");
    let at = event.windows(2).position(|bytes| bytes == [9, b's']).unwrap();
    let thread = [&event[..at], &tebibyte, &event[at + 1..]].concat();
    assert!(matches!(decode(&frame_of(0, &thread, &[])), Err(DecodeError::Malformed { .. })));
}

/// bincode reads `fb 02 00` as 2. Then one event would have two leaves.
#[test]
fn a_number_that_is_written_longer_than_it_needs_is_refused() {
    let (event, texts) = opened("worked-in-hex");
    for long in [
        [&[0xfb_u8], 2_u16.to_le_bytes().as_slice()].concat(),
        [&[0xfc_u8], 2_u32.to_le_bytes().as_slice()].concat(),
        [&[0xfd_u8], 2_u64.to_le_bytes().as_slice()].concat(),
    ] {
        assert_eq!(event[0], 2);
        let event = [&long, &event[1..]].concat();
        assert_eq!(decode(&frame_of(0, &event, &texts)), Err(DecodeError::NotCanonical));
    }
}

#[test]
fn bytes_left_over_in_an_event_or_behind_the_texts_are_refused() {
    let (event, texts) = opened("worked-in-hex");
    for bytes in [1, 2, 7] {
        let longer = [event.as_slice(), &[0; 7][..bytes]].concat();
        let left = |what| Err(DecodeError::Leftover { what, bytes });
        assert_eq!(decode(&frame_of(0, &longer, &texts)), left("event"));
        let longer = [texts.as_slice(), &[0; 7][..bytes]].concat();
        assert_eq!(decode(&frame_of(0, &event, &longer)), left("parts"));
    }
}

#[test]
fn a_format_of_the_future_is_refused_and_named() {
    let (event, texts) = opened("worked-in-hex");
    let mut body = frame_of(0, &event, &texts)[8..].to_vec();
    for format in [0, 2, 255] {
        body[3] = format;
        let refused =
            DecodeError::UnsupportedFormat { what: "format", found: format.into(), max: 1 };
        assert_eq!(decode(&checksummed(&body)), Err(refused));
    }
}

/// Each golden frame with one tag changed to the first that is not in use. So this pins the
/// number of tags; the golden frames pin their meanings.
#[test]
fn an_unknown_tag_is_refused_and_named() {
    let cases: [(&str, &[u8], usize, &str, u32); 10] = [
        ("worked-in-hex", b"\x00\x09sub_agent", 0, "action", 7),
        ("began-created", b"0.1.0\x01\x00", 6, "reason to begin", 4),
        ("upserted-under-a-parent-somewhere", b"\x01\x00\x03far", 0, "kind of parent", 1),
        ("upserted-with-nothing", b"\x00\x01\x00", 1, "host", 2),
        ("terminated-failed", b"\x01\x01\xfd", 1, "outcome", 2),
        ("restored-orphaned", b"\x02\x01\xfd", 1, "kind of restore", 1),
        ("restored-completed", b"\x03\x02\x01\x01\x07", 2, "task status", 3),
        ("cancel-thread", b"\x03\x02\x00", 1, "cancel scope", 3),
        ("messaged-inbox-full", b"planner\x01", 7, "delivery", 2),
        ("terminated-failed", b"\x01\x01\x0f", 1, "part kind", 4),
    ];
    for (name, around, at, what, max) in cases {
        let (mut event, texts) = opened(name);
        let found: Vec<usize> = event
            .windows(around.len())
            .enumerate()
            .filter_map(|(i, bytes)| (bytes == around).then_some(i))
            .collect();
        assert_eq!(found.len(), 1, "{what}: {around:02x?} in {event:02x?}");
        event[found[0] + at] = u8::try_from(max + 1).unwrap();
        let refused = DecodeError::UnsupportedFormat { what, found: max + 1, max };
        assert_eq!(decode(&frame_of(0, &event, &texts)), Err(refused));
    }
}

#[test]
fn an_unknown_kind_in_a_redaction_is_refused() {
    let (mut event, texts) = opened("22-redacted");
    let at = event.windows(3).position(|bytes| bytes == [6, 7, 3]).unwrap() + 2;
    event[at] = 0b10_0000;
    let refused = DecodeError::UnsupportedFormat { what: "part set", found: 32, max: 31 };
    assert_eq!(decode(&frame_of(0, &event, &texts)), Err(refused));
}

#[test]
fn a_flag_without_a_part_is_refused() {
    let (event, _) = opened("worked-in-hex");
    let flags = |flags| decode(&frame_of(flags, &event, &[]));
    assert!(flags(0b1).is_ok());
    for more in 1..4 {
        let refused = PartsError::Flags { flags: 1 | 1 << more, count: 1 };
        assert_eq!(flags(1 | 1 << more), Err(DecodeError::Parts(refused)));
    }
}

/// A later version may use them for something unknown here: they are refused politely, and not
/// repaired.
#[test]
fn a_reserved_flag_is_of_a_newer_version_and_no_damage() {
    let (event, texts) = opened("worked-in-hex");
    for bit in 4..7 {
        let refused = DecodeError::UnsupportedFormat { what: "frame flag", found: bit, max: 3 };
        for others in [0, 0b1000_0000, 0b0000_0010] {
            let frame = frame_of(others | 1 << bit, &event, &texts);
            assert_eq!(decode(&frame), Err(refused.clone()));
            assert_eq!(leaf(&frame), Err(refused.clone()));
            assert_eq!(erase(&frame, PartSet::ALL), Err(refused.clone()));
            assert_eq!(end_batch(&frame), Err(refused.clone()));
        }
    }
    let mut flipped = frame_of(0, &event, &texts);
    flipped[8] ^= 1 << 4;
    assert!(matches!(decode(&flipped), Err(DecodeError::Checksum { .. })), "that is damage");
}

#[test]
fn text_that_is_short_or_not_utf8_is_refused() {
    let (event, texts) = opened("worked-in-hex");
    let decoded = |texts: &[u8]| decode(&frame_of(0, &event, texts));
    let kind = PartKind::Description;
    let length = |found| Err(PartsError::Length { kind, expected: 14, found }.into());
    assert_eq!(decoded(&[]), length(0));
    assert_eq!(decoded(&texts[..29]), length(13));
    let mut other = texts.clone();
    other[20] = 0xff;
    assert_eq!(decoded(&other), Err(PartsError::NotText { kind }.into()));
}

#[test]
fn an_identifier_that_breaks_its_rules_is_refused() {
    let (mut event, texts) = opened("worked-in-hex");
    let at = event.windows(4).position(|bytes| bytes == b"bg_0").unwrap();
    event[at] = 7;
    let decoded = decode(&frame_of(0, &event, &texts));
    assert!(matches!(decoded, Err(DecodeError::BadId { what: "task id", .. })), "{decoded:?}");
    event[at] = 0xff;
    let decoded = decode(&frame_of(0, &event, &texts));
    assert_eq!(decoded, Err(DecodeError::Malformed { why: "a text is not UTF-8" }));
    event[0] = 0;
    event[at] = b'b';
    let refused = DecodeError::ZeroSeq { what: "sequence number" };
    assert_eq!(decode(&frame_of(0, &event, &texts)), Err(refused));
}

fn with_part(kind: PartKind, len: usize) -> Entry {
    let (mut entry, _) = golden("terminated-cancelled");
    let (salt, text) = ([9; 16], "x".repeat(len));
    entry.event.parts = vec![commit(kind, salt, &text)];
    entry.parts = vec![Part { kind, body: Some(PartBody { salt, text: text.into() }) }];
    entry
}

#[test]
fn a_text_may_reach_its_limit_and_not_pass_it() {
    for (kind, max) in [
        (PartKind::Description, DESCRIPTION_BYTES_MAX),
        (PartKind::Error, PART_BYTES_MAX),
        (PartKind::Reason, PART_BYTES_MAX),
    ] {
        let entry = with_part(kind, max);
        assert_eq!(decode(&encode(&entry).unwrap()), Ok(entry));
        let refused = EncodeError::TooLarge { what: kind.as_str(), len: max + 1, max };
        assert_eq!(encode(&with_part(kind, max + 1)), Err(refused));
    }
    let limits = Limits { part_bytes_max: 10 };
    let refused = EncodeError::TooLarge { what: "result", len: 11, max: 10 };
    assert_eq!(encode_within(&with_part(PartKind::Result, 11), limits), Err(refused));
    assert!(encode_within(&with_part(PartKind::Result, 10), limits).is_ok());
    let limits = Limits { part_bytes_max: usize::MAX };
    assert!(encode_within(&with_part(PartKind::Result, PART_BYTES_MAX + 1), limits).is_err());
}

/// An erased text is not there to be measured, but its commitment says how long it was.
#[test]
fn a_commitment_to_more_than_the_limit_is_refused_when_read() {
    let (mut event, _) = opened("worked-in-hex");
    let at = event.windows(3).position(|bytes| bytes == [1, 0, 14]).unwrap() + 2;
    event.splice(at..=at, [&[0xfb_u8], 4097_u16.to_le_bytes().as_slice()].concat());
    let refused = DecodeError::TooLarge { what: "description", len: 4097, max: 4096 };
    assert_eq!(decode(&frame_of(1, &event, &[])), Err(refused));
}

#[test]
fn a_name_may_reach_its_limit_and_not_pass_it() {
    type Named = (&'static str, fn(String) -> Action);
    let named: [Named; 2] = [
        ("event type", |name| Action::Emitted { event_type: name.into() }),
        ("sender", |name| Action::Messaged {
            from: name.into(),
            delivery: crate::event::Delivery::Delivered,
        }),
    ];
    let (mut entry, _) = golden("terminated-cancelled");
    for (what, action) in named {
        entry.event.action = action("n".repeat(256));
        let frame = encode(&entry).unwrap();
        assert_eq!(decode(&frame).as_ref(), Ok(&entry));
        entry.event.action = action("n".repeat(257));
        let refused = EncodeError::TooLarge { what, len: 257, max: 256 };
        assert_eq!(encode(&entry), Err(refused));
    }
    let (event, _) = opened("messaged-inbox-full");
    let at = event.windows(8).position(|bytes| bytes == b"\x07planner").unwrap();
    let long = [&[0xfb_u8], 257_u16.to_le_bytes().as_slice(), &[b'n'; 257]].concat();
    let event = [&event[..at], &long, &event[at + 8..]].concat();
    let refused = DecodeError::TooLarge { what: "sender", len: 257, max: 256 };
    assert_eq!(decode(&frame_of(0, &event, &[])), Err(refused));
}

#[test]
fn an_identifier_past_its_limit_is_refused_when_read() {
    let (event, _) = opened("cancel-thread");
    let at = event.windows(10).position(|bytes| bytes == b"\x09session-1").unwrap();
    let long = [&[0xfb_u8], 257_u16.to_le_bytes().as_slice(), &[b's'; 257]].concat();
    let event = [&event[..at], &long, &event[at + 10..]].concat();
    let refused = DecodeError::TooLarge { what: "thread id", len: 257, max: 256 };
    assert_eq!(decode(&frame_of(0, &event, &[])), Err(refused));
}

#[test]
fn an_event_length_past_its_limit_is_refused_before_the_event_is_read() {
    let event = vec![0; EVENT_BYTES_MAX + 1];
    let (len, max) = (event.len(), EVENT_BYTES_MAX);
    let refused = DecodeError::TooLarge { what: "event", len, max };
    let frame = frame_of(0, &event, &[]);
    assert_eq!(leaf(&frame), Err(refused.clone()));
    assert_eq!(decode(&frame), Err(refused));
}

#[test]
fn parts_out_of_order_repeated_unpaired_or_too_many_are_refused() {
    let of = |kinds: &[PartKind]| {
        let (mut entry, _) = golden("terminated-cancelled");
        for &kind in kinds {
            entry.event.parts.push(commit(kind, [0; 16], ""));
            entry.parts.push(Part { kind, body: None });
        }
        entry
    };
    let refused = |entry: &Entry, fault: PartsError| {
        assert_eq!(encode(entry), Err(EncodeError::Parts(fault)));
    };
    let (error, result) = (PartKind::Error, PartKind::Result);
    assert!(encode(&of(&[error, result])).is_ok());
    refused(&of(&[result, error]), PartsError::Order { kind: error });
    refused(&of(&[error, error]), PartsError::Order { kind: error });
    refused(&of(&PartKind::ALL), PartsError::TooMany { count: 5, max: 4 });
    let mut entry = of(&[error, result]);
    entry.parts.pop();
    refused(&entry, PartsError::Unpaired { texts: 1, commitments: 2 });
    let mut entry = with_part(error, 3);
    entry.parts[0].body = Some(PartBody { salt: [0; 16], text: "four".into() });
    refused(&entry, PartsError::Length { kind: error, expected: 3, found: 4 });
}

/// The rules of parts are held by the reader too, who cannot know who wrote.
#[test]
fn parts_out_of_order_are_refused_when_read() {
    let (event, _) = opened("restored-with-four-parts");
    let (before, parts) = event.split_at(event.len() - 4 * 34);
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| &parts[i * 34..(i + 1) * 34]);
    let swapped = [before, a, c, b, d].concat();
    let refused = PartsError::Order { kind: PartKind::Error };
    assert_eq!(decode(&frame_of(0b1111, &swapped, &[])), Err(refused.into()));
    let mut five = [before, a, b, c, a, d].concat();
    let count = before.len() - 1;
    five[count] = 5;
    five[before.len() + 3 * 34] = 3;
    let refused = PartsError::TooMany { count: 5, max: 4 };
    let frame = frame_of(0b1111, &five, &[]);
    assert_eq!(decode(&frame), Err(refused.into()));
}
