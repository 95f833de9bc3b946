//! What a workspace occupies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a workspace occupies on the engine's disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct DiskUsage {
    /// Its volumes, those that are there.
    pub volumes: Vec<VolumeUsage>,
    /// Bytes written in the container and in no volume: a new container begins without them. Absent where there is no
    /// container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<u64>,
}

/// What one volume occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct VolumeUsage {
    /// Its name on the engine.
    pub name: String,
    /// Where it is mounted.
    pub path: String,
    /// Bytes; absent where the volume's driver does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
