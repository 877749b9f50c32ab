//! See `taskledger_proptests::hostile::claude_code`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskledger_proptests::hostile::claude_code(bytes));
