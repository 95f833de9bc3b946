//! Tasks: what the worker runs for a spec once the workspace has started, and what came of it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What is run for a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum TaskName {
    /// `spec.clone`: until it has succeeded once.
    Clone,
    /// `spec.hooks.onCreate`: until it has succeeded once, after the clone.
    OnCreate,
    /// `spec.hooks.onStart`: once in each start, after the two before it have succeeded.
    OnStart,
    /// `spec.tools`: whatever of them is missing, beside the others.
    Tools,
}

impl TaskName {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 4] = [Self::Clone, Self::OnCreate, Self::OnStart, Self::Tools];

    /// As in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::OnCreate => "onCreate",
            Self::OnStart => "onStart",
            Self::Tools => "tools",
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum TaskState {
    /// It has not begun: something else comes first.
    Waiting,
    /// Under way.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly and will be tried again by itself.
    Retrying,
    /// Ended badly; the next start, or a change of what it is to do, tries again.
    Failed,
}

/// What the worker says of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct TaskSeen {
    /// Which one.
    pub name: TaskName,
    /// How far it is.
    pub state: TaskState,
    /// How its process ended: 128 + n where signal n ended it; absent where it has not ended, or never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Its last words, or what it waits for; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub message: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
