//! See `taskledger_proptests::hostile::copilot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskledger_proptests::hostile::copilot(bytes));
