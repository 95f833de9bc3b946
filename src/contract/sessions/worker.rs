//! What agent and worker say to each other of sessions.

use serde::{Deserialize, Serialize};

use super::{CodingAgent, Message, Session, ToolDetail};

/// What is new of the messages of a session, in the order in which it is to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MessageNews {
    /// Only so many are left.
    Truncated {
        /// How many.
        to: u32,
    },
    /// This one reads otherwise.
    Replaced {
        /// Which one.
        index: u32,
    },
    /// From this one on they are new.
    Appended {
        /// The first.
        from: u32,
    },
}

/// What a worker is asked for of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessagesAsked {
    /// Whose session.
    pub agent: CodingAgent,
    /// Which one.
    pub session: String,
    /// The first message.
    pub from: u32,
    /// The one after the last.
    pub to: u32,
    /// What of tools.
    pub tools: ToolDetail,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MessagesAnswer {
    /// The messages, in order; fewer than asked for where they are long.
    Messages(Vec<Message>),
    /// There is no such session.
    Unknown,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// What a worker tells of its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SessionChange {
    /// All that was told before does not count: what there is follows.
    Reset,
    /// A session is there, or has changed.
    Upserted {
        /// As it is now.
        session: Session,
        /// What is new of its messages.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        news: Vec<MessageNews>,
    },
    /// A session is gone.
    #[serde(rename_all = "camelCase")]
    Gone {
        /// Whose it was.
        agent: CodingAgent,
        /// Its id.
        session_id: String,
    },
    /// All that there was has been told; also sent from time to time where nothing changes.
    Bookmark,
}
