//! Replays the corpora of the fuzz targets `rpc_body` and `websocket_frame` with the ordinary toolchain, and the recorded
//! requests of the stock client.

#![allow(clippy::print_stdout, reason = "a test that fails names the file")]

#[expect(unreachable_pub, reason = "the fuzz targets have it from a library")]
#[path = "../fuzz/checks/rpc.rs"]
mod check;

use std::path::Path;

fn each(folder: &str, mut check: impl FnMut(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let read = files.map(|path| {
        println!("{}", path.display());
        check(&std::fs::read(&path).expect("readable"));
    });
    read.count()
}

#[test]
fn the_corpora_of_the_rpc_fuzzers_hold() {
    assert!(each("fuzz/corpus/rpc_body", check::body) > 5);
    assert!(each("fuzz/corpus/websocket_frame", check::frame) > 5);
}

#[test]
fn what_the_stock_client_was_recorded_to_send_holds() {
    let mut count = 0;
    each("tests/orpc", |bytes| {
        let vector: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        if let Some(body) = vector["request"]["body"].as_str() {
            check::body(body.as_bytes());
            count += 1;
        }
        for text in vector["frames"].as_array().into_iter().flatten().filter_map(|frame| frame["text"].as_str()) {
            check::frame(text.as_bytes());
            count += 1;
        }
    });
    assert!(count > 80, "{count}");
}
