//! What a workspace uses at a moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::Name;

/// What a worker measures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measured {
    /// Processor time since the start of the container, in seconds.
    pub cpu_seconds: f64,
    /// Bytes, without what the kernel would give back at once.
    pub memory: u64,
    /// Bytes that may be used, where that is limited.
    pub memory_limit: Option<u64>,
    /// Bytes by place, as of the last count.
    pub disk: Disk,
    /// TCP ports that servers inside listen on.
    pub ports: Vec<u16>,
}

/// Bytes on disk; absent until they were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(default)]
#[ts(optional_fields)]
pub struct Disk {
    /// The home folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<u64>,
    /// What the inner Docker keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<u64>,
}

/// What a workspace uses at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Usage {
    /// The workspace.
    pub name: Name,
    /// Processors in use since the figure before; absent in the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Bytes of memory, without what the kernel would give back at once.
    pub memory: u64,
    /// Bytes of memory that may be used, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Bytes on disk, counted about once a minute while somebody asks.
    pub disk: Disk,
    /// TCP ports that servers inside listen on, ssh among them.
    pub ports: Vec<u16>,
}
