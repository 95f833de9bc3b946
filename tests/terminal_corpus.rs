//! Replays the corpora of the fuzz targets `terminal_frame` and `terminal_output` with the ordinary toolchain, and cuts of
//! what real programs print.

#[expect(unreachable_pub, reason = "the fuzz targets have it from a library")]
#[path = "../fuzz/checks/terminal.rs"]
mod check;

use std::path::Path;

fn each(folder: &str, mut check: impl FnMut(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path());
    files.map(|path| check(&std::fs::read(&path).expect("readable"))).count()
}

#[test]
fn the_corpora_of_the_terminal_fuzzers_hold() {
    assert!(each("fuzz/corpus/terminal_frame", check::frame) > 5);
    assert!(each("fuzz/corpus/terminal_output", check::output) > 5);
}

#[test]
fn recordings_of_real_programs_hold_wherever_they_begin_and_at_any_size() {
    let files = each("tests/terminals/recordings", |recording| {
        for from in (0..recording.len()).step_by(4001) {
            check::output(&recording[from..recording.len().min(from + 2000)]);
        }
    });
    assert!(files > 10, "{files}");
}
