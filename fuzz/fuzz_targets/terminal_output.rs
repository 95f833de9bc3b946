//! Arbitrary bytes as what a program prints on a terminal.
//!
//!     cargo +nightly fuzz run terminal_output -- -max_total_time=60 -max_len=4096
//!
//! `cargo test --test terminal_corpus` replays the corpus with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::terminal::output(bytes));
