//! The in-container side of Perry.
//!
//! `perry worker init` is PID 1 ([`init`]): plain threads, no tokio, nothing that an image would have to provide. It
//! supervises containerd, dockerd, sshd and `perry worker serve` ([`serve`]), which answers the agent over the protocol of
//! [`crate::contract::worker`]. `perry worker connect` ([`connect`]) bridges stdin and stdout to `serve`'s socket;
//! `perry worker enter` ([`enter`]) runs a command as the image's user; `perry worker check` ([`check`]) tells whether an
//! executable and its bootstrap are fit to take over. `perry worker clone` ([`clone`]) and `perry worker tools` ([`tools`])
//! are what PID 1 has done for a spec, beside its hooks.
//!
//! `perry worker sessions` ([`sessions`]) keeps the index of coding agents' sessions, and prints it within the workspace.
//!
//! The users of an image are read from its files ([`accounts`]): the libc that is linked in statically must not load
//! the image's name-service modules.

pub mod accounts;
pub mod bootstrap;
pub mod clone;
mod command;
pub mod connect;
pub mod enter;
pub mod environment;
pub mod error;
pub mod init;
pub mod keys;
pub mod link;
pub mod serve;
pub mod sessions;
mod socket;
mod stat;
pub mod terminals;
pub mod tools;
pub mod ttys;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::contract::worker::BOOTSTRAP;

pub use error::WorkerError;

/// Runs `perry worker ARGS…` for the verbs of the machinery; `None` for any other, which is not this room's.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let (verb, rest) = args.split_first()?;
    match verb.to_str()? {
        "init" => Some(init::run(rest)),
        "serve" => Some(serve::run()),
        "terminals" => Some(terminals::run()),
        "login" => Some(enter::login(rest)),
        "connect" => Some(connect::run(rest)),
        "enter" => Some(enter::run(rest)),
        "clone" => Some(clone::run()),
        "credential" => Some(clone::credential(rest.first().and_then(|verb| verb.to_str()))),
        "tools" => Some(tools::run()),
        "sessions" => Some(sessions::command::run(rest)),
        "check" => Some(check(Path::new(BOOTSTRAP))),
        _ => None,
    }
}

/// Whether this executable, just started, can read the bootstrap at `path`: 0, else 1 with the reason on stderr. Asked
/// of a new executable before PID 1 replaces itself by it, since a failure after that would end the workspace.
pub fn check(path: &Path) -> ExitCode {
    match bootstrap::read(path) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says on stderr what went wrong, causes included, as `error: …`.
fn fail(error: &WorkerError) -> ExitCode {
    // When stderr is gone too there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {}", error.chain());
    ExitCode::FAILURE
}
