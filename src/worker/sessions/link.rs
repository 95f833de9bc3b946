//! What `perry worker serve` and the index, a process of the workspace's user, say to each other: JSON, a line each.

use serde::{Deserialize, Serialize};

use crate::contract::sessions::{MessagesAnswer, MessagesAsked, SessionChange};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// What the answer is to name.
    pub id: u64,
    /// What is asked for.
    pub asked: MessagesAsked,
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
        /// The answer.
        answer: MessagesAnswer,
    },
}
