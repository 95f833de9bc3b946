//! The house rules, checked on the source: who may import whom, where "now" is asked, which crates are where, how long
//! a file is. Code under `#[cfg(test)]` is exempt. The checks themselves are tried on planted violations.

mod lock;
mod rooms;
mod rust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust::Source;

/// The longest file, in lines.
const LINES: usize = 400;

/// Every Rust file below `src/`, by its path from there.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be read") {
            let path: PathBuf = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("the file can be read");
                let relative = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
                found.insert(relative, text);
            }
        }
    }
    assert!(found.contains_key("lib.rs") && found.len() > 20, "{:?}", found.keys());
    found
}

fn no_violations(check: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    let found: Vec<String> =
        sources.iter().flat_map(|(path, text)| rust::parse(path, text)).flat_map(|source| check(&source)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    no_violations(rooms::imports);
}

#[test]
fn each_crate_is_used_only_where_it_belongs() {
    no_violations(rooms::crates);
}

#[test]
fn nobody_but_the_clock_asks_for_now_and_the_pure_rooms_roll_no_dice() {
    no_violations(rooms::impure);
}

#[test]
fn there_is_no_unsafe_code() {
    no_violations(rooms::unsafe_code);
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_room_is_in_the_table() {
    let unknown: Vec<_> =
        sources().into_keys().map(|path| rust::room_of(&path)).filter(|room| !rooms::is_known(room)).collect();
    assert!(unknown.is_empty(), "say in the table what they may import: {unknown:?}");
}
