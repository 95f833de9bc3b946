//! Arbitrary bytes as what copilot writes down of a session. What it did write is a good start:
//!
//!     cargo +nightly fuzz run session_copilot fuzz/corpus/session_copilot tests/sessions/fixtures/copilot -- -max_total_time=60
//!
//! `cargo test --test sessions mutated` tries changed fixtures with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::sessions::log("copilot", bytes));
