//! What a look at the fake engine shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::engine::Engine;
use super::index::Near;
use super::objects::{Container, Volume};
use super::script::Blind;
use crate::model::desired::{Desired, VolumePlan};
use crate::model::observed::{
    ContainerSeen, ContainerState, EngineSeen, FilesSeen, Observed, Seen, Service, VolumeSeen, WorkerSeen,
};
use crate::model::{DiskUsage, VolumeUsage};

const DOWN: &str = "the fake engine is down";

pub(super) fn engine(engine: &Engine) -> Seen<EngineSeen> {
    if !engine.up {
        return Seen::Unknown(DOWN.to_owned());
    }
    Seen::Present(EngineSeen {
        version: "fake".to_owned(),
        api_version: "1.45".to_owned(),
        runtimes: vec!["runc".to_owned()],
    })
}

/// What a look shows, but for what it is blind to.
pub(super) fn look(
    engine: &Engine,
    near: Near<'_>,
    desired: &Desired,
    executable: &str,
    now: Duration,
    blind: &Blind,
) -> Observed {
    if !engine.up {
        return Observed::unknown(DOWN);
    }
    let found: Vec<&Container> = near.containers.filter(|container| concerns(desired, container, blind)).collect();
    let running = found.iter().find(|container| is_running(desired, container));
    let unless = |blind: bool, why: &str| blind.then(|| why.to_owned());
    Observed {
        engine: self::engine(engine),
        image: one(unless(blind.image, "no answer"), engine.images.get(&desired.container.image).cloned()),
        network: one(unless(blind.network, "no answer"), engine.networks.get(&desired.container.network).cloned()),
        containers: one(unless(blind.containers, "no answer"), Some(found.iter().map(|c| seen(engine, c)).collect())),
        volumes: volumes(engine, near.volumes, desired, blind),
        volumes_complete: !blind.lists && !blind.volumes,
        worker: match running {
            None => Seen::Absent,
            Some(_) if blind.worker => Seen::Unknown("no answer".to_owned()),
            Some(container) => worker(container, executable, now),
        },
        sources: engine.sources(&desired.files.bring),
        ports_taken: match running {
            Some(_) => BTreeSet::new(),
            None => desired
                .container
                .ports
                .iter()
                .map(|port| port.host_port)
                .filter(|port| engine.taken.contains(port))
                .collect(),
        },
    }
}

/// A page for each volume and nothing beside them.
pub(super) fn disk(engine: &Engine, desired: &Desired) -> DiskUsage {
    let volumes = desired.volumes.iter().filter(|plan| engine.volumes.contains_key(&plan.name));
    let usage = |plan: &VolumePlan| VolumeUsage { name: plan.name.clone(), path: plan.path.clone(), bytes: Some(4096) };
    let mine = |container: &&Container| container.owner.as_ref() == Some(&desired.owner);
    DiskUsage { volumes: volumes.map(usage).collect(), container: engine.containers.values().find(mine).map(|_| 0) }
}

fn one<T>(unknown: Option<String>, found: Option<T>) -> Seen<T> {
    match (unknown, found) {
        (Some(why), _) => Seen::Unknown(why),
        (None, None) => Seen::Absent,
        (None, Some(found)) => Seen::Present(found),
    }
}

/// By label, by name, or by the adopted id; a list that is blind shows nothing that is not asked for by name.
fn concerns(desired: &Desired, container: &Container, blind: &Blind) -> bool {
    let by_label = container.owner.as_ref().is_some_and(|owner| {
        (owner.uid == desired.owner.uid || owner.name == desired.owner.name) && owner.agent == desired.owner.agent
    });
    let adopted = desired.adopted.as_ref().is_some_and(|adopted| adopted.is(&container.id));
    (by_label && !blind.lists) || adopted || container.name == desired.container.name
}

fn is_running(desired: &Desired, container: &Container) -> bool {
    container.owner.as_ref() == Some(&desired.owner) && container.state == ContainerState::Running
}

fn seen(engine: &Engine, container: &Container) -> ContainerSeen {
    ContainerSeen {
        id: container.id.clone(),
        name: container.name.clone(),
        owner: container.owner.clone(),
        fingerprint: container.fingerprint.clone(),
        state: container.state.clone(),
        started_at: container.started_at,
        prepared: container.prepared.clone(),
        network: match (&container.network, &container.state) {
            // Nobody on the network while it runs: it was taken off.
            (None, ContainerState::Running | ContainerState::Paused) => None,
            // It will take whichever bears the name when it starts.
            (None, _) => engine.networks.get(&container.network_name).cloned(),
            (Some(id), _) => Some(id.clone()),
        },
        isolation: container.isolation,
        limits: container.limits,
    }
}

fn volumes<'a>(
    engine: &Engine,
    near: impl Iterator<Item = (&'a String, &'a Volume)>,
    desired: &Desired,
    blind: &Blind,
) -> BTreeMap<String, Seen<VolumeSeen>> {
    let planned: BTreeSet<&str> = desired.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let labelled = near.filter(|(_, volume)| volume.owner.as_ref() == Some(&desired.owner));
    let listed: Vec<&String> = labelled.filter(|_| !blind.lists && !blind.volumes).map(|(name, _)| name).collect();
    let names: BTreeSet<&str> = planned.into_iter().chain(listed.into_iter().map(String::as_str)).collect();
    names
        .into_iter()
        .map(|name| {
            let found = engine.volumes.get(name);
            let found = found.map(|v| VolumeSeen { owner: v.owner.clone(), created_at: v.created_at.clone() });
            (name.to_owned(), one(blind.volumes.then(|| "no answer".to_owned()), found))
        })
        .collect()
}

fn worker(container: &Container, executable: &str, now: Duration) -> Seen<WorkerSeen> {
    let Some(boot) = container.boot.as_ref().filter(|boot| now >= boot.worker) else { return Seen::Absent };
    let service = |at: Duration| if now >= at { Service::Running } else { Service::Starting };
    let installed = container.prepared.as_ref().map_or(executable, |prepared| prepared.worker.as_str());
    Seen::Present(WorkerSeen {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        executable: installed.to_owned(),
        config: container.config.clone(),
        ssh: service(boot.ssh),
        docker: if container.docker { service(boot.docker) } else { Service::Off },
        tasks: Vec::new(),
        files: FilesSeen { hash: container.files.clone(), faults: Vec::new() },
        pressure: None,
    })
}
