//! The command line as a person meets it: what is printed where, and how it ends.
//!
//! `UPDATE_GOLDEN=1 cargo test --test cli` writes the texts of help anew; read every change.

mod agent;
mod alone;
mod openapi;
mod sessions;
mod tls;
mod tokens;
#[path = "../common/sessions.rs"]
mod told;
mod upkeep;
mod verbs;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What came of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// An example of a manifest.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/minimal.yaml");
/// A command line of each verb that asks an agent, and says the same of one that cannot be asked.
const ASKING: &[&[&str]] = &[
    &["get"],
    &["list", "-o", "json"],
    &["get", "-w"],
    &["apply", "-f", MANIFEST],
    &["diff", "-f", MANIFEST],
    &["describe", "web"],
    &["start", "web"],
    &["stop", "web", "db"],
    &["restart", "web"],
    &["delete", "web"],
    &["wait", "web"],
    &["events"],
    &["exec", "web", "--", "ls"],
    &["sync", "web"],
    &["logs", "web"],
    &["top"],
    &["why", "web"],
    &["agent", "info"],
    &["agent", "kill"],
    &["image", "build", "--if-missing"],
    &["config", "show"],
    &["prune", "--dry-run"],
    &["token", "list"],
    &["token", "create", "--name", "phone"],
    &["token", "revoke", "phone"],
    &["pair"],
    &["dashboard", "--no-open"],
];

pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perry"));
    command.args(args).env_clear().env("HOME", folder).env("PERRY_CONFIG_DIR", folder);
    command
}

pub(crate) fn perry(folder: &Path, args: &[&str]) -> Told {
    told(&command(folder, args).stdin(Stdio::null()).output().expect("it starts"))
}

pub(crate) fn perry_with(folder: &Path, args: &[&str], input: &str) -> Told {
    let mut child = command(folder, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    told(&child.wait_with_output().expect("it ends"))
}

fn told(output: &Output) -> Told {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Told { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}
