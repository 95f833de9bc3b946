//! From intent to everything that must exist, with every choice made.

use crate::model::desired::{
    AdoptedContainer, ContainerPlan, DOCKER_DATA, Desired, Goal, HOME, Limits, Owner, PortPlan, VolumePlan, WorkerPlan,
};
use crate::model::sync::FilesPlan;
use crate::model::workspace::{SSH_PORT, SSH_PORT_NAME};
use crate::model::{Config, Run, Variables, Variant, Workspace};

use super::fingerprint;

/// Where ports are bound unless the spec says otherwise.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// What is the same for all workspaces of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The agent's id.
    pub agent: String,
    /// Its `config.json`.
    pub config: Config,
    /// Hash of the worker's executable.
    pub executable: String,
}

/// Everything that must exist for `workspace`.
pub fn desired(workspace: &Workspace, settings: &Settings) -> Desired {
    let metadata = &workspace.metadata;
    let volumes = volumes(workspace);
    let adopted = metadata
        .adopted
        .as_ref()
        .and_then(|adopted| adopted.container.clone().map(|id| (id, adopted)))
        .map(|(id, adopted)| AdoptedContainer { id, replace: adopted.replace, pending: adopted.pending });
    Desired {
        owner: Owner { agent: settings.agent.clone(), uid: metadata.uid.clone(), name: metadata.name.clone() },
        generation: metadata.generation,
        goal: goal(workspace),
        restarted_at: metadata.restarted_at,
        container: container(workspace, settings),
        volumes,
        worker: worker(workspace, settings),
        files: FilesPlan::of(&workspace.spec, &settings.config),
        adopted,
    }
}

fn goal(workspace: &Workspace) -> Goal {
    match workspace.spec.run() {
        _ if workspace.metadata.deletion_timestamp.is_some() => Goal::Gone,
        Run::Running => Goal::Running,
        Run::Stopped => Goal::Stopped,
    }
}

fn volumes(workspace: &Workspace) -> Vec<VolumePlan> {
    let metadata = &workspace.metadata;
    let own = |role: &str, path: &str| {
        let adopted = metadata.adopted.as_ref().and_then(|adopted| adopted.volumes.get(role));
        VolumePlan {
            name: adopted.cloned().unwrap_or_else(|| format!("{}{}-{role}", metadata.prefix, metadata.name)),
            path: path.to_owned(),
            adopted: adopted.is_some(),
        }
    };
    let mut volumes = vec![own("home", HOME)];
    if workspace.spec.docker {
        volumes.push(own("docker", DOCKER_DATA));
    }
    volumes.extend(workspace.spec.volumes.iter().map(|volume| VolumePlan {
        name: format!("{}{}.{}", metadata.prefix, metadata.name, volume.name),
        path: volume.path.clone(),
        adopted: false,
    }));
    volumes
}

fn container(workspace: &Workspace, settings: &Settings) -> ContainerPlan {
    let (metadata, spec, config) = (&workspace.metadata, &workspace.spec, &settings.config);
    let image = spec.image.clone().unwrap_or_else(|| config.image_tag.clone());
    ContainerPlan {
        name: format!("{}{}", metadata.prefix, metadata.name),
        hostname: metadata.name.to_string(),
        build_image: Variant::of(&image, &config.image_tag),
        image,
        network: config.docker.network.clone(),
        env: spec.env.clone(),
        ports: ports(workspace, config),
        docker: spec.docker,
        limits: Limits {
            cpu_millis: spec.resources.cpus.map(|cpus| cpus.millis),
            memory: spec.resources.memory.map(|bytes| bytes.0),
            pids: spec.resources.pids,
        },
        shm: spec.resources.shm.map(|bytes| bytes.0),
        fingerprint: fingerprint::of(workspace),
        spec: fingerprint::recoverable_spec(workspace),
    }
}

fn ports(workspace: &Workspace, config: &Config) -> Vec<PortPlan> {
    let spec = &workspace.spec;
    let ssh_bind = spec.ssh.bind.as_ref().unwrap_or(&config.ssh.bind);
    let wanted = |name: &str| match spec.ports.iter().find(|port| port.name.as_str() == name) {
        Some(port) => Some((port.port, port.bind.clone().unwrap_or_else(|| LOOPBACK.to_owned()))),
        None => (name == SSH_PORT_NAME).then(|| (SSH_PORT, ssh_bind.clone())),
    };
    let plan = |(name, host_port): (&crate::model::Name, &u16)| {
        let (port, bind) = wanted(name.as_str())?;
        Some(PortPlan { name: name.clone(), port, host_port: *host_port, bind })
    };
    workspace.metadata.host_ports.iter().filter_map(plan).collect()
}

fn worker(workspace: &Workspace, settings: &Settings) -> WorkerPlan {
    let (spec, config) = (&workspace.spec, &settings.config);
    let mut authorized_keys = config.ssh.authorized_keys.clone();
    authorized_keys.extend(spec.ssh.authorized_keys.iter().cloned());
    authorized_keys.sort();
    authorized_keys.dedup();
    let plan = WorkerPlan {
        authorized_keys,
        docker: spec.docker,
        env: Variables(config.sync.env.clone()),
        clone: spec.clone.clone(),
        ssh_agent: config.ssh.forward_agent && spec.clone.is_some(),
        hooks: spec.hooks.clone(),
        tools: spec.tools.clone(),
        files: !FilesPlan::of(spec, config).bring.is_empty(),
        ports: spec.ports.iter().map(|port| port.port).collect(),
        hash: String::new(),
    };
    WorkerPlan { hash: fingerprint::of_json(&plan), ..plan }
}
