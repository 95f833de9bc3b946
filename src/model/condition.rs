//! Conditions: what is true of a workspace, in the words of Kubernetes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub enum ConditionType {
    /// It can be used: the plan for its generation was empty and the worker, ssh and Docker inside answer.
    Ready,
    /// Work on it is under way or will be tried again.
    Reconciling,
    /// It needs a person; the reason says why.
    Stalled,
    /// Its image is on the engine.
    ImagePresent,
    /// Its volumes are there and its own.
    VolumesBound,
    /// Its container runs.
    ContainerRunning,
    /// The worker inside answers.
    WorkerReady,
    /// sshd inside answers.
    SshReady,
    /// dockerd inside answers.
    DockerReady,
    /// Clone and hooks went well.
    HooksSucceeded,
    /// The tools of the spec are installed.
    ToolsInstalled,
    /// The files of the host that it is to have were brought.
    FilesSynced,
    /// There is little room left on disk. The one condition that is better false.
    DiskPressure,
    /// What separates it from the host is more than namespaces of a privileged container.
    Isolated,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody could look.
    Unknown,
}

/// One thing that is, or is not, true of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as one CamelCase word for programs.
    pub reason: String,
    /// Why, for people; may be empty.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// The generation that it was judged for.
    pub observed_generation: u64,
}
