//! Arbitrary bytes as `state.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| perry_fuzz::state::check(data));
