//! What all stores of sessions have in common, however an agent keeps them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::talk::{Millis, News, Talk};
use crate::contract::sessions::{CodingAgent, Message, ToolDetail};

/// What of an agent's is to be watched: a folder, and how many folders below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The folder; it need not be there.
    pub root: PathBuf,
    /// 0: only what is in it.
    pub depth: usize,
    /// A folder below it that is not to be watched.
    pub but: Option<PathBuf>,
}

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Anything.
    Everything,
    /// What is at these paths, or was.
    Paths(BTreeSet<PathBuf>),
}

impl Changes {
    /// Nothing but what a look before left to be done.
    pub fn none() -> Self {
        Self::Paths(BTreeSet::new())
    }
}

/// How far the latest turn is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Turn {
    /// It has ended: the agent has nothing to do.
    #[default]
    Ended,
    /// It is the agent's.
    Answering,
    /// A tool was called and has not answered.
    Calling,
}

/// A session as its store knows it: everything but what its process does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// The agent's id of it.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Messages in it.
    pub count: u32,
    /// The latest time of what messages are made of.
    pub last: Millis,
    /// The folder it works in.
    pub cwd: Option<String>,
    /// How far it is.
    pub turn: Turn,
    /// Another one where any message differs; none as long as they are counted and not read.
    pub revision: Option<u64>,
    /// Why it cannot be read, where it cannot.
    pub problem: Option<String>,
    /// The file that its process writes.
    pub file: PathBuf,
}

/// Whether there is more to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum More {
    /// Not until something changes.
    Nothing,
    /// What was just being written, in a moment.
    Soon,
    /// At once.
    Now,
}

/// What has changed of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// It is there, or reads otherwise.
    Upserted {
        /// As it is now.
        summary: Summary,
        /// What is new of its messages.
        news: Vec<News>,
    },
    /// It is gone.
    Gone(String),
}

/// Messages that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// From this one on.
    pub from: u32,
    /// Up to but without this one.
    pub to: u32,
    /// What tools were given and answered too.
    pub tools: ToolDetail,
}

/// Why messages cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such session.
    #[error("there is no such session")]
    Unknown,
    /// Its file or database cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not understood.
    #[error("{0}")]
    NotUnderstood(String),
}

/// The sessions of one agent, as one of its generations keeps them.
pub trait Store: Send {
    /// Whose they are.
    fn agent(&self) -> CodingAgent;

    /// What is to be watched.
    fn watched(&self) -> Vec<Watched>;

    /// Looks at what may have changed; each session that has is told. Whether there is more to look at: a long look is done
    /// piece by piece, so that others have their turn in between.
    fn look(&mut self, changes: &Changes, tell: &mut dyn FnMut(Update)) -> More;

    /// Messages of a session, in order; fewer than wanted where they are long.
    ///
    /// # Errors
    /// [`ReadError`].
    fn messages(&mut self, session: &str, wanted: &Wanted) -> Result<Vec<Message>, ReadError>;

    /// Writes down what was learnt, so that it need not be read again.
    fn save(&mut self) {}
}

/// What tells whether something that was told has changed, in less room than it takes.
pub fn print_of(told: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    told.hash(&mut hasher);
    hasher.finish()
}

/// How far a conversation is.
pub fn turn(talk: &Talk) -> Turn {
    match (talk.is_calling(), talk.has_ended() || talk.is_empty()) {
        (true, _) => Turn::Calling,
        (_, true) => Turn::Ended,
        _ => Turn::Answering,
    }
}
