//! Arbitrary bytes as what claude writes down of a session. What it did write is a good start:
//!
//!     cargo +nightly fuzz run session_claude fuzz/corpus/session_claude tests/sessions/fixtures/claude -- -max_total_time=60
//!
//! `cargo test --test sessions mutated` tries changed fixtures with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::sessions::log("claude", bytes));
