//! Replays the corpus of the fuzz target `manifest` with the ordinary toolchain.

#[expect(unreachable_pub, reason = "the fuzz targets have it from a library")]
#[path = "../fuzz/checks/manifest.rs"]
mod check;

#[test]
fn the_corpus_of_the_manifest_fuzzer_holds() {
    let mut count = 0;
    for folder in ["fuzz/corpus/manifest", "tests/manifests", "examples"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(&folder).expect("the corpus") {
            let path = entry.expect("an entry").path();
            // A panic names the file.
            println!("{}", path.display());
            check::manifest(&std::fs::read(&path).expect("readable"));
            count += 1;
        }
    }
    assert!(count > 100, "only {count} inputs");
}
