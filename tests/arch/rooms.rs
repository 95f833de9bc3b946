//! The table of rooms, and what is kept to one place.

use crate::rust::Source;

/// What a room may import of ours. `clock` is the one way to ask for the time, so every room but the pure ones may.
const TABLE: [(&str, &[&str]); 22] = [
    ("model", &[]),
    ("plan", &["model"]),
    ("contract", &["model"]),
    ("clock", &[]),
    ("nofollow", &[]),
    ("listening", &[]),
    ("quiet", &[]),
    ("shown", &["model", "contract"]),
    ("queue", &["clock"]),
    ("watch", &["model", "contract", "clock"]),
    ("runtime", &["model", "contract", "clock", "listening", "quiet"]),
    ("sessions", &["model", "contract", "clock"]),
    ("client", &["model", "contract", "clock"]),
    ("worker", &["model", "contract", "clock", "nofollow", "listening", "quiet", "shown"]),
    ("store", &["model", "clock", "nofollow"]),
    ("controller", &["model", "plan", "queue", "watch", "clock", "store", "runtime"]),
    ("api", &["model", "contract", "store", "watch", "sessions", "controller", "runtime", "clock"]),
    ("cli", &["model", "contract", "client", "clock", "listening", "shown"]),
    ("tui", &["model", "contract", "client", "clock"]),
    ("agent", ANYTHING),
    ("main", ANYTHING),
    ("lib", ANYTHING),
];

const ANYTHING: &[&str] = &["*"];

/// Where a room sees only a part of another: `(who, whom, what)`.
const PARTS: [(&str, &str, &[&str]); 4] = [
    ("controller", "store", &["Intent", "IntentError"]),
    ("controller", "runtime", &["Runtime", "RuntimeError", "Hint", "Orphans", "Progress"]),
    ("api", "controller", &["BOUNDS", "Handle", "Preview", "PruneError", "Pruned", "Stats"]),
    // No path to `Runtime`: the API cannot start a container.
    ("api", "runtime", &["Attach", "Duplex", "LogLines", "LogsWanted", "RuntimeError"]),
];

/// Crates that live in some rooms (or one file) only.
const CRATES: [(&str, &[&str]); 19] = [
    ("bollard", &["runtime/"]),
    // Manifests, and what Copilot writes in YAML.
    ("serde_saphyr", &["model/manifest", "worker/sessions/formats/copilot"]),
    ("notify", &["store/"]),
    ("fs4", &["store/"]),
    ("axum", &["api/", "worker/"]),
    ("clap", &["cli/", "main.rs"]),
    ("qrcode", &["cli/"]),
    ("rustls_native_certs", &["client/"]),
    ("ts_rs", &["model/", "contract/"]),
    ("tokio_rustls", &["api/", "client/"]),
    ("prometheus_client", &["api/"]),
    ("zstd", &["api/", "client/", "worker/sessions/"]),
    // The agents' databases and the cache inside, the index of texts outside.
    ("rusqlite", &["worker/sessions/", "sessions/"]),
    ("postcard", &["worker/sessions/"]),
    ("pulldown_cmark", &["shown/"]),
    ("anyhow", &["cli/", "main.rs", "agent.rs", "agent/"]),
    ("backon", &["queue/", "client/", "runtime/"]),
    ("tokio", NOT_PURE),
    ("uuid", NOT_PURE),
];

/// Every room but model, plan and contract.
const NOT_PURE: &[&str] = &[
    "quiet.rs",
    "queue/",
    "watch/",
    "runtime/",
    "sessions/",
    "client/",
    "worker/",
    "store/",
    "controller/",
    "api/",
    "cli/",
    "tui/",
    "agent.rs",
    "agent/",
    "main.rs",
    "clock.rs",
    "lib.rs",
];

/// Asking for the time.
const NOW: [[&str; 3]; 5] = [
    ["Instant", "::", "now"],
    ["SystemTime", "::", "now"],
    ["Timestamp", "::", "now"],
    ["Zoned", "::", "now"],
    ["UNIX_EPOCH", ".", "elapsed"],
];

/// What a pure room never does.
const IMPURE: [&[&str]; 7] = [
    &["std", "::", "fs"],
    &["std", "::", "env"],
    &["std", "::", "process"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
    &["rand", "::"],
];

/// What a decision does not even say: the traits of the contract may be asynchronous and its dispatcher may log.
const UNDECIDED: [&[&str]; 2] = [&["async", "fn"], &["tracing", "::"]];

pub(crate) fn is_known(room: &str) -> bool {
    TABLE.iter().any(|(known, _)| *known == room)
}

/// Imports that the table does not allow.
pub(crate) fn imports(source: &Source) -> Vec<String> {
    let Some((_, allowed)) = TABLE.iter().find(|(room, _)| *room == source.room) else { return Vec::new() };
    let mut found = Vec::new();
    for path in source.paths_to_rooms() {
        let Some(room) = path.first().filter(|room| is_known(room) && **room != source.room) else { continue };
        let part = PARTS.iter().find(|(who, whom, _)| *who == source.room && whom == room);
        let visible = match (part, path.get(1)) {
            (Some((_, _, parts)), Some(item)) => parts.contains(&item.as_str()),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !visible || !(allowed.contains(&room.as_str()) || *allowed == ANYTHING) {
            found.push(format!("src/{}: {} may not import crate::{}", source.path, source.room, path.join("::")));
        }
    }
    found
}

/// Crates out of their place.
pub(crate) fn crates(source: &Source) -> Vec<String> {
    CRATES
        .iter()
        .filter(|(name, places)| source.uses(name) && !places.iter().any(|place| source.path.starts_with(place)))
        .map(|(name, places)| format!("src/{}: {name} is used in {} only", source.path, places.join(", ")))
        .collect()
}

/// "Now" outside the clock; files, surroundings and dice in the pure rooms.
pub(crate) fn impure(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.path != "clock.rs" && NOW.iter().any(|words| source.says(words)) {
        found.push(format!("src/{}: ask crate::clock for the time", source.path));
    }
    if ["model", "plan", "contract"].contains(&source.room.as_str()) {
        let undecided = UNDECIDED.iter().filter(|_| source.room != "contract");
        let impure = IMPURE.iter().chain(undecided).filter(|words| source.says(words));
        found.extend(impure.map(|words| format!("src/{}: {} in a pure room", source.path, words.join(" "))));
    }
    found
}

/// The word `unsafe`, however the lints are set.
pub(crate) fn unsafe_code(source: &Source) -> Vec<String> {
    let found = source.says(&["unsafe"]);
    found.then(|| format!("src/{}: unsafe", source.path)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust::parse;

    type Check = fn(&Source) -> Vec<String>;

    fn found(check: Check, path: &str, text: &str) -> usize {
        check(&parse(path, text).expect("no test file")).len()
    }

    #[test]
    fn planted_imports_are_found() {
        let bad = [
            ("plan/mod.rs", "use crate::store::Intent;"),
            ("plan/container.rs", "fn f() { crate::clock::SystemClock::new(); }"),
            ("plan/mod.rs", "use super::runtime::Hint;"),
            ("model/name.rs", "use crate::plan::desired;"),
            ("queue/state.rs", "use crate::model::Name;"),
            ("runtime/mod.rs", "use crate::{model::Action, plan::plan};"),
            ("watch/hub.rs", "use crate::controller::Controller;"),
            ("api/rpc.rs", "use crate::plan::plan;"),
            ("api/rpc.rs", "use crate::runtime::{Attach, Runtime};"),
            ("api/rpc.rs", "use crate::runtime;"),
            ("api/rpc.rs", "use crate::controller::Controller;"),
            ("controller/mod.rs", "use crate::store::Store;"),
            ("controller/mod.rs", "use crate::runtime::docker::Docker;"),
            ("controller/mod.rs", "use crate::api::Server;"),
            ("cli/get.rs", "use crate::store::State;"),
            ("store/mod.rs", "use crate::controller::Handle;"),
            ("worker/init.rs", "use crate::runtime::Attach;"),
        ];
        for (path, text) in bad {
            assert_eq!(found(imports, path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn allowed_imports_are_not() {
        let good = [
            ("plan/mod.rs", "use crate::model::{Action, Plan}; use super::container;"),
            ("runtime/fake/mod.rs", "use crate::clock::Clock; use super::super::Hint; use crate::runtime::Orphans;"),
            ("api/rpc.rs", "use crate::runtime::Attach; use crate::controller::{Handle, Preview};"),
            ("controller/mod.rs", "use crate::store::Intent; use crate::runtime::{Hint, Runtime};"),
            ("agent.rs", "use crate::{api, store::Store, runtime::docker::Docker};"),
            ("model/mod.rs", "use crate::MACRO; #[cfg(test)] mod tests { use crate::plan::plan; }"),
        ];
        for (path, text) in good {
            assert_eq!(found(imports, path, text), 0, "{path}: {text}");
        }
    }

    #[test]
    fn planted_crates_are_found_outside_their_place_only() {
        let cases = [
            ("api/rpc.rs", "use bollard::Docker;", 1),
            ("runtime/docker/mod.rs", "use bollard::Docker;", 0),
            ("model/config.rs", "serde_saphyr::from_str(text)", 1),
            ("model/manifest.rs", "serde_saphyr::from_str(text)", 0),
            ("model/manifest/check.rs", "serde_saphyr::from_str(text)", 0),
            ("runtime/mod.rs", "use notify::Watcher;", 1),
            ("worker/mod.rs", "use fs4::FileExt;", 1),
            ("client/mod.rs", "use axum::Router;", 1),
            ("worker/serve/mod.rs", "use axum::Router;", 0),
            ("api/mod.rs", "#[derive(clap::Parser)] struct X;", 1),
            ("store/mod.rs", "use anyhow::Result;", 1),
            ("api/mod.rs", "#[derive(ts_rs::TS)] struct X;", 1),
            ("contract/mod.rs", "use ts_rs::TS;", 0),
            ("plan/mod.rs", "tokio::spawn(x)", 1),
            ("watch/mod.rs", "use tokio::sync::Notify;", 0),
        ];
        for (path, text, expected) in cases {
            assert_eq!(found(crates, path, text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn planted_clocks_dice_and_files_are_found() {
        let cases = [
            ("worker/mod.rs", "tokio::time::Instant::now()", 1),
            ("clock.rs", "tokio::time::Instant::now()", 0),
            ("store/mod.rs", "let at = Timestamp::now();", 1),
            ("store/mod.rs", "let at = std::time::SystemTime::now();", 1),
            ("store/mod.rs", "std::fs::read(path)", 0),
            ("model/mod.rs", "std::fs::read(path)", 1),
            ("plan/mod.rs", "let x: u8 = rand::random();", 1),
            ("plan/mod.rs", "async fn f() {}", 1),
            ("model/mod.rs", "tracing::info!(1)", 1),
            ("contract/mod.rs", "tracing::info!(1); async fn f() {}", 0),
            ("contract/mod.rs", "TcpStream::connect(x)", 1),
        ];
        for (path, text, expected) in cases {
            assert_eq!(found(impure, path, text), expected, "{path}: {text}");
        }
        assert_eq!(found(unsafe_code, "worker/init.rs", "unsafe { libc::fork() }"), 1);
        assert_eq!(found(unsafe_code, "worker/init.rs", "// unsafe\nlet x = \"unsafe\";"), 0);
    }
}
