//! Inputs and outputs of what keeps an agent in order: orphans, settings.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Config;

/// The agent's settings, and which agent the clients of its folder talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigShown {
    /// The settings.
    #[serde(flatten)]
    pub config: Config,
    /// `worker` of `client.json`; absent: this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// Which agent clients talk to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWorkerInput {
    /// As `host:port`; empty: the agent of the folder.
    pub worker: String,
}

/// Containers and volumes that bear this agent's id and belong to no workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Orphans {
    /// Names of containers.
    pub containers: BTreeSet<String>,
    /// Names of volumes.
    pub volumes: BTreeSet<String>,
}
