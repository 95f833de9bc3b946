//! Views: what clients see of a workspace. This is the `Workspace` of the API, in its wire form.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Condition, ConditionStatus, ConditionType, Name, Spec, TaskSeen, Uid};

/// One word for what a workspace is doing, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nobody has looked yet, or nobody can.
    Unknown,
    /// On its way to running.
    Creating,
    /// Ready.
    Running,
    /// On its way to stopped.
    Stopping,
    /// Down.
    Stopped,
    /// On its way out.
    Deleting,
    /// It needs a person, or is failing and tried again.
    Error,
}

/// What clients see of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Workspace")]
#[ts(optional_fields, rename = "Workspace")]
pub struct View {
    /// Its name.
    pub name: Name,
    /// One word for lists.
    pub status: Phase,
    /// When the engine was last looked at for it; absent before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// Its container, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// When the name was first applied.
    pub created: Timestamp,
    /// Its image.
    pub image: String,
    /// The host port of each port.
    pub ports: BTreeMap<Name, u16>,
    /// Its incarnation.
    pub uid: Uid,
    /// For selecting.
    pub labels: BTreeMap<String, String>,
    /// For people and programs.
    pub annotations: BTreeMap<String, String>,
    /// The generation of intent.
    pub generation: u64,
    /// The newest generation that a look at the engine was made for; 0 before the first.
    pub observed_generation: u64,
    /// The watch cursor of its last change.
    pub resource_version: String,
    /// What it should be.
    pub spec: Spec,
    /// What is true of it.
    pub conditions: Vec<Condition>,
    /// The steps of its latest start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
    /// The worker inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerView>,
}

impl View {
    /// The condition of a type, where it was judged.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether a condition is `True` for the present generation.
    pub fn is_true(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| {
            condition.status == ConditionStatus::True && condition.observed_generation == self.generation
        })
    }
}

/// The worker inside a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct WorkerView {
    /// Its version.
    pub version: String,
    /// Whether it answered when last asked.
    pub healthy: bool,
    /// What it runs for the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub tasks: Vec<TaskSeen>,
}

/// The steps of a start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Startup {
    /// In the order in which they began.
    pub steps: Vec<Step>,
}

/// One step of a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Step {
    /// What: image, network, volumes, create, install-worker, limits, start, worker, ssh, docker, sync-files.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Progress or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed; a later one of the same name is the next try.
    Failed,
}
