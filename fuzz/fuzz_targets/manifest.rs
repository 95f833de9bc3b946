//! Any bytes as a manifest: answered without panic, and what is admitted once is admitted twice without a change.
//!
//!     cargo +nightly fuzz run manifest -- -max_total_time=60 -max_len=4096
//!
//! `cargo test --test manifest_corpus` replays the corpus with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::manifest::manifest(bytes));
