//! Inputs and outputs of `terminals`, and what the agent asks a worker for about them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::terminal::{Create, Hello};
use crate::model::Name;

/// A terminal of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct TerminalInfo {
    /// Its name, unique in its workspace.
    pub terminal: Name,
    /// Which one of that name.
    pub id: String,
    /// What its program calls it; may be empty.
    pub title: String,
    /// What it was begun with; empty: the user's shell.
    pub command: Vec<String>,
    /// What runs in the foreground.
    pub program: String,
    /// The device within the workspace, such as `/dev/pts/3`.
    pub tty: String,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// How many look at it.
    pub viewers: u32,
    /// When it was begun.
    pub created: Timestamp,
    /// When something was last typed or printed.
    pub last_activity: Timestamp,
}

/// A terminal to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CreateTerminalInput {
    /// In which workspace.
    pub name: Name,
    /// What to call it.
    pub terminal: Name,
    /// Program and arguments; left out: the user's shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub command: Vec<String>,
    /// The folder to begin in; left out: the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Columns; left out: 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cols: Option<u16>,
    /// Rows; left out: 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u16>,
}

/// A terminal to call something else. Who looks at it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct RenameTerminalInput {
    /// In which workspace.
    pub name: Name,
    /// What it is called.
    pub terminal: Name,
    /// What it is to be called.
    pub to: Name,
}

/// A terminal to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CloseTerminalInput {
    /// In which workspace.
    pub name: Name,
    /// What it is called.
    pub terminal: Name,
}

/// What the agent asks a worker for on a connection of its own. The first frame, after its length, is this as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The secret of the workspace.
    pub secret: String,
    /// What is wanted.
    pub request: TerminalRequest,
}

/// What may be asked about the terminals of a worker. All but `Attach` are answered by one [`TerminalAnswer`] and the end of
/// the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminalRequest {
    /// To look at a terminal: frames of [`terminal`](super::terminal) follow both ways.
    Attach {
        /// What the client said.
        hello: Box<Hello>,
        /// It may not type.
        read_only: bool,
    },
    /// All there are.
    List,
    /// A new one.
    Create {
        /// Its name.
        terminal: Name,
        /// What it runs.
        create: Create,
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Another name.
    Rename {
        /// The old one.
        terminal: Name,
        /// The new one.
        to: Name,
    },
    /// The end.
    Close {
        /// Of which.
        terminal: Name,
    },
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminalAnswer {
    /// To [`TerminalRequest::List`].
    List(Vec<TerminalInfo>),
    /// To [`TerminalRequest::Create`] and [`TerminalRequest::Rename`].
    One(TerminalInfo),
    /// To [`TerminalRequest::Close`], once it has ended.
    Closed,
    /// It is not done.
    Refused(Refusal),
}

/// Why a worker does not do what was asked about a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// There is no terminal of that name.
    #[error("there is no terminal {0}")]
    NotFound(Name),
    /// There is one already.
    #[error("there is a terminal {0} already")]
    Exists(Name),
    /// Too many of something.
    #[error("{0}")]
    TooMany(String),
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}
