//! Arbitrary bytes as a frame of a WebSocket.
//!
//!     cargo +nightly fuzz run websocket_frame -- -max_total_time=60 -max_len=4096
//!
//! `cargo test --test rpc_corpus` replays the corpus with the ordinary toolchain.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| perry_fuzz::rpc::frame(bytes));
