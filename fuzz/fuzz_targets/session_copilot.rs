//! Arbitrary bytes as what copilot writes down of a session. What it did write is a good start:
//!
//!     cargo +nightly fuzz run session_copilot fuzz/corpus/session_copilot tests/sessions/fixtures/copilot -- -max_total_time=60
//!
//! `cargo test --test sessions mutated` tries changed fixtures with the ordinary toolchain.
#![no_main]
#![allow(dead_code)]

#[path = "../checks/sessions.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::log("copilot", bytes));
