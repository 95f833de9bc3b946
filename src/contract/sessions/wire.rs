//! Inputs and outputs of the procedures about sessions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{CodingAgent, SessionInfo, SessionState, ToolDetail};
use crate::model::Name;

/// A place in the list of sessions, which has those first that went on last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionPlace {
    /// `lastActivity` of the session there.
    pub last_activity: Timestamp,
    /// Its id.
    pub session_id: String,
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct SessionsInput {
    /// Of this workspace; left out: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<Name>,
    /// Of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<CodingAgent>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SessionState>,
    /// Those that come after this place: the last one of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SessionPlace>,
    /// How many at most; left out: 1000, which is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct MessagesInput {
    /// The workspace.
    pub workspace_name: Name,
    /// The session.
    pub session_id: String,
    /// Its agent, where two have a session of that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<CodingAgent>,
    /// The last ones before this index; left out: the last ones there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// The first ones from this index on, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// How many at most; left out: 50. At most 500; fewer come where they are long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What of tools is wanted; left out: their names, and how they went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolDetail>,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct SearchInput {
    /// Words that must all be there, or "a phrase" in quotes; the last word may be the beginning of one.
    pub query: String,
    /// In this workspace; left out: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<Name>,
    /// In sessions of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<CodingAgent>,
    /// How many at most; left out: 20. At most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A piece of a text that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SnippetPart {
    /// The text.
    pub text: String,
    /// It is what was looked for.
    pub is_match: bool,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// The session that it is in.
    pub session: SessionInfo,
    /// Its place there.
    pub index: u32,
    /// What is around of what was found.
    pub snippet: Vec<SnippetPart>,
}

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct WatchSessionsInput {
    /// Sessions of this workspace; left out: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<Name>,
}

/// What changes about sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SessionFrame {
    /// All that was told before does not count: what there is follows.
    Reset,
    /// A session is there, or has changed.
    Upserted {
        /// As it is now.
        session: SessionInfo,
    },
    /// A session is gone.
    Gone(SessionRef),
    /// Messages from `index` on are new.
    Appended(MessageRef),
    /// The message at `index` reads otherwise: an answer goes on, a tool has ended.
    Replaced(MessageRef),
    /// Only `index` messages are left: what came after them was taken back.
    Truncated(MessageRef),
    /// All that there was has been told.
    Bookmark,
}

/// A session, by what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SessionRef {
    /// The workspace.
    pub workspace_name: Name,
    /// The agent.
    pub agent: CodingAgent,
    /// The id.
    pub session_id: String,
}

/// A place among the messages of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    /// The workspace.
    pub workspace_name: Name,
    /// The agent.
    pub agent: CodingAgent,
    /// The id.
    pub session_id: String,
    /// The place.
    pub index: u32,
}

impl SessionFrame {
    /// The workspace that it is about; none where it is about all.
    pub fn workspace(&self) -> Option<&Name> {
        match self {
            Self::Reset | Self::Bookmark => None,
            Self::Upserted { session } => Some(&session.workspace_name),
            Self::Gone(session) => Some(&session.workspace_name),
            Self::Appended(message) | Self::Replaced(message) | Self::Truncated(message) => {
                Some(&message.workspace_name)
            }
        }
    }
}
