//! `docs/format.md` says what the code does: the worked frame is a golden frame, byte for byte.

use super::{super::leaf, golden};
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
    golden::all().into_iter().find(|(name, ..)| *name == "28-worked-in-hex").unwrap().2
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

#[test]
fn every_limit_is_told() {
    use super::super::{DESCRIPTION_BYTES_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX, PART_BYTES_MAX};
    for limit in [DESCRIPTION_BYTES_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX, PART_BYTES_MAX] {
        assert!(DOCUMENT.contains(&format!("| {limit} |")), "{limit}");
    }
}
