//! See `taskledger_proptests::hostile::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskledger_proptests::hostile::message(bytes));
