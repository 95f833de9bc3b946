//! Replays the corpus of the fuzz target `state`, whole and cut short at every byte.

#[expect(unreachable_pub, reason = "the fuzz targets have it from a library")]
#[path = "../fuzz/checks/state.rs"]
mod state;

use std::fs;

#[test]
fn every_text_of_the_corpus_holds_what_the_fuzz_target_checks() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/state");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let text = fs::read(&path).expect("readable");
        // Cut short too; long ones would only repeat what the short ones show.
        let lengths = (0..text.len().min(2048)).chain([text.len()]);
        for length in lengths {
            let held = std::panic::catch_unwind(|| state::check(&text[..length]));
            assert!(held.is_ok(), "the first {length} bytes of {}", path.display());
        }
        count += 1;
    }
    assert!(count >= 10, "the corpus has only {count} texts");
}
