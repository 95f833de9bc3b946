//! What `perry worker serve` and the index, a process of the workspace's user, say to each other: JSON, a line each.

use serde::{Deserialize, Serialize};

use crate::contract::sessions::{CodingAgent, Message, SessionChange};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// What the answer is to name.
    pub id: u64,
    /// Whose session.
    pub agent: CodingAgent,
    /// Which one.
    pub session: String,
    /// The first message that is wanted.
    pub from: u32,
    /// The one after the last.
    pub to: u32,
    /// What tools were given and answered too.
    pub with_tools: bool,
}

/// What the index says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Word {
    /// Something has changed.
    Change(SessionChange),
    /// The answer to a question.
    Answer {
        /// Which one.
        id: u64,
        /// The messages; else what was wrong.
        messages: Result<Vec<Message>, Fault>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// There is no such session.
    Unknown,
    /// It cannot be read, for this reason.
    Unreadable(String),
}
