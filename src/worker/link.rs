//! What PID 1 and `serve` say to each other, over `serve`'s stdin and stdout. They are always the same executable, so
//! this needs no version.

use serde::{Deserialize, Serialize};

use crate::model::TaskSeen;
use crate::model::observed::Service;

/// What PID 1 tells `serve`, as one JSON line: at its start and at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Hash of the executable that PID 1 and `serve` are, as the agent computed it.
    pub executable: String,
    /// Hash of the plan that PID 1 follows.
    pub config: String,
    /// sshd.
    pub ssh: Service,
    /// dockerd.
    pub docker: Service,
    /// What is run for the spec.
    pub tasks: Vec<TaskSeen>,
}

/// What `serve` tells PID 1, as one line with one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// It listens.
    Ready,
    /// The bootstrap file holds a new plan.
    Configure,
    /// Files were brought.
    Files,
    /// The executable was replaced, tried and found good: take it.
    Reload,
}

impl Request {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Configure => "configure",
            Self::Files => "files",
            Self::Reload => "reload",
        }
    }

    /// The request that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Ready, Self::Configure, Self::Files, Self::Reload]
            .into_iter()
            .find(|request| request.word() == word.trim())
    }
}
