//! See `taskledger_proptests::hostile::idempotency_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskledger_proptests::hostile::idempotency_key(bytes));
