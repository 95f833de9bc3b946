//! Sessions of coding agents: what a worker and the agent say of them, and what clients see.

mod wire;
mod worker;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::Name;

pub use wire::{
    MessageRef, MessagesInput, SearchHit, SearchInput, SessionFrame, SessionPlace, SessionRef, SessionsInput,
    SnippetPart, WatchSessionsInput,
};
pub use worker::{MessageNews, MessagesAnswer, MessagesAsked, SessionChange};

/// The most text of a message that is given, in bytes; what is longer ends in `…` and is marked as truncated.
pub const TEXT_MAX: usize = 256 << 10;
/// The same for the input and for the output of a tool.
pub const TOOL_TEXT_MAX: usize = 1 << 20;
/// Messages in a page, at most.
pub const PAGE_MAX: u32 = 500;

/// An agent whose sessions are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum CodingAgent {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// OpenCode.
    Opencode,
    /// Gemini CLI.
    Gemini,
    /// pi.
    Pi,
    /// Goose; written from its documents, not tried with the program.
    Goose,
    /// GitHub Copilot CLI; written from its documents, not tried with the program.
    Copilot,
}

impl CodingAgent {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Claude, Self::Codex, Self::Opencode, Self::Gemini, Self::Pi, Self::Goose, Self::Copilot];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Opencode => "opencode",
            Self::Gemini => "gemini",
            Self::Pi => "pi",
            Self::Goose => "goose",
            Self::Copilot => "copilot",
        }
    }

    /// The one that people call so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.name() == name)
    }

    /// The command that goes on with a session, in its folder.
    pub fn resume(self, session: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Claude => &["claude", "--resume"],
            Self::Codex => &["codex", "resume"],
            Self::Opencode => &["opencode", "--session"],
            Self::Gemini => &["gemini", "--resume"],
            Self::Pi => &["pi", "--session"],
            Self::Goose => &["goose", "session", "--resume", "--session-id"],
            Self::Copilot => &["copilot", "--resume"],
        };
        words.iter().map(|word| (*word).to_owned()).chain([session.to_owned()]).collect()
    }
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Its process lives and answers a prompt or runs a tool.
    Working,
    /// Its process lives and waits for a person.
    Waiting,
    /// No process of it lives.
    Idle,
    /// What it is written in is not understood.
    Unreadable,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Working, Self::Waiting, Self::Idle, Self::Unreadable];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The person.
    User,
    /// The agent.
    Assistant,
}

/// How a tool call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum ToolStatus {
    /// Well.
    Ok,
    /// It failed.
    Error,
    /// It is not known to have ended.
    Pending,
}

/// What of tools is wanted with messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum ToolDetail {
    /// Their names, and how they went.
    #[default]
    None,
    /// What they were given too.
    Input,
    /// What they were given and answered too.
    Whole,
}

/// A tool that an agent called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ToolCall {
    /// The agent's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// How it went.
    pub status: ToolStatus,
    /// What it was given, as the agent wrote it down (mostly JSON); only where it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What it answered; only where it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// A message of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Message {
    /// Its place in the session, from 0.
    pub index: u32,
    /// The agent's id of it; unique in its session where the agent keeps it so.
    pub id: String,
    /// Who said it.
    pub role: MessageRole,
    /// What was said; may be empty. Written by whoever the agent talked to: not to be trusted as HTML or for a terminal.
    pub text: String,
    /// What the agent thought before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// The tools that it called, in order.
    pub tools: Vec<ToolCall>,
    /// It is no answer but a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub is_error: bool,
    /// Some of it was too long to be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub truncated: bool,
    /// When its first part was written down.
    pub timestamp: Timestamp,
}

/// A session as its workspace knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Session {
    /// The agent's id of it: what its own option to resume takes.
    pub session_id: String,
    /// Whose it is.
    pub agent: CodingAgent,
    /// What it was called, else what its agent calls it, else its first prompt, in one line.
    pub title: String,
    /// Messages in it.
    pub message_count: u32,
    /// When its latest message, tool call or tool result was written down.
    pub last_activity: Timestamp,
    /// The folder it works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_path: Option<String>,
    /// What it does.
    pub state: SessionState,
    /// Why that is said of it.
    pub reason: String,
    /// The name of the terminal that its process runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// The command that goes on with it, in `projectPath`.
    pub resume: Vec<String>,
    /// Another text where any message differs; empty as long as they are counted and not read.
    pub revision: String,
}

impl Session {
    /// Whether its messages are counted, and not read yet.
    pub fn is_counted_only(&self) -> bool {
        self.revision.is_empty()
    }
}

/// A session of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct SessionInfo {
    /// The workspace that it is in. A session is known by workspace, agent and id together: a home that was copied has the
    /// same ids.
    pub workspace_name: Name,
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// What was known last: the workspace does not run, or cannot be reached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub stale: bool,
}
