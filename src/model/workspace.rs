//! Intent: what a person wants a workspace to be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::quantity::{Bytes, Cpus};
use super::{Name, Uid};

/// The port inside a workspace that `ssh` always stands for.
pub const SSH_PORT: u16 = 22;
/// The name of the port that is always there.
pub const SSH_PORT_NAME: &str = "ssh";

/// A workspace as it is stored: intent only, never anything observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Workspace {
    /// Who it is, and what admission decided once.
    pub metadata: Metadata,
    /// What it should be.
    #[serde(default)]
    pub spec: Spec,
}

/// Who a workspace is, and what admission decided for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Metadata {
    /// Its name, unique on this agent.
    pub name: Name,
    /// This incarnation of the name.
    pub uid: Uid,
    /// For selecting: `perry get -l team=web`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub labels: BTreeMap<String, String>,
    /// For people and programs; Perry does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub annotations: BTreeMap<String, String>,
    /// Counts the changes of intent (spec, restart, deletion), from 1.
    pub generation: u64,
    /// When the name was first applied.
    pub created: Timestamp,
    /// Set once by delete; only this tears anything down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    /// The latest restart that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Timestamp>,
    /// The latest restart that was to take the newest image: an older container is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded_at: Option<Timestamp>,
    /// What its container and volumes are called before the name; kept, so that a changed `workspacePrefix` renames nothing.
    pub prefix: String,
    /// The host port of each port name (`ssh` too), reserved as long as the workspace exists.
    #[serde(default)]
    pub host_ports: BTreeMap<Name, u16>,
    /// What this workspace took over from before Perry knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
}

/// Objects without Perry's labels that belong to a workspace all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Adopted {
    /// The container's id, kept as it is until a replacement is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Volume names by their role (`home`, `docker`), read from the container's mounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub volumes: BTreeMap<String, String>,
    /// `volumes` have not been read from the container yet: until they are, nothing may be planned for the workspace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub pending: bool,
    /// Set by an admitted replacement: the container may go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub replace: bool,
}

/// Whether the container should be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub enum Run {
    /// Up, and brought up again when it dies.
    Running,
    /// Down, with everything kept.
    Stopped,
}

/// What a workspace should be. Every field is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct Spec {
    /// `Running` or `Stopped`. Left out: as it is now; `Running` for a new workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The container image. Left out: the agent's `imageTag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A git repository, cloned once after the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneSpec>,
    /// Environment of everything inside.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub env: BTreeMap<String, String>,
    /// Ports that are reached from the host; `ssh` (22) is always there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub ports: Vec<PortSpec>,
    /// Volumes beside home and docker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub volumes: Vec<VolumeSpec>,
    /// Limits.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub resources: Resources,
    /// Docker inside the workspace. Without it the container is unprivileged.
    #[ts(as = "Option<_>", optional)]
    pub docker: bool,
    /// Who may come in by ssh, and where it listens.
    #[serde(skip_serializing_if = "SshSpec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub ssh: SshSpec,
    /// Files of the agent's host, kept in sync into the workspace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub files: Vec<FileSpec>,
    /// Tools installed after start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub tools: Vec<String>,
    /// Commands run by the worker.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub hooks: Hooks,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            run: None,
            image: None,
            clone: None,
            env: BTreeMap::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            resources: Resources::default(),
            docker: true,
            ssh: SshSpec::default(),
            files: Vec::new(),
            tools: Vec::new(),
            hooks: Hooks::default(),
        }
    }
}

impl Spec {
    /// Whether it should run; admission always sets it, and a new workspace runs.
    pub fn run(&self) -> Run {
        self.run.unwrap_or(Run::Running)
    }
}

/// A git repository to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CloneSpec {
    /// Where from.
    pub url: String,
    /// Branch or tag; left out: the repository's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where to; left out: the repository's name in the home folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A port that is reached from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct PortSpec {
    /// What it is called.
    pub name: Name,
    /// The port inside, 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The port on the host; left out: allocated from `publishedPorts` and kept.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The host's address; left out: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
}

/// A volume of the workspace's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct VolumeSpec {
    /// What it is called; `home` and `docker` are taken.
    pub name: Name,
    /// Where it is mounted, an absolute path.
    pub path: String,
}

/// Limits of a workspace; what is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Resources {
    /// Processors, such as 2 or 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Memory, such as 4Gi; at least 64Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Size of /dev/shm, such as 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm: Option<Bytes>,
}

impl Resources {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may come in by ssh, and where it listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct SshSpec {
    /// Public keys, as in an `authorized_keys` file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub authorized_keys: Vec<String>,
    /// The host's address; left out: the agent's `ssh.bind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
}

impl SshSpec {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file of the agent's host that is kept in sync into the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct FileSpec {
    /// On the agent's host; must match `sync.allow`.
    pub from: String,
    /// In the workspace.
    pub to: String,
}

/// Commands run by the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Hooks {
    /// Once, after the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_create: Option<String>,
    /// At each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_start: Option<String>,
}

impl Hooks {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
