//! What is wrong with an input: one entry per fault, each with the path of the field.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One fault in an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Issue {
    /// What was wrong and what would be right.
    pub message: String,
    /// The field: keys and, for list items, their index as text.
    pub path: Vec<String>,
}

impl Issue {
    /// An issue at a dotted path such as `spec.ports.0.port` (empty: the whole input).
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        let path = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { message: message.into(), path }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path.join("."), self.message)
        }
    }
}

/// All faults of one input; never empty where it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, thiserror::Error, TS)]
#[serde(transparent)]
pub struct Issues(pub Vec<Issue>);

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl Issues {
    /// Notes one more fault.
    pub fn push(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Issue::new(path, message));
    }

    /// `value` where nothing is wrong, else the faults.
    ///
    /// # Errors
    /// The faults noted so far.
    pub fn into_result<T>(self, value: T) -> Result<T, Issues> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}
