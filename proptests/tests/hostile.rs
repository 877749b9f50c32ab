//! Every input that the fuzzers found worth keeping, replayed without them; and the files that a
//! ledger really writes, changed byte by byte.
//!
//! One test, so that what it allocates is nobody else's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use peak_alloc::PeakAlloc;
use std::{fs, path::Path};
use taskledger_proptests::hostile::{MEMORY_FACTOR, TARGETS, Target};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Runs a target, and holds it to the memory that it may take.
fn held(target: &Target, input: &[u8], what: &str) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    (target.run)(input);
    let took = ALLOCATED.peak_usage().saturating_sub(before);
    let max = target.memory_bytes_max + MEMORY_FACTOR * input.len();
    assert!(took <= max, "{}: {took} bytes for {what}; the limit is {max} bytes", target.name);
}

#[test]
fn no_input_that_was_ever_found_breaks_a_claim_or_a_limit() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in &TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpus.join(target.name))
            .unwrap_or_else(|_| panic!("{} has no corpus", target.name))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        held(target, b"", "nothing");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            held(target, &input, &path.display().to_string());
            for at in (0..input.len()).step_by(1 + input.len() / 32) {
                let mut changed = input.clone();
                changed[at] ^= 1 << (at % 8);
                held(target, &changed, &format!("{} changed at {at}", path.display()));
                held(target, &input[..at], &format!("{} cut at {at}", path.display()));
            }
        }
    }
}
