//! Inputs and outputs of what keeps an agent in order: doctor, orphans, settings.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::Config;

/// The agent's settings, and which agent the clients of its folder talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ConfigShown {
    /// The settings.
    #[serde(flatten)]
    pub config: Config,
    /// `worker` of `client.json`; absent: this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// Which agent clients talk to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct SetWorkerInput {
    /// As `host:port`; empty: the agent of the folder.
    pub worker: String,
}

/// What to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct PruneInput {
    /// Orphaned volumes, by name, whose content is to be lost.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub volumes: BTreeSet<String>,
    /// Say what would be removed, and remove nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PruneOutput {
    /// These.
    pub removed: Orphans,
    /// Orphaned volumes that were not named, and stay.
    pub kept: BTreeSet<String>,
}

/// What a look at everything showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct DoctorReport {
    /// One for each thing that was looked at.
    pub checks: Vec<Check>,
}

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Check {
    /// One word.
    pub name: String,
    /// How it is.
    pub status: CheckStatus,
    /// What was seen.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warning,
    /// Something does not work.
    Failed,
}

/// Containers and volumes that bear this agent's id and belong to no workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Orphans {
    /// Names of containers.
    pub containers: BTreeSet<String>,
    /// Names of volumes.
    pub volumes: BTreeSet<String>,
}
