//! What is in Cargo.lock: no crate that deny.toml bans (cargo deny itself runs in the release workflow only), and the
//! pinned lines.

use std::collections::BTreeMap;

/// Crates whose line is chosen: name and major version.
const PINNED: [(&str, &str); 4] = [("notify", "8."), ("axum", "0.8."), ("serde-saphyr", "2."), ("schemars", "1.")];

/// The versions of each crate.
fn versions(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let value =
        |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned);
    let mut name = None;
    for line in lock.lines() {
        name = value(line, "name").or(name);
        if let (Some(version), Some(name)) =
            (value(line, "version"), name.take_if(|_| line.starts_with("version = \"")))
        {
            found.entry(name).or_default().push(version);
        }
    }
    found
}

/// The crates that deny.toml bans.
fn banned() -> Vec<&'static str> {
    let name = |line: &'static str| line.trim().strip_prefix("{ crate = \"")?.split('"').next();
    include_str!("../../deny.toml").lines().filter_map(name).collect()
}

fn violations(lock: &str) -> Vec<String> {
    let versions = versions(lock);
    let banned = banned().into_iter().filter(|name| versions.contains_key(*name));
    let banned = banned.map(|name| format!("deny.toml bans {name}"));
    let pinned = PINNED.iter().filter(|(name, line)| {
        versions.get(*name).is_some_and(|found| found.iter().any(|version| !version.starts_with(line)))
    });
    let pinned = pinned.map(|(name, line)| format!("{name} must be {line}x, not {:?}", versions[*name]));
    banned.chain(pinned).collect()
}

fn lock() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    std::fs::read_to_string(path).expect("Cargo.lock is there")
}

#[test]
fn no_banned_crate_comes_in_and_the_chosen_lines_are_kept() {
    assert_eq!(violations(&lock()), [""; 0]);
}

#[test]
fn no_release_candidate_comes_in_directly() {
    let manifest = include_str!("../../Cargo.toml");
    let versions = versions(&lock());
    let direct = |name: &str| manifest.lines().any(|line| line.starts_with(&format!("{name} =")));
    for (name, found) in versions.iter().filter(|(name, _)| direct(name)) {
        assert!(!found.iter().any(|version| version.contains('-')), "{name} {found:?}");
    }
}

#[test]
fn a_planted_crate_is_found() {
    assert!(["serde_yaml", "backoff", "openssl", "openssl-sys"].iter().all(|name| banned().contains(name)));
    let plant = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    assert_eq!(violations(&plant("serde_yaml", "0.9.34")).len(), 1);
    assert_eq!(violations(&plant("notify", "9.0.0-rc.1")).len(), 1);
    assert_eq!(violations(&(plant("notify", "8.2.0") + &plant("notify", "7.0.0"))).len(), 1);
    assert_eq!(violations(&(plant("notify", "8.2.0") + &plant("backon", "1.6.0"))).len(), 0);
    assert!(versions(&lock()).len() > 50, "the lock file is read");
}
