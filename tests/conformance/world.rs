//! What a conformance body needs of an engine, real or fake.

use std::collections::BTreeMap;

use async_trait::async_trait;
use perry::model::desired::{ContainerPlan, Desired, Goal, Limits, Owner, PortPlan, VolumePlan, WorkerPlan};
use perry::model::observed::{ContainerSeen, Seen};
use perry::model::sync::FilesPlan;
use perry::model::{Action, Observed, Uid};
use perry::runtime::{Runtime, RuntimeError};

/// The variable that makes the container's PID 1 exit at once with this code.
pub(crate) const EXIT_WITH: &str = "EXIT_WITH";

/// An engine with one agent on it, and somebody who meddles behind the agent's back.
#[async_trait]
pub(crate) trait World: Send + Sync {
    /// What is tested.
    fn runtime(&self) -> &dyn Runtime;
    /// A runtime of the same agent for an engine that does not answer.
    fn unreachable(&self) -> Box<dyn Runtime>;
    /// The agent's id, unique to this world.
    fn agent(&self) -> String;
    /// An image that is there. Its containers run until they are stopped, or exit by [`EXIT_WITH`].
    fn image(&self) -> String;
    /// A name that no object bears, for this world alone.
    fn unique(&self, what: &str) -> String;
    /// A host port that nobody uses.
    fn free_port(&self) -> u16;

    /// Takes a host port until the world ends.
    async fn listen(&self, port: u16);
    /// Kills a container's PID 1.
    async fn kill(&self, id: &str);
    /// Freezes a container.
    async fn pause(&self, id: &str);
    /// Removes a container, running or not.
    async fn remove_container(&self, id: &str);
    /// Removes a volume.
    async fn remove_volume(&self, name: &str);
    /// Removes a network.
    async fn remove_network(&self, name: &str);
    /// Makes a container that the agent did not make, with these labels; its id.
    async fn foreign_container(&self, name: &str, labels: BTreeMap<String, String>) -> String;
    /// Makes a volume that the agent did not make, with these labels.
    async fn foreign_volume(&self, name: &str, labels: BTreeMap<String, String>);
    /// The ids of the networks of this name.
    async fn networks(&self, name: &str) -> Vec<String>;
}

/// A workspace of a world and what its plan would be.
pub(crate) struct Subject<'a> {
    pub(crate) world: &'a dyn World,
    pub(crate) desired: Desired,
}

impl<'a> Subject<'a> {
    /// A workspace with two volumes and a port, of which nothing is there yet.
    pub(crate) fn new(world: &'a dyn World, name: &str) -> Self {
        let prefix = world.unique("ws");
        let owner = Owner {
            agent: world.agent(),
            uid: Uid(format!("{}-{name}", world.unique("uid"))),
            name: name.parse().expect("a name"),
        };
        let volume = |role: &str, path: &str| VolumePlan {
            name: format!("{prefix}-{name}-{role}"),
            path: path.to_owned(),
            adopted: false,
        };
        let port = PortPlan {
            name: "ssh".parse().expect("a name"),
            port: 22,
            host_port: world.free_port(),
            bind: "127.0.0.1".to_owned(),
        };
        let container = ContainerPlan {
            name: format!("{prefix}-{name}"),
            hostname: name.to_owned(),
            image: world.image(),
            build_image: None,
            network: world.unique("net"),
            env: BTreeMap::new(),
            ports: vec![port],
            docker: false,
            limits: Limits { cpu_millis: Some(500), memory: Some(64 << 20), pids: Some(64) },
            shm: None,
            fingerprint: "f-1".to_owned(),
            spec: "{}".to_owned(),
        };
        let desired = Desired {
            owner,
            generation: 1,
            goal: Goal::Running,
            restarted_at: None,
            volumes: vec![volume("home", "/home/workspace"), volume("docker", "/var/lib/docker")],
            container,
            worker: worker_plan(),
            files: FilesPlan::default(),
            adopted: None,
        };
        Self { world, desired }
    }

    pub(crate) async fn look(&self) -> Observed {
        self.world.runtime().observe(&self.desired).await
    }

    pub(crate) async fn apply(&self, action: Action) -> Result<(), RuntimeError> {
        self.world.runtime().apply(&action, &|_| ()).await
    }

    /// Applies an action that must succeed.
    pub(crate) async fn done(&self, action: Action) {
        let name = action.to_string();
        self.apply(action).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The one container that the look shows.
    pub(crate) async fn container(&self) -> ContainerSeen {
        let mut found = self.containers().await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    pub(crate) async fn containers(&self) -> Vec<ContainerSeen> {
        match self.look().await.containers {
            Seen::Present(found) => found,
            other => panic!("nobody could look: {other:?}"),
        }
    }

    pub(crate) fn create_network(&self) -> Action {
        Action::CreateNetwork { name: self.desired.container.network.clone(), agent: self.desired.owner.agent.clone() }
    }

    pub(crate) fn create_volume(&self, at: usize) -> Action {
        Action::CreateVolume { volume: self.desired.volumes[at].clone(), owner: self.desired.owner.clone() }
    }

    pub(crate) fn create_container(&self) -> Action {
        Action::CreateContainer {
            container: Box::new(self.desired.container.clone()),
            volumes: self.desired.volumes.clone(),
            owner: self.desired.owner.clone(),
            generation: self.desired.generation,
        }
    }

    pub(crate) fn install(&self, id: &str) -> Action {
        Action::InstallWorker {
            id: id.to_owned(),
            owner: self.desired.owner.clone(),
            worker: self.desired.worker.clone(),
        }
    }

    pub(crate) fn start(&self, id: &str) -> Action {
        Action::StartContainer {
            id: id.to_owned(),
            owner: self.desired.owner.clone(),
            restarted_at: self.desired.restarted_at,
        }
    }

    /// Network, volumes and container with its worker, not yet started; the container's id.
    pub(crate) async fn created(&self) -> String {
        self.done(self.create_network()).await;
        for at in 0..self.desired.volumes.len() {
            self.done(self.create_volume(at)).await;
        }
        self.done(self.create_container()).await;
        let id = self.container().await.id;
        self.done(self.install(&id)).await;
        id
    }

    /// The same, and started.
    pub(crate) async fn started(&self) -> String {
        let id = self.created().await;
        self.done(self.start(&id)).await;
        id
    }

    /// When a volume of the plan was made.
    pub(crate) async fn created_at(&self, at: usize) -> String {
        let look = self.look().await;
        let volume = &look.volumes[&self.desired.volumes[at].name];
        volume.present().unwrap_or_else(|| panic!("volume {at}: {volume:?}")).created_at.clone()
    }
}

pub(crate) fn worker_plan() -> WorkerPlan {
    WorkerPlan { hash: "h".to_owned(), ..WorkerPlan::default() }
}

pub(crate) fn stop(id: &str) -> Action {
    Action::StopContainer { id: id.to_owned() }
}

pub(crate) fn remove(id: &str) -> Action {
    Action::RemoveContainer { id: id.to_owned() }
}

/// The labels of a workspace's object.
pub(crate) fn labels(owner: &Owner) -> BTreeMap<String, String> {
    use perry::runtime::docker::labels;
    labels::of_owner(owner).into_iter().collect()
}
