//! `docs/format.md` says what the code does: the worked frame is a golden frame, byte for byte.

use super::{
    super::{DecodeError, decode, encode, leaf},
    golden,
};
use sha2::{Digest, Sha256};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md"));

/// Offset and bytes of each row of the worked frame: `| 0 | 95 00 00 00 | ...`.
fn rows() -> Vec<(usize, Vec<u8>)> {
    let (_, section) = DOCUMENT.split_once("\n## One frame, byte by byte\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = |row: &'static str| row.split('|').map(str::trim).collect::<Vec<_>>();
    let rows = section.lines().filter(|line| line.starts_with("| ")).map(cells);
    let byte = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
    rows.filter_map(|row| {
        let offset = row[1].parse().ok()?;
        Some((offset, row[2].trim_matches('`').split(' ').map(byte).collect()))
    })
    .collect()
}

fn worked() -> &'static [u8] {
    named("28-worked-in-hex")
}

fn named(wanted: &str) -> &'static [u8] {
    golden::all().into_iter().find(|(name, ..)| *name == wanted).unwrap().2
}

#[test]
fn the_checksum_of_the_worked_frame_within_a_batch_is_the_one_that_is_told() {
    let frame = named("29-batch-goes-on");
    let crc: Vec<String> = frame[4..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(DOCUMENT.contains(&format!("flags are `80`, its checksum is `{}`", crc.join(" "))));
    assert_eq!((frame[8], &frame[9..]), (0x80, &worked()[9..]));
}

#[test]
fn the_worked_frame_is_the_golden_frame() {
    let mut frame: Vec<u8> = Vec::new();
    for (offset, bytes) in rows() {
        assert_eq!(offset, frame.len(), "a row starts where the one before it ends");
        frame.extend(bytes);
    }
    assert_eq!(frame, worked());
}

#[test]
fn the_leaf_hash_of_the_worked_frame_is_the_one_that_is_told() {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(leaf(worked()).unwrap());
    let hex = crate::ids::Root(hash.finalize().into()).to_string();
    assert!(DOCUMENT.contains(&hex), "{hex}");
}

/// `| 4 to 6 | reserved ..`: what is told of the bits, held against every value of the flags.
#[test]
fn every_flag_is_told() {
    let (_, section) = DOCUMENT.split_once("\n| Bits of the flags | What |\n").unwrap();
    let rows = section.lines().skip(1).take_while(|line| line.starts_with("| "));
    let bits = rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ends: Vec<u8> = cells[1].split(" to ").map(|bit| bit.parse().unwrap()).collect();
        let what = cells[2];
        (ends[0]..=*ends.last().unwrap()).map(move |bit| (bit, what))
    });
    let bits: Vec<_> = bits.collect();
    assert_eq!(bits.iter().map(|(bit, _)| *bit).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    let (_, four_parts, _) =
        golden::all().into_iter().find(|(name, ..)| name.starts_with("09")).unwrap();
    for (bit, what) in bits {
        let mut entry = four_parts.clone();
        entry.parts.iter_mut().for_each(|part| part.body = None);
        let mut frame = encode(&entry).unwrap();
        frame[8] ^= 1 << bit;
        let crc = crc32c::crc32c(&frame[8..]).to_le_bytes();
        frame[4..8].copy_from_slice(&crc);
        match decode(&frame) {
            Err(DecodeError::UnsupportedFormat { found, .. }) => {
                assert!(what.starts_with("reserved") && found == u32::from(bit), "bit {bit}");
            }
            Ok(read) => assert!(read.batch_goes_on && what.starts_with("the batch"), "bit {bit}"),
            // A text that is said to be there, and is not.
            Err(_) => assert!(what.ends_with("is erased"), "bit {bit}"),
        }
    }
}

#[test]
fn every_limit_is_told() {
    use super::super::{EVENT_BYTES_MAX, FRAME_BYTES_MAX};
    use crate::event::{DESCRIPTION_BYTES_MAX, PART_BYTES_MAX};
    for limit in [DESCRIPTION_BYTES_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX, PART_BYTES_MAX] {
        assert!(DOCUMENT.contains(&format!("| {limit} |")), "{limit}");
    }
}
