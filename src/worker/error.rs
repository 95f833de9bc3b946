//! What can go wrong in the worker.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why something in the worker failed. `Display` leaves the source out: see [`WorkerError::chain`].
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A file, folder or socket inside the container could not be used: a read-only or full disk, a wrong owner.
    #[error("cannot {what} {path}")]
    File {
        /// What was tried, as a verb.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The agent's bootstrap file is not what this version understands.
    #[error("{path} is not a valid bootstrap")]
    Bootstrap {
        /// The file.
        path: PathBuf,
        /// Which field, and what was wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The agent's bootstrap file is larger than any that an agent writes.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// A public key holds a line break or nothing: it would become other keys, or options, in the file.
    #[error("authorizedKeys[{index}] must be one line with one public key, as in `ssh-ed25519 AAAA… me@laptop`")]
    Key {
        /// Which one, from 0.
        index: usize,
    },
    /// `perry worker init` was run by hand: it signals everything it sees, which only PID 1 of a container may do.
    #[error("perry worker init is PID 1 of a workspace and nothing else (it is {pid} here)")]
    NotPidOne {
        /// What it is.
        pid: u32,
    },
    /// A program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Which one.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something that the kernel always grants was refused: threads, pipes, signal handlers.
    #[error("cannot {what}")]
    System {
        /// What was tried, as a verb.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl WorkerError {
    /// A failure with a file, for `map_err`.
    pub fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// A failure of the system itself, for `map_err`.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// The error and its causes on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
