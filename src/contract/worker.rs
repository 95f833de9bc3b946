//! What agent and worker say to each other: HTTP/2 without TLS over what `dial` gives, each request with
//! `authorization: Bearer <secret of the workspace>`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/health` | [`WorkerSeen`](crate::model::observed::WorkerSeen) as JSON |
//! | `GET /v1/watch` | the same, one JSON document a line: at once, at each change; an empty line every 15 s |
//! | `PUT /v1/config` with a [`WorkerPlan`] | 204 once it is followed; health shows its hash from then on |
//! | `PUT /v1/files/{hash}` with a tar | what could not be written, a list of [`FileFault`](crate::model::observed::FileFault), once the rest is; health shows it and the hash from then on |
//! | `GET /v1/logs?source=…&tail=…&follow=…` | [`LogLine`](super::logs::LogLine) as JSON, one a line; without end with `follow` |
//! | `GET /v1/ssh-agent` | a [`SshAgentRequest`] as JSON a line, as they come |
//! | `POST /v1/ssh-agent/{id}` with the answer | 204 |
//! | `GET /v1/sessions` | [`SessionChange`](super::sessions::SessionChange) as JSON a line, from a `reset` on; an empty line every 15 s |
//! | `POST /v1/messages` with a [`MessagesAsked`](super::sessions::MessagesAsked) | [`MessagesAnswer`](super::sessions::MessagesAnswer) |
//! | `GET /v1/usage` | [`Measured`](super::usage::Measured) |
//! | `POST /v1/exec` with an [`ExecRequest`] | [`ExecResponse`] |
//! | `POST /v1/reload` | 202; init replaces itself and `serve` by the executable now at [`EXECUTABLE`], and reads [`BOOTSTRAP`] again. The connection ends. 500 where the executable is not fit: nothing has changed then |
//!
//! Errors are 400, 401, 404, 405, 413, 429 (64 commands or 64 watchers at a time) and 500, with a text/plain body.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::desired::WorkerPlan;

/// The agent's folder inside a workspace's container.
pub const FOLDER: &str = "/.perry";
/// The worker's executable: a copy of the agent's own.
pub const EXECUTABLE: &str = "/.perry/perry";
/// [`Bootstrap`] as JSON, mode 0600, owned by root. Written by the agent before each start and each reload; the worker
/// itself keeps the plan of a `PUT /v1/config` in it.
pub const BOOTSTRAP: &str = "/.perry/bootstrap.json";
/// The keys that sshd accepts besides those in the home folder, written by the worker.
pub const AUTHORIZED_KEYS: &str = "/.perry/authorized_keys";
/// The hash of the files that were brought since the start, written by the worker once they are there.
pub const FILES_HASH: &str = "/.perry/files";
/// The folder where the worker's socket is; where agent and engine share a machine, a folder of the host is mounted here.
pub const SOCKET_FOLDER: &str = "/run/perry";
/// A socket of the worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// For what this module tells.
    Worker,
    /// For terminals, so that a flood there holds up nothing else: see [`terminals`](super::terminals).
    Terminals,
}

impl Socket {
    /// Its name in [`SOCKET_FOLDER`].
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Worker => "worker.sock",
            Self::Terminals => "terminals.sock",
        }
    }

    /// Where it is within the workspace.
    pub fn path(self) -> PathBuf {
        Path::new(SOCKET_FOLDER).join(self.file_name())
    }
}

/// The socket of the ssh agent that git is lent while it clones.
pub const SSH_AGENT_SOCKET: &str = "/run/perry-ssh/agent.sock";
/// The longest message to and from an ssh agent, in bytes: that of OpenSSH's.
pub const SSH_AGENT_MESSAGE: usize = 256 << 10;

/// A message for the ssh agent of the machine that the agent runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshAgentRequest {
    /// What the answer is to name.
    pub id: u64,
    /// Without its length.
    pub message: Vec<u8>,
}

/// What a worker needs before it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// The workspace's incarnation.
    pub uid: String,
    /// The workspace's name.
    pub name: String,
    /// What the agent proves itself with.
    pub secret: String,
    /// Hash of the executable, as the agent computed it.
    pub executable: String,
    /// What it is told until `PUT /v1/config` says otherwise.
    pub plan: WorkerPlan,
}

/// A command to run inside, without a terminal. It runs as the user `workspace` in its home where the image has that
/// user, else as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecRequest {
    /// Program and arguments; not empty.
    pub command: Vec<String>,
    /// Seconds after which it and its children are killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ExecResponse {
    /// What it wrote, invalid UTF-8 replaced: of the first 1 MiB (the rest is dropped and `truncated` set).
    pub stdout: String,
    /// The same for its errors.
    pub stderr: String,
    /// Its code; 128 + n where signal n ended it; 124 where the timeout did; 127 where there is no such program, 126
    /// where it cannot be run.
    pub exit_code: i32,
    /// Output was dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub truncated: bool,
}
