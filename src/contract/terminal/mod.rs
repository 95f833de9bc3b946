//! The terminal protocol [`SUBPROTOCOL`]: binary frames, one type byte and then the body; integers are little-endian.
//! `specs/terminal.md` tells it in words. Agent and worker speak it too, each frame behind its length (`u32`).

mod frames;
mod naive;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Code;
use crate::model::{Name, Secret};

pub use self::frames::{ClientFrame, FrameError, ServerFrame, put_frame, take_frame};
pub use self::naive::NaiveText;

/// What a client asks for as a WebSocket subprotocol; one that does not is naive.
pub const SUBPROTOCOL: &str = "perry.terminal.v1";
/// The most bytes that are on their way to a viewer and not acknowledged.
pub const WINDOW: u64 = 256 << 10;
/// After so many bytes a viewer acknowledges what it has rendered; for fewer it need not.
pub const ACK_EVERY: u64 = 16 << 10;
/// The most bytes of input that may be on their way and not acknowledged, of one client.
pub const INPUT_WINDOW: usize = 64 << 10;
/// The most bytes of data in one frame.
pub const DATA_MAX: usize = 32 << 10;
/// The most bytes of a frame, a snapshot's among them.
pub const FRAME_MAX: usize = (1 << 20) + 64;
/// The most columns and rows.
pub const SIZE_MAX: (u16, u16) = (1000, 500);
/// The terminal that is meant where none is named.
pub const MAIN: &str = "main";
/// Bytes of the head of a data frame: its type and its sequence number.
pub const DATA_HEAD: usize = 9;

/// Why a terminal's connection was closed, as the code of the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// The program has ended.
    Exit = 1000,
    /// The workspace has stopped, or the agent is going; after a [`ServerFrame::Exit`] it is the former.
    Going = 1001,
    /// The worker is being replaced, or does not answer yet: come again.
    Again = 1012,
    /// Something failed.
    Failed = 1011,
    /// Who calls is not known.
    Unauthorized = 4001,
    /// Who calls may not.
    Forbidden = 4003,
    /// There is no such workspace.
    NotFound = 4404,
}

impl Close {
    /// What a connection is closed with that an error of this code ended.
    pub fn of(code: &str) -> Self {
        const KNOWN: [(Code, Close); 5] = [
            (Code::Unauthorized, Close::Unauthorized),
            (Code::Forbidden, Close::Forbidden),
            (Code::NotFound, Close::NotFound),
            (Code::PreconditionFailed, Close::Going),
            (Code::ServiceUnavailable, Close::Again),
        ];
        KNOWN.iter().find(|(known, _)| known.as_str() == code).map_or(Self::Failed, |(_, close)| *close)
    }

    /// The code.
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// What a terminal has whose viewers have not told theirs.
    pub const USUAL: Self = Self { cols: 80, rows: 24 };

    /// The nearest size that a terminal can have. A window that is being dragged must not fail at its extremes.
    pub fn clamped(self) -> Self {
        Self { cols: self.cols.clamp(1, SIZE_MAX.0), rows: self.rows.clamp(1, SIZE_MAX.1) }
    }
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Hello {
    /// Who calls, where no header could say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// What this client calls itself, the same over all its connections: 1 to 64 letters, digits and dashes, at random. Input is applied once for each.
    pub client: String,
    /// Which terminal; left out: `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Name>,
    /// Which one of that name, as [`Info::id`] told it: one that has ended is not begun anew then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The sequence number after the last byte that this client has, of that terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub have: Option<u64>,
    /// Columns of the client's window.
    pub cols: u16,
    /// Rows of it.
    pub rows: u16,
    /// What to run where there is no such terminal yet; left out: the user's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,
    /// A command to run without a terminal, in the place of one: it ends with the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Data may come compressed by zstd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub compress: bool,
}

/// What a new terminal runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Create {
    /// Program and arguments; empty: the user's shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub command: Vec<String>,
    /// The folder to begin in; left out: the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// A command without a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Exec {
    /// Program and arguments; not empty.
    pub command: Vec<String>,
    /// Seconds after which it and its children are killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub timeout: Option<u64>,
}

/// What a viewer is told of its terminal, at first and at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Info {
    /// Its name.
    pub terminal: Name,
    /// Which one of that name.
    pub id: String,
    /// What its program calls it.
    pub title: String,
    /// What runs in the foreground.
    pub program: String,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// How many look at it.
    pub viewers: u32,
    /// This viewer may not type.
    pub read_only: bool,
}

/// How a terminal ended. Nothing comes after it, and there is nothing to come back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Exit {
    /// The exit code; 128 + n where signal n ended it; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// For people.
    pub reason: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Exit {
    /// The end of a program.
    pub fn of(code: Option<i32>, signal: Option<i32>) -> Self {
        let reason = match (code, signal) {
            (_, Some(signal)) => format!("Process was ended by signal {signal}"),
            (Some(code), None) => format!("Process exited with code {code}"),
            (None, None) => "Process has ended".to_owned(),
        };
        Self { code: code.or(signal.map(|signal| 128 + signal)), signal, reason }
    }

    /// The end of everything in a workspace.
    pub fn gone(reason: impl Into<String>) -> Self {
        Self { code: None, signal: None, reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_kept_within_what_a_terminal_can_have() {
        assert_eq!(Size { cols: 0, rows: 0 }.clamped(), Size { cols: 1, rows: 1 });
        assert_eq!(Size { cols: u16::MAX, rows: 24 }.clamped(), Size { cols: 1000, rows: 24 });
    }
}
