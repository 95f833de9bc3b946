//! Plans and what they conclude.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Action;

/// What is to be done for one workspace, and what is concluded where that is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In order; any prefix is a legal starting point for the next plan.
    pub actions: Vec<Action>,
    /// The conclusion.
    pub verdict: Verdict,
}

/// What a plan concludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is something to do: `actions` is not empty.
    Act,
    /// Everything is as it should be.
    Converged,
    /// Everything was done; the workspace itself has to get there (worker, sshd, dockerd).
    Waiting(Reason),
    /// Somebody outside has to change something; looked at again at every resync.
    Blocked(Reason),
    /// Not enough could be seen to decide.
    Unknown(Reason),
    /// Deleted, and nothing of it is left: intent may forget it.
    Gone,
}

/// Why, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// One CamelCase word.
    pub reason: Cow<'static, str>,
    /// What is the matter.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Reason {
    /// A reason without a hint.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason: Cow::Borrowed(reason), message: message.into(), hint: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
