//! What goes wrong with the agent's files.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::Issues;
use crate::model::state::SCHEMA_VERSION;

/// What goes wrong with the agent's files. Cloned to everybody whose edit was in the same commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk did not let us read.
    #[error("{file} could not be read")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The disk did not let us write: full, read-only, not ours. The file is as it was.
    #[error("{file} could not be written and is as it was")]
    Write {
        /// Which file.
        file: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The file was written, and readers see it, but the folder could not be synced.
    #[error("state.json was written, but may be lost if the machine crashes now")]
    Unsynced {
        /// Why.
        source: Arc<io::Error>,
    },
    /// `state.lock` could not be taken.
    #[error("state.lock could not be taken, so that state.json was neither read nor written")]
    Lock {
        /// Why.
        source: Arc<io::Error>,
    },
    /// `state.json` is of a newer Perry.
    #[error(
        "state.json has schemaVersion {found}, and this version of Perry knows up to {SCHEMA_VERSION}: run a newer one"
    )]
    Newer {
        /// Its version.
        found: u64,
    },
    /// `state.json` is of the original Perry and has entries that cannot be taken over.
    #[error("state.json of the original Perry cannot be migrated and was left as it is")]
    Original {
        /// What is wrong with it.
        #[source]
        issues: Issues,
    },
    /// The document would be larger than a reader accepts.
    #[error("state.json would be {bytes} bytes long, and at most {limit} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A small file of the agent's holds something that Perry did not write.
    #[error("{file} is damaged: {message}")]
    Damaged {
        /// Which file.
        file: String,
        /// What was expected.
        message: String,
    },
    /// Another agent has this folder.
    #[error("another agent has this folder: {holder}; stop it first, or use another folder (--config-dir)")]
    InUse {
        /// Its process and address, as far as it has said.
        holder: String,
    },
    /// The thread that owns `state.json` could not be started.
    #[error("the store's thread could not be started")]
    Thread {
        /// Why.
        source: Arc<io::Error>,
    },
    /// The store was closed.
    #[error("the agent is shutting down")]
    Closed,
}

impl StoreError {
    pub(super) fn reading(file: &str, error: io::Error) -> Self {
        Self::Read { file: file.to_owned(), source: Arc::new(error) }
    }

    pub(super) fn writing(file: &str, error: io::Error) -> Self {
        Self::Write { file: file.to_owned(), source: Arc::new(error) }
    }

    pub(super) fn locking(error: io::Error) -> Self {
        Self::Lock { source: Arc::new(error) }
    }

    /// The whole chain in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

/// An edit said no; why is its caller's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected;

/// Why one edit of a commit was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The edit itself said no.
    #[error("the edit was rejected")]
    Rejected,
    /// The edit would have broken what every document must keep: see [`document::check_step`](super::document).
    #[error("the edit breaks a rule of state.json")]
    Invalid(#[source] Issues),
    /// The edit panicked; nothing of it was kept.
    #[error("the edit panicked")]
    Panicked,
    /// The commit as a whole failed.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// Why [`Store::edit`](super::Store::edit) changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EditError<E> {
    /// The edit itself said no.
    #[error("{0}")]
    Rejected(E),
    /// The edit would have broken what every document must keep.
    #[error("{0}")]
    Invalid(Issues),
    /// The edit panicked: a fault in Perry.
    #[error("the edit panicked")]
    Panicked,
    /// The disk did not take it, or the store was closed.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// Something about the agent's files that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Since when.
    pub since: Timestamp,
    /// What, and what to do about it.
    pub message: String,
}
