//! Actions: what a plan is made of. Each carries every choice and the identity of what it touches, as it was seen.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::{ContainerPlan, Limits, Owner, VolumePlan, WorkerPlan};
use super::{FileSpec, Variant};

/// How long a container has to end by itself before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// One change of the world. Repeating it, or finding it done, is no error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Bring the image onto the engine: build the agent's own, pull any other.
    EnsureImage {
        /// Its name.
        image: String,
        /// Build this variant from the files inside this program.
        build: Option<Variant>,
    },
    /// Bring a newer image of this name onto the engine, where its registry has one. An image that came from no registry
    /// stays as it is.
    RefreshImage {
        /// Its name.
        image: String,
    },
    /// Make the bridge network that all workspaces share.
    CreateNetwork {
        /// Its name.
        name: String,
        /// For its agent label.
        agent: String,
    },
    /// Make a volume.
    CreateVolume {
        /// Which one.
        volume: VolumePlan,
        /// For its labels.
        owner: Owner,
    },
    /// Make the container, not yet started.
    CreateContainer {
        /// What it is.
        container: Box<ContainerPlan>,
        /// Its mounts.
        volumes: Vec<VolumePlan>,
        /// For its labels.
        owner: Owner,
        /// For its labels.
        generation: u64,
    },
    /// Put the worker's executable and bootstrap into a container that is not running, or a newer one into a running.
    InstallWorker {
        /// The container's id.
        id: String,
        /// Whose it is.
        owner: Owner,
        /// What the worker is told at its start.
        worker: WorkerPlan,
    },
    /// Attach a stopped container to the network anew, because the one it knew is gone.
    ReattachNetwork {
        /// The container's id.
        id: String,
        /// The network's name.
        network: String,
    },
    /// Change what a container may use at most, whether it runs or not.
    UpdateLimits {
        /// Its id.
        id: String,
        /// All of them, also those that stay.
        limits: Limits,
    },
    /// Start a container.
    StartContainer {
        /// Its id.
        id: String,
        /// Whose it is.
        owner: Owner,
        /// The restart that this start answers.
        restarted_at: Option<Timestamp>,
    },
    /// Tell the running worker its changed configuration.
    ConfigureWorker {
        /// The container's id.
        id: String,
        /// Whose it is.
        owner: Owner,
        /// What it is told.
        worker: WorkerPlan,
    },
    /// Bring files of the agent's host into a running container. What they hold is read when it is done: no action
    /// carries it.
    SyncFiles {
        /// The container's id.
        id: String,
        /// Whose it is.
        owner: Owner,
        /// Which ones.
        files: Vec<FileSpec>,
    },
    /// Resume a paused container.
    UnpauseContainer {
        /// Its id.
        id: String,
    },
    /// Stop a container, with [`STOP_GRACE`].
    StopContainer {
        /// Its id.
        id: String,
    },
    /// Remove a container that is not running, never its volumes.
    RemoveContainer {
        /// Its id.
        id: String,
    },
    /// Remove a volume for good. Only a deletion plans this.
    RemoveVolume {
        /// Its name.
        name: String,
        /// When it was made: another volume of the same name is not touched.
        created_at: String,
        /// Whose it must still be; `None` only where `metadata.adopted` names it.
        owner: Option<Owner>,
    },
}

impl Action {
    /// The name of the step in `startup.steps`, for one that a start waits for.
    pub fn step(&self) -> &'static str {
        match self {
            Self::EnsureImage { .. } | Self::RefreshImage { .. } => "image",
            Self::CreateNetwork { .. } => "network",
            Self::CreateVolume { .. } => "volumes",
            Self::CreateContainer { .. } => "create",
            Self::InstallWorker { .. } => "install-worker",
            Self::ReattachNetwork { .. } => "reattach-network",
            Self::UpdateLimits { .. } => "limits",
            Self::StartContainer { .. } => "start",
            Self::ConfigureWorker { .. } => "configure-worker",
            Self::SyncFiles { .. } => "sync-files",
            Self::UnpauseContainer { .. } => "unpause",
            Self::StopContainer { .. } => "stop",
            Self::RemoveContainer { .. } => "remove",
            Self::RemoveVolume { .. } => "remove-volume",
        }
    }

    /// The reason of the event that says it was done.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EnsureImage { .. } | Self::RefreshImage { .. } => "ImageReady",
            Self::CreateNetwork { .. } => "NetworkCreated",
            Self::CreateVolume { .. } => "VolumeCreated",
            Self::CreateContainer { .. } => "Created",
            Self::InstallWorker { .. } => "WorkerInstalled",
            Self::ReattachNetwork { .. } => "NetworkReattached",
            Self::UpdateLimits { .. } => "LimitsChanged",
            Self::StartContainer { .. } => "Started",
            Self::ConfigureWorker { .. } => "WorkerConfigured",
            Self::SyncFiles { .. } => "FilesSynced",
            Self::UnpauseContainer { .. } => "Unpaused",
            Self::StopContainer { .. } => "Stopped",
            Self::RemoveContainer { .. } => "ContainerRemoved",
            Self::RemoveVolume { .. } => "VolumeRemoved",
        }
    }

    /// How long it may take before it is given up. What it did by then is unknown.
    pub fn deadline(&self) -> Duration {
        match self {
            Self::EnsureImage { .. } | Self::RefreshImage { .. } => Duration::from_secs(30 * 60),
            Self::StopContainer { .. } => STOP_GRACE + Duration::from_secs(20),
            _ => Duration::from_secs(60),
        }
    }

    /// Whether it can be dropped half-way without leaving anything in doubt.
    pub fn is_cancellable(&self) -> bool {
        matches!(self, Self::EnsureImage { .. } | Self::RefreshImage { .. })
    }

    /// Whether a workspace that is ready stays so while it is done: it takes milliseconds and disturbs nobody.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::SyncFiles { .. })
    }

    /// Whether it ends something that a person may be using, or keeps.
    pub fn is_disruptive(&self) -> bool {
        matches!(self, Self::StopContainer { .. } | Self::RemoveContainer { .. } | Self::RemoveVolume { .. })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        match self {
            Self::EnsureImage { image, build: Some(_) } => write!(f, "build image {image}"),
            Self::EnsureImage { image, build: None } => write!(f, "pull image {image}"),
            Self::RefreshImage { image } => write!(f, "pull image {image}, where there is a newer one"),
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::CreateVolume { volume, .. } => write!(f, "create volume {}", volume.name),
            Self::CreateContainer { container, .. } => {
                write!(f, "create container {} from {}", container.name, container.image)
            }
            Self::InstallWorker { id, .. } => write!(f, "install the worker into container {}", short(id)),
            Self::ReattachNetwork { id, network } => write!(f, "attach container {} to network {network}", short(id)),
            Self::UpdateLimits { id, limits } => write!(f, "limit container {} to {limits}", short(id)),
            Self::StartContainer { id, .. } => write!(f, "start container {}", short(id)),
            Self::ConfigureWorker { id, .. } => write!(f, "configure the worker of container {}", short(id)),
            Self::SyncFiles { id, files, .. } => {
                let plural = if files.len() == 1 { "" } else { "s" };
                write!(f, "bring {} file{plural} into container {}", files.len(), short(id))
            }
            Self::UnpauseContainer { id } => write!(f, "unpause container {}", short(id)),
            Self::StopContainer { id } => write!(f, "stop container {}", short(id)),
            Self::RemoveContainer { id } => write!(f, "remove container {}", short(id)),
            Self::RemoveVolume { name, .. } => write!(f, "remove volume {name}"),
        }
    }
}
