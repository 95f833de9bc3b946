//! Arbitrary bytes as what opencode writes down of a session. What it did write is a good start:
//!
//!     cargo +nightly fuzz run session_opencode fuzz/corpus/session_opencode tests/sessions/fixtures/opencode -- -max_total_time=60
//!
//! `cargo test --test sessions mutated` tries changed fixtures with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::sessions::opencode(bytes));
