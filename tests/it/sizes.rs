//! The room that a ledger takes on the disk, beside the bytes of its events.

use crate::support::*;
use std::{fs, ops::ControlFlow, os::unix::fs::MetadataExt, path::Path};
use taskledger::{
    Ledger, codec,
    command::{Emit, Proposal},
    ids::{Key, Seq},
};
use tempfile::TempDir;

/// The bytes that the files take on the disk, and the sum of their lengths.
fn taken(path: &Path) -> [u64; 2] {
    let meta = fs::symlink_metadata(path).unwrap();
    let own = [meta.blocks() * 512, if meta.is_dir() { 0 } else { meta.len() }];
    let below = fs::read_dir(path).into_iter().flatten();
    below.fold(own, |[blocks, lengths], entry| {
        let [more_blocks, more_lengths] = taken(&entry.unwrap().path());
        [blocks + more_blocks, lengths + more_lengths]
    })
}

/// The bytes of all events, encoded.
fn encoded(ledger: &Ledger) -> u64 {
    let (reader, mut sum) = (ledger.reader(), 0);
    let last = reader.head().seq().unwrap();
    let add = |entry| {
        sum += codec::encode(&entry).unwrap().len();
        ControlFlow::Continue(())
    };
    reader.scan(Seq::FIRST, last, add).unwrap();
    u64::try_from(sum).unwrap()
}

/// A step of a task, as an agent tells of one: some 260 bytes, encoded.
fn progress(number: u32) -> Proposal {
    // Bytes that do not compress, as keys and hashes are.
    let noise = noise_of(number);
    let digits = u128::from_le_bytes(noise);
    let content = format!(
        "{{\"step\":{number},\"tool\":\"read_file\",\"path\":\"docs/chapter-{number:04}.md\",\
         \"sha\":\"{digits:032x}\",\"note\":\"reads on\"}}"
    );
    let task = task(&format!("t{}", number % 100));
    Proposal::new(Emit::new(task, "progress", content)).key(Key(noise))
}

fn noise_of(number: u32) -> [u8; 16] {
    let mut word = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    for half in bytes.chunks_mut(8) {
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[test]
fn an_empty_ledger_takes_a_mebibyte_at_most() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ledger");
    Ledger::create(&path, options()).unwrap().close_blocking().unwrap();
    let taken = taken(&path);
    assert!(taken.iter().all(|bytes| *bytes <= 1 << 20), "{taken:?}");
}

#[test]
fn ten_thousand_events_take_three_times_their_bytes_at_most() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ledger");
    let mut ledger = Ledger::create(&path, options()).unwrap();
    append(&ledger, (0..100).map(|n| spawn(&format!("t{n}"))).collect::<Vec<_>>());
    for first in (0..9_900).step_by(100) {
        append(&ledger, (first..first + 100).map(progress).collect::<Vec<_>>());
        if first % 3_300 == 0 {
            // As the processes of a day come and go.
            ledger.close_blocking().unwrap();
            drop(ledger);
            ledger = Ledger::open(&path, options()).unwrap();
        }
    }
    let bytes = encoded(&ledger);
    assert!(bytes > 2_500_000, "{bytes}");
    for closed in [false, true] {
        let [blocks, lengths] = taken(&path);
        let most = blocks.max(lengths);
        assert!(most <= 3 * bytes, "{blocks} and {lengths} for {bytes}, closed: {closed}");
        if !closed {
            ledger.flush_blocking().unwrap();
            ledger.close_blocking().unwrap();
        }
    }
}
