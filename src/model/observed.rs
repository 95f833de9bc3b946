//! Observed: what a look at the engine showed. `Unknown` is not `Absent`: nobody could look, so nothing may be concluded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::TaskSeen;
use super::desired::{Limits, Owner};

/// What a look at one thing showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// Nobody could look, and why. It blocks; it never creates or destroys.
    Unknown(String),
    /// It is not there.
    Absent,
    /// It is there.
    Present(T),
}

impl<T> Seen<T> {
    /// The thing, where it was seen.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Unknown(_) | Self::Absent => None,
        }
    }

    /// Whether nobody could look.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// What one look at the engine showed of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The engine itself; `Unknown` when it does not answer.
    pub engine: Seen<EngineSeen>,
    /// The image that the container is to be made of: its id.
    pub image: Seen<String>,
    /// The network: its id.
    pub network: Seen<String>,
    /// Every container that bears this agent's id with this workspace's uid or name, the adopted one, and whichever
    /// occupies the container name. Empty = none of these exist.
    pub containers: Seen<Vec<ContainerSeen>>,
    /// Each volume of the plan, and every other that bears this agent's id and this uid, by name on the engine.
    pub volumes: BTreeMap<String, Seen<VolumeSeen>>,
    /// Whether `volumes` certainly holds every volume that bears this uid.
    pub volumes_complete: bool,
    /// The worker, in a running container.
    pub worker: Seen<WorkerSeen>,
    /// The files of the host that are to be brought into it.
    pub sources: SourcesSeen,
    /// Host ports of the plan that somebody else listens on; looked at only while the container is not running.
    pub ports_taken: BTreeSet<u16>,
}

impl Observed {
    /// Everything unknown for one reason.
    pub fn unknown(why: &str) -> Self {
        Self {
            engine: Seen::Unknown(why.to_owned()),
            image: Seen::Unknown(why.to_owned()),
            network: Seen::Unknown(why.to_owned()),
            containers: Seen::Unknown(why.to_owned()),
            volumes: BTreeMap::new(),
            volumes_complete: false,
            worker: Seen::Unknown(why.to_owned()),
            sources: SourcesSeen::default(),
            ports_taken: BTreeSet::new(),
        }
    }
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct EngineSeen {
    /// The engine's version.
    pub version: String,
    /// The API version that was agreed on.
    pub api_version: String,
    /// The names of the registered runtimes.
    pub runtimes: Vec<String>,
}

/// The runtime that gives Docker inside without privileges.
pub const SYSBOX: &str = "sysbox-runc";

impl EngineSeen {
    /// Whether Docker inside a workspace needs no privileged container.
    pub fn isolates(&self) -> bool {
        self.runtimes.iter().any(|runtime| runtime == SYSBOX)
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSeen {
    /// Its id.
    pub id: String,
    /// Its name, without a leading slash.
    pub name: String,
    /// What its labels say, where they are all there.
    pub owner: Option<Owner>,
    /// The fingerprint label.
    pub fingerprint: Option<String>,
    /// What it is doing.
    pub state: ContainerState,
    /// When it was last started, by the engine's clock.
    pub started_at: Option<Timestamp>,
    /// What was put into it before its last start.
    pub prepared: Option<Prepared>,
    /// The id of the network it is attached to (by this plan's network name).
    pub network: Option<String>,
    /// How it is separated from the host.
    pub isolation: Isolation,
    /// What it may use at most.
    pub limits: Limits,
}

impl ContainerSeen {
    /// Whether something runs in it, or is frozen in it.
    pub fn is_up(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused)
    }
}

/// What the agent put into a container before it started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    /// Hash of the worker's executable.
    pub worker: String,
    /// Hash of what the worker was told.
    pub config: String,
    /// The restart that it was last started for.
    pub restarted_at: Option<Timestamp>,
}

/// How a container is separated from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub enum Isolation {
    /// Not at all against a determined root inside: Docker in Docker without a safer runtime.
    Privileged,
    /// The sysbox-runc runtime.
    Sysbox,
    /// An ordinary container.
    Unprivileged,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Up.
    Running,
    /// Frozen by somebody.
    Paused,
    /// Over, with the code and, where the engine gave one, its error.
    Exited {
        /// Exit code of PID 1.
        code: i64,
        /// Killed for want of memory.
        oom: bool,
        /// The engine's word, empty as a rule.
        error: String,
    },
    /// On its way out, or half gone: only removal makes sense.
    Removing,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSeen {
    /// What its labels say, where they are all there.
    pub owner: Option<Owner>,
    /// When it was made, as the engine writes it: with the name, this is a volume's identity.
    pub created_at: String,
}

/// What the worker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct WorkerSeen {
    /// Its version.
    pub version: String,
    /// Hash of its executable.
    pub executable: String,
    /// Hash of what it was told last.
    pub config: String,
    /// sshd.
    pub ssh: Service,
    /// dockerd.
    pub docker: Service,
    /// What is run for the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub tasks: Vec<TaskSeen>,
    /// The files that were brought into it since its start.
    #[serde(default)]
    pub files: FilesSeen,
    /// Where there is little room on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<String>,
}

/// The files that a worker was brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", default)]
#[ts(optional_fields)]
pub struct FilesSeen {
    /// Hash of what was brought last; empty where nothing was.
    pub hash: String,
    /// What could not be written, each with its reason.
    pub faults: Vec<FileFault>,
}

/// The files of the host that a workspace is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcesSeen {
    /// Hash of their content and of where they go; empty where there are none.
    pub hash: String,
    /// What cannot be read, each with its reason.
    pub faults: Vec<FileFault>,
}

/// A file that could not be brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct FileFault {
    /// Which one, as it was written.
    pub path: String,
    /// Why, for people.
    pub message: String,
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.message)
    }
}

/// A server inside a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Service {
    /// The image has none; it does not count.
    NotInImage,
    /// Not wanted in this workspace.
    Off,
    /// Started, does not answer yet.
    Starting,
    /// Answers.
    Running,
    /// Ended; tried again, with the last thing it said.
    Failed {
        /// Its last words.
        message: String,
    },
}
