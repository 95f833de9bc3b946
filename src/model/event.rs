//! Events: what happened to a workspace, for people.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Name, Uid};

/// Whether an event is news or trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub enum Severity {
    /// Went as it should.
    Normal,
    /// Somebody may want to know.
    Warning,
}

/// Something that happened to a workspace. Equal ones in a row are counted, not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Event {
    /// The workspace.
    pub name: Name,
    /// Its incarnation.
    pub uid: Uid,
    /// News or trouble.
    #[serde(rename = "type")]
    pub severity: Severity,
    /// One CamelCase word for programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When it last happened.
    pub at: Timestamp,
    /// How often in a row.
    pub count: u32,
}
