//! Desired: everything that must exist for one workspace, with every choice made. Derived from intent by
//! `plan::desired`; a runtime needs nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::quantity::Bytes;
use super::sync::FilesPlan;
use super::workspace::{CloneSpec, Hooks};
use super::{Name, Uid, Variables, Variant};

/// Where the home volume is mounted: the home folder of the user `workspace`.
pub const HOME: &str = "/home/workspace";
/// Where the volume of the inner Docker is mounted.
pub const DOCKER_DATA: &str = "/var/lib/docker";

/// Whose an object is: what its labels say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The agent's id.
    pub agent: String,
    /// The workspace's incarnation.
    pub uid: Uid,
    /// The workspace's name.
    pub name: Name,
}

/// Everything that must exist for one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// What the labels of every object say.
    pub owner: Owner,
    /// The generation of intent that this was derived from.
    pub generation: u64,
    /// What is wanted of it.
    pub goal: Goal,
    /// The restart that the container must have been started for.
    pub restarted_at: Option<Timestamp>,
    /// Its volumes, by their names on the engine; `home` first.
    pub volumes: Vec<VolumePlan>,
    /// Its container.
    pub container: ContainerPlan,
    /// What the worker inside is told.
    pub worker: WorkerPlan,
    /// Files of the agent's host that are brought into it.
    pub files: FilesPlan,
    /// The id of a container without labels that belongs to it all the same.
    pub adopted: Option<AdoptedContainer>,
}

/// What is wanted of a workspace's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Container up.
    Running,
    /// Container down, everything kept.
    Stopped,
    /// Nothing left.
    Gone,
}

/// A container that was there before Perry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedContainer {
    /// Its id on the engine.
    pub id: String,
    /// Whether a replacement was admitted.
    pub replace: bool,
    /// Nobody has read its volumes from it yet: nothing may be concluded of what belongs to the workspace.
    pub pending: bool,
}

impl AdoptedContainer {
    /// Whether this is the container with the engine's id `id`. The original Perry noted the short form, 12 digits.
    pub fn is(&self, id: &str) -> bool {
        id == self.id || (self.id.len() >= 12 && id.starts_with(&self.id))
    }
}

/// A volume that must exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumePlan {
    /// Its name on the engine.
    pub name: String,
    /// Where it is mounted, an absolute path.
    pub path: String,
    /// It bears no labels of ours because it is older than Perry: `metadata.adopted` names it.
    pub adopted: bool,
}

/// A container that must exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPlan {
    /// Its name on the engine.
    pub name: String,
    /// The host name inside.
    pub hostname: String,
    /// The image's name, never its id: building an image replaces nothing.
    pub image: String,
    /// The image is this variant of the agent's own and is built, not pulled, when it is absent.
    pub build_image: Option<Variant>,
    /// The network's name.
    pub network: String,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PortPlan>,
    /// Docker inside: privileged, unless the engine has a safer runtime.
    pub docker: bool,
    /// What it may use at most.
    pub limits: Limits,
    /// Bytes of /dev/shm.
    pub shm: Option<u64>,
    /// Hash of everything whose change needs a new container.
    pub fingerprint: String,
    /// The spec as JSON, without environment: what a lost state is rebuilt from.
    pub spec: String,
}

/// What a container may use at most; what is left out is not limited. An engine changes these while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// Whether getting from these to `wanted` takes away a limit that no engine takes away from a container that is
    /// there: Docker's update reads an absent limit of processors or memory as "leave it".
    pub fn need_new_container(&self, wanted: &Self) -> bool {
        (self.cpu_millis.is_some() && wanted.cpu_millis.is_none()) || (self.memory.is_some() && wanted.memory.is_none())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = self.cpu_millis.map(|millis| format!("cpus {}", f64::from(millis) / 1000.0));
        let memory = self.memory.map(|bytes| format!("memory {}", Bytes(bytes)));
        let pids = self.pids.map(|pids| format!("pids {pids}"));
        let all: Vec<String> = [cpus, memory, pids].into_iter().flatten().collect();
        if all.is_empty() { f.write_str("no limits") } else { f.write_str(&all.join(", ")) }
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortPlan {
    /// What it is called.
    pub name: Name,
    /// Inside.
    pub port: u16,
    /// On the host.
    pub host_port: u16,
    /// The host's address.
    pub bind: String,
}

/// What the worker is told; it can change while the container runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerPlan {
    /// Public keys for ssh.
    pub authorized_keys: Vec<String>,
    /// Whether to start dockerd where the image has it.
    pub docker: bool,
    /// Environment of everything inside, where the container's own has no such variable.
    #[serde(default)]
    pub env: Variables,
    /// What to clone, once.
    #[serde(default)]
    pub clone: Option<CloneSpec>,
    /// Whether git is lent the ssh agent of the agent's machine while it clones.
    #[serde(default)]
    pub ssh_agent: bool,
    /// What to run, once and at each start.
    #[serde(default)]
    pub hooks: Hooks,
    /// What to install.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Files are brought before anything of the above is run.
    #[serde(default)]
    pub files: bool,
    /// Ports inside that are reached from outside.
    #[serde(default)]
    pub ports: BTreeSet<u16>,
    /// Hash of the fields above, reported back by the worker.
    pub hash: String,
}
