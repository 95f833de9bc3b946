//! The fake engine's state and what each action does to it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::objects::{Container, Volume};
use super::script::Life;
use crate::model::desired::{ContainerPlan, Owner, VolumePlan};
use crate::model::observed::{ContainerState, FileFault, Isolation, Prepared, SourcesSeen, VolumeSeen};
use crate::model::{Action, FileSpec, Name, Uid};
use crate::runtime::{OrphanedContainer, Orphans, RuntimeError};

/// Everything on the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Whether it answers.
    pub up: bool,
    /// By id.
    pub containers: BTreeMap<String, Container>,
    /// By name.
    pub volumes: BTreeMap<String, Volume>,
    /// Ids by name.
    pub networks: BTreeMap<String, String>,
    /// Ids by name.
    pub images: BTreeMap<String, String>,
    /// Images that a pull would find.
    pub registry: BTreeSet<String>,
    /// Host ports that other programs listen on.
    pub taken: BTreeSet<u16>,
    /// Files of the agent's host and what they hold.
    pub host_files: BTreeMap<String, String>,
    /// Agents check nothing before they touch a container: only for tests of what that check is good for.
    pub trusting: bool,
    /// What an installed worker is made of.
    pub(super) executable: String,
    /// Makes every id and time of making another one.
    next: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            up: true,
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            images: BTreeMap::new(),
            registry: BTreeSet::new(),
            taken: BTreeSet::new(),
            host_files: BTreeMap::new(),
            trusting: false,
            executable: String::new(),
            next: 0,
        }
    }
}

type Done = Result<(), RuntimeError>;

fn changed(what: &str) -> RuntimeError {
    RuntimeError::Changed(what.to_owned())
}

impl Engine {
    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{:012x}", self.next)
    }

    /// Does an action as Docker would.
    pub(super) fn apply(&mut self, action: &Action, now: Duration, wall: Timestamp) -> Done {
        if !self.up {
            return Err(RuntimeError::Unreachable("the fake engine is down".to_owned()));
        }
        match action {
            Action::EnsureImage { image, build } => self.ensure_image(image, build.is_some()),
            Action::RefreshImage { image } => {
                if self.registry.contains(image) {
                    self.build(image);
                }
                Ok(())
            }
            Action::CreateNetwork { name, .. } => {
                let id = self.fresh();
                self.networks.entry(name.clone()).or_insert(id);
                Ok(())
            }
            Action::CreateVolume { volume, owner } => self.create_volume(volume, owner),
            Action::CreateContainer { container, volumes, owner, .. } => self.create(container, volumes, owner),
            Action::InstallWorker { id, worker, .. } => {
                let executable = self.executable.clone();
                let container = self.container(id)?;
                let restarted_at = container.prepared.as_ref().and_then(|prepared| prepared.restarted_at);
                container.prepared = Some(Prepared { worker: executable, config: worker.hash.clone(), restarted_at });
                container.config.clone_from(&worker.hash);
                Ok(())
            }
            Action::ReattachNetwork { id, network } => {
                if !self.networks.contains_key(network) {
                    return Err(changed("no such network"));
                }
                let live = self.networks.get(network).cloned();
                let container = self.container(id)?;
                container.network_name.clone_from(network);
                container.network =
                    live.filter(|_| matches!(container.state, ContainerState::Running | ContainerState::Paused));
                Ok(())
            }
            Action::StartContainer { id, restarted_at, .. } => self.start(id, *restarted_at, wall),
            Action::ConfigureWorker { id, worker, .. } => {
                let container = self.container(id)?;
                if container.boot.as_ref().is_none_or(|boot| now < boot.worker) {
                    return Err(RuntimeError::Failed("the worker does not answer".to_owned()));
                }
                container.config.clone_from(&worker.hash);
                if let Some(prepared) = &mut container.prepared {
                    prepared.config.clone_from(&worker.hash);
                }
                Ok(())
            }
            Action::SyncFiles { id, files, .. } => {
                let hash = self.sources(files).hash;
                let container = self.container(id)?;
                if container.boot.as_ref().is_none_or(|boot| now < boot.worker) {
                    return Err(RuntimeError::Failed("the worker does not answer".to_owned()));
                }
                container.files = hash;
                Ok(())
            }
            Action::UpdateLimits { id, limits } => {
                let has = &mut self.container(id)?.limits;
                // As Docker: what is absent stays, but for processes.
                has.cpu_millis = limits.cpu_millis.or(has.cpu_millis);
                has.memory = limits.memory.or(has.memory);
                has.pids = limits.pids;
                Ok(())
            }
            Action::UnpauseContainer { id } => {
                let container = self.container(id)?;
                if container.state == ContainerState::Paused {
                    container.state = ContainerState::Running;
                }
                Ok(())
            }
            Action::StopContainer { id } => {
                self.container(id)?;
                self.exit(id, 0);
                Ok(())
            }
            Action::RemoveContainer { id } => self.remove(id),
            Action::RemoveVolume { name, created_at, owner } => self.remove_volume(name, created_at, owner.as_ref()),
        }
    }

    fn container(&mut self, id: &str) -> Result<&mut Container, RuntimeError> {
        self.containers.get_mut(id).ok_or_else(|| changed("no such container"))
    }

    fn ensure_image(&mut self, image: &str, build: bool) -> Done {
        if self.images.contains_key(image) {
            return Ok(());
        }
        if image.chars().any(|c| c.is_whitespace() || c.is_ascii_uppercase()) {
            return Err(RuntimeError::Refused(format!("{image:?} is no image reference")));
        }
        if !build && !self.registry.contains(image) {
            return Err(RuntimeError::Failed(format!("pull access denied for {image}")));
        }
        self.build(image);
        Ok(())
    }

    /// Makes an image anew.
    pub(super) fn build(&mut self, image: &str) {
        let id = self.fresh();
        self.images.insert(image.to_owned(), id);
    }

    /// Makes a volume, as an action or as an outsider would.
    pub fn put_volume(&mut self, name: &str, owner: Option<Owner>) {
        let created_at = self.fresh();
        self.volumes.insert(name.to_owned(), Volume { owner, created_at });
    }

    fn create_volume(&mut self, volume: &VolumePlan, owner: &Owner) -> Done {
        match self.volumes.get(&volume.name) {
            None => self.put_volume(&volume.name, Some(owner.clone())),
            Some(there) if there.owner.as_ref() == Some(owner) => {}
            Some(_) => return Err(changed("the volume is somebody else's")),
        }
        Ok(())
    }

    fn create(&mut self, plan: &ContainerPlan, volumes: &[VolumePlan], owner: &Owner) -> Done {
        if self.containers.values().any(|there| there.name == plan.name) {
            return Err(changed("the name is in use"));
        }
        if !self.images.contains_key(&plan.image) {
            return Err(changed("no such image"));
        }
        if !self.networks.contains_key(&plan.network) {
            return Err(changed("no such network"));
        }
        // Docker would make what is missing, without labels, and mount what is somebody else's.
        for volume in volumes.iter().filter(|volume| !volume.adopted) {
            if self.volumes.get(&volume.name).is_none_or(|there| there.owner.as_ref() != Some(owner)) {
                return Err(changed("a volume is missing, or somebody else's"));
            }
        }
        let id = self.fresh();
        let container = Container {
            id: id.clone(),
            name: plan.name.clone(),
            owner: Some(owner.clone()),
            fingerprint: Some(plan.fingerprint.clone()),
            state: ContainerState::Created,
            started_at: None,
            prepared: None,
            network_name: plan.network.clone(),
            network: None,
            isolation: if plan.docker { Isolation::Privileged } else { Isolation::Unprivileged },
            limits: plan.limits,
            volumes: volumes.iter().map(|volume| volume.name.clone()).collect(),
            ports: plan.ports.iter().map(|port| port.host_port).collect(),
            docker: plan.docker,
            config: String::new(),
            files: String::new(),
            boot: None,
            starts: 0,
        };
        self.containers.insert(id, container);
        Ok(())
    }

    fn start(&mut self, id: &str, restarted_at: Option<Timestamp>, wall: Timestamp) -> Done {
        let networks = self.networks.clone();
        let taken = self.taken.clone();
        let used: BTreeSet<u16> = self
            .containers
            .values()
            .filter(|c| c.state == ContainerState::Running && c.id != id)
            .flat_map(|c| c.ports.clone())
            .collect();
        let container = self.container(id)?;
        match container.state {
            ContainerState::Running => return Ok(()),
            ContainerState::Paused => return Err(changed("a paused container cannot be started")),
            ContainerState::Removing => return Err(changed("the container is being removed")),
            ContainerState::Created | ContainerState::Exited { .. } => {}
        }
        let network = container.network.clone().or_else(|| networks.get(&container.network_name).cloned());
        let live = network.as_ref().is_some_and(|network| networks.values().any(|live| live == network));
        if !live && !container.network_name.is_empty() {
            return Err(RuntimeError::Failed("network not found".to_owned()));
        }
        // The agent notes what it starts for before it starts.
        let (worker, config) =
            container.prepared.take().map(|prepared| (prepared.worker, prepared.config)).unwrap_or_default();
        container.prepared = Some(Prepared { worker, config, restarted_at });
        if container.ports.iter().any(|port| taken.contains(port) || used.contains(port)) {
            return Err(RuntimeError::Failed("port is already allocated".to_owned()));
        }
        container.state = ContainerState::Running;
        container.files.clear();
        container.network = network;
        // Every start has a time of its own, however quickly one follows the other.
        let earliest = container.started_at.and_then(|last| last.checked_add(Duration::from_millis(1)).ok());
        container.started_at = earliest.filter(|earliest| *earliest > wall).or(Some(wall));
        container.starts += 1;
        Ok(())
    }

    /// The id of a workspace's container, while it runs.
    pub(super) fn running(&self, owner: &Owner) -> Option<String> {
        let mine = |one: &&Container| one.owner.as_ref() == Some(owner) && one.state == ContainerState::Running;
        self.containers.values().find(mine).map(|one| one.id.clone())
    }

    /// What a look at the files of the host shows.
    pub(super) fn sources(&self, files: &[FileSpec]) -> SourcesSeen {
        let mut seen = SourcesSeen::default();
        for file in files {
            match self.host_files.get(&file.from) {
                Some(content) => seen.hash.push_str(&format!("{}={content};", file.to)),
                None => {
                    seen.faults.push(FileFault { path: file.from.clone(), message: "is not there".to_owned() });
                    seen.hash.push('-');
                }
            }
        }
        seen
    }

    /// How often a container was started, while it runs and has not begun to boot.
    pub(super) fn unbooted(&self, id: &str) -> Option<u32> {
        let running = |container: &&Container| container.state == ContainerState::Running && container.boot.is_none();
        self.containers.get(id).filter(running).map(|container| container.starts)
    }

    /// A started container boots.
    pub(super) fn boots(&mut self, id: &str, now: Duration, life: &Life) {
        if let Some(container) = self.containers.get_mut(id) {
            let (worker, ssh, docker) = (now + life.worker, now + life.ssh, now + life.docker);
            container.boot = Some(Life { worker, ssh, docker, exits: None });
        }
    }

    /// A container ends by itself, if it still lives the life that was to end so.
    pub(super) fn ends(&mut self, id: &str, starts: u32, code: i64) {
        if self.containers.get(id).is_some_and(|container| container.starts == starts) {
            self.exit(id, code);
        }
    }

    /// A container ends.
    pub fn exit(&mut self, id: &str, code: i64) {
        if let Some(container) = self.containers.get_mut(id)
            && matches!(container.state, ContainerState::Running | ContainerState::Paused)
        {
            container.state = ContainerState::Exited { code, oom: false, error: String::new() };
            container.boot = None;
        }
    }

    fn remove(&mut self, id: &str) -> Done {
        match self.containers.get(id).map(|container| &container.state) {
            None => Ok(()),
            Some(ContainerState::Running | ContainerState::Paused) => Err(changed("the container is running")),
            Some(_) => {
                self.containers.remove(id);
                Ok(())
            }
        }
    }

    fn remove_volume(&mut self, name: &str, created_at: &str, owner: Option<&Owner>) -> Done {
        match self.volumes.get(name) {
            None => Ok(()),
            Some(there) if there.created_at != created_at || there.owner.as_ref() != owner => {
                Err(changed("it is another volume now"))
            }
            Some(_) if self.containers.values().any(|container| container.volumes.iter().any(|used| used == name)) => {
                Err(changed("the volume is in use"))
            }
            Some(_) => {
                self.volumes.remove(name);
                Ok(())
            }
        }
    }

    /// The workspaces whose objects differ from `before`.
    pub(super) fn changed_since(&self, before: &Self) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        let mut note = |owner: &Option<Owner>| names.extend(owner.as_ref().map(|owner| owner.name.clone()));
        for (now, then) in [(self, before), (before, self)] {
            now.containers
                .iter()
                .filter(|(id, c)| then.containers.get(*id) != Some(c))
                .for_each(|(_, c)| note(&c.owner));
            now.volumes.iter().filter(|(name, v)| then.volumes.get(*name) != Some(v)).for_each(|(_, v)| note(&v.owner));
        }
        names
    }

    /// What bears this agent's id but belongs to none of these.
    pub(super) fn orphans(&self, agent: &str, known: &BTreeSet<Uid>) -> Orphans {
        let lost = |owner: &Option<Owner>| owner.as_ref().is_some_and(|o| o.agent == agent && !known.contains(&o.uid));
        let containers = self.containers.iter().filter(|(_, one)| lost(&one.owner)).map(|(id, one)| {
            let uid = one.owner.as_ref().map(|owner| owner.uid.clone());
            (one.name.clone(), OrphanedContainer { id: id.clone(), uid })
        });
        let volumes = self.volumes.iter().filter(|(_, one)| lost(&one.owner)).map(|(name, one)| {
            (name.clone(), VolumeSeen { owner: one.owner.clone(), created_at: one.created_at.clone() })
        });
        Orphans { containers: containers.collect(), volumes: volumes.collect() }
    }
}
