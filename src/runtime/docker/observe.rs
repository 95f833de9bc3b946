//! One look at everything of a workspace: a handful of calls at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerState as State, ContainerStateStatusEnum as Status, HostConfig, Volume,
};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use futures::future::{join_all, try_join_all};
use futures::join;

use super::engine::{LOOK_LIMIT, Session};
use super::fault::{Fault, bounded};
use super::watched::is_id;
use super::{Docker, files, image, labels, network, ports};
use crate::model::desired::{Goal, Limits, Owner};
use crate::model::observed::{ContainerSeen, ContainerState, Isolation, Prepared, SYSBOX, Seen, VolumeSeen};
use crate::model::{Desired, Observed};
use crate::runtime::RuntimeError;

/// What the engine writes where a container was never started.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) async fn observe(docker: &Docker, desired: &Desired) -> Observed {
    let session = match docker.engine.session().await {
        Ok(session) => session,
        Err(fault) => return Observed::unknown(&RuntimeError::from(fault).to_string()),
    };
    let (image, network, containers, planned, labelled, sources) = join!(
        image_id(docker, &desired.container.image),
        network::find(&docker.engine, &desired.container.network, &docker.agent),
        containers(docker, desired),
        planned_volumes(docker, desired),
        labelled_volumes(docker, &desired.owner),
        files::look(docker, &desired.files.bring),
    );
    let faults = [
        image.as_ref().err(),
        network.as_ref().err(),
        containers.as_ref().err(),
        labelled.as_ref().err(),
        planned.values().find_map(|volume| volume.as_ref().err()),
    ];
    if let Some(fault) = faults.into_iter().flatten().find(|fault| fault.is_unreachable()) {
        return Observed::unknown(&RuntimeError::from(fault.clone()).to_string());
    }
    let volumes_complete = labelled.is_ok();
    let network = seen(network);
    let containers = match containers {
        Ok(found) => {
            Seen::Present(found.iter().filter_map(|one| container(docker, desired, one, network.present())).collect())
        }
        Err(fault) => Seen::Unknown(RuntimeError::from(fault).to_string()),
    };
    let observed = Observed {
        engine: Seen::Present(session.seen.clone()),
        image: seen(image),
        network,
        volumes: volumes(planned, labelled.unwrap_or_default()),
        volumes_complete,
        worker: worker(docker, desired, &containers),
        sources,
        ports_taken: ports_taken(&session, desired, &containers),
        containers,
    };
    settle(docker, desired, &observed);
    observed
}

/// Remembers what is there for the events to come. Of a workspace that has nothing nothing is kept, and of one that is
/// to be gone no folder either.
fn settle(docker: &Docker, desired: &Desired, observed: &Observed) {
    let no_volumes = observed.volumes_complete && observed.volumes.values().all(|volume| *volume == Seen::Absent);
    if !no_volumes || observed.containers.present().is_none_or(|found| !found.is_empty()) {
        docker.watched.remember(desired);
        return;
    }
    docker.watched.forget(&desired.owner.uid);
    if desired.goal == Goal::Gone {
        // What cannot be removed is a few bytes and in nobody's way.
        let _ = docker.folder(&desired.owner.uid).and_then(|folder| folder.remove());
    }
}

fn worker(
    docker: &Docker,
    desired: &Desired,
    containers: &Seen<Vec<ContainerSeen>>,
) -> Seen<crate::model::observed::WorkerSeen> {
    let containers = match containers {
        Seen::Unknown(why) => return Seen::Unknown(why.clone()),
        Seen::Absent => return Seen::Absent,
        Seen::Present(containers) => containers,
    };
    let mine =
        |one: &&ContainerSeen| one.owner.as_ref() == Some(&desired.owner) && one.state == ContainerState::Running;
    match containers.iter().find(mine) {
        Some(running) => {
            docker.links.keep(&desired.owner, &running.id);
            docker.links.seen(&desired.owner.uid).map_or(Seen::Absent, Seen::Present)
        }
        None => {
            docker.links.end(&desired.owner.uid);
            Seen::Absent
        }
    }
}

fn ports_taken(session: &Arc<Session>, desired: &Desired, containers: &Seen<Vec<ContainerSeen>>) -> BTreeSet<u16> {
    let holds = |one: &ContainerSeen| !matches!(one.state, ContainerState::Created | ContainerState::Exited { .. });
    match containers {
        // One that is up holds its ports itself, and one on its way out may still.
        Seen::Present(containers) if session.local && !containers.iter().any(holds) => {
            ports::taken(&desired.container.ports)
        }
        _ => BTreeSet::new(),
    }
}

fn seen<T>(result: Result<Option<T>, Fault>) -> Seen<T> {
    match result {
        Ok(Some(value)) => Seen::Present(value),
        Ok(None) => Seen::Absent,
        Err(fault) => Seen::Unknown(RuntimeError::from(fault).to_string()),
    }
}

async fn image_id(docker: &Docker, name: &str) -> Result<Option<String>, Fault> {
    Ok(image::inspect(docker, name).await?.and_then(|image| image.id))
}

/// Everything that may be this workspace's container.
async fn containers(docker: &Docker, desired: &Desired) -> Result<Vec<ContainerInspectResponse>, Fault> {
    let owner = &desired.owner;
    let (by_uid, by_name, occupant, adopted) = join!(
        list(docker, owner, (labels::UID, &owner.uid.0)),
        list(docker, owner, (labels::NAME, owner.name.as_str())),
        inspect(docker, &desired.container.name),
        async {
            match &desired.adopted {
                Some(adopted) => inspect(docker, &adopted.id).await,
                None => Ok(None),
            }
        },
    );
    let (ids, occupant, adopted) = (by_uid?.into_iter().chain(by_name?), occupant?, adopted?);
    // The engine takes the beginning of any id for a name, too.
    let occupant = occupant.filter(|one| name_of(one) == desired.container.name);
    let recorded = desired.adopted.as_ref().map(|adopted| adopted.id.as_str()).unwrap_or_default();
    let adopted = adopted.filter(|one| one.id.as_deref().is_some_and(|id| is_id(id, recorded)));
    let mut found: BTreeMap<String, ContainerInspectResponse> =
        occupant.into_iter().chain(adopted).filter_map(|one| Some((one.id.clone()?, one))).collect();
    let missing: BTreeSet<String> = ids.filter(|id| !found.contains_key(id)).collect();
    // What is listed but not found by its id is gone meanwhile.
    let rest = try_join_all(missing.iter().map(|id| inspect(docker, id))).await?;
    found.extend(rest.into_iter().flatten().filter_map(|one| Some((one.id.clone()?, one))));
    Ok(found.into_values().collect())
}

async fn list(docker: &Docker, owner: &Owner, label: (&str, &str)) -> Result<Vec<String>, Fault> {
    let wanted = labels::filter(&[(labels::AGENT, &owner.agent), label]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&wanted).build();
    let listed =
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_containers(Some(options)).await }).await?;
    Ok(listed.into_iter().filter_map(|one| one.id).collect())
}

/// One container by id or name; none where there is none.
pub(super) async fn inspect(docker: &Docker, id: &str) -> Result<Option<ContainerInspectResponse>, Fault> {
    let look = docker.engine.call(LOOK_LIMIT, |client| async move { client.inspect_container(id, None).await }).await;
    Fault::absent_as_none(look)
}

/// One volume; none where there is none.
pub(super) async fn volume(docker: &Docker, name: &str) -> Result<Option<VolumeSeen>, Fault> {
    let look = docker.engine.call(LOOK_LIMIT, |client| async move { client.inspect_volume(name).await }).await;
    Ok(Fault::absent_as_none(look)?.map(|volume| volume_seen(&volume)))
}

type Volumes = BTreeMap<String, Result<Option<VolumeSeen>, Fault>>;

async fn planned_volumes(docker: &Docker, desired: &Desired) -> Volumes {
    let looks = desired.volumes.iter().map(|plan| async { (plan.name.clone(), volume(docker, &plan.name).await) });
    join_all(looks).await.into_iter().collect()
}

async fn labelled_volumes(docker: &Docker, owner: &Owner) -> Result<Vec<(String, VolumeSeen)>, Fault> {
    let wanted = labels::filter(&[(labels::AGENT, &owner.agent), (labels::UID, &owner.uid.0)]);
    let options = ListVolumesOptionsBuilder::new().filters(&wanted).build();
    let listed =
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_volumes(Some(options)).await }).await?;
    Ok(listed.volumes.unwrap_or_default().iter().map(|volume| (volume.name.clone(), volume_seen(volume))).collect())
}

fn volumes(planned: Volumes, labelled: Vec<(String, VolumeSeen)>) -> BTreeMap<String, Seen<VolumeSeen>> {
    let mut all: BTreeMap<_, _> = labelled.into_iter().map(|(name, volume)| (name, Seen::Present(volume))).collect();
    // The look at the volume itself tells more than the list, which may be older.
    all.extend(planned.into_iter().map(|(name, volume)| (name, seen(volume))));
    all
}

pub(super) fn volume_seen(volume: &Volume) -> VolumeSeen {
    VolumeSeen { owner: labels::owner(&volume.labels), created_at: volume.created_at.clone().unwrap_or_default() }
}

fn container(
    docker: &Docker,
    desired: &Desired,
    found: &ContainerInspectResponse,
    network: Option<&String>,
) -> Option<ContainerSeen> {
    let id = found.id.clone()?;
    let labels = labels_of(found);
    let state = found.state.clone().unwrap_or_default();
    let record = docker.folder(&desired.owner.uid).ok().and_then(|folder| folder.record(&id));
    Some(ContainerSeen {
        name: name_of(found).to_owned(),
        owner: labels::owner(&labels),
        fingerprint: labels.get(labels::FINGERPRINT).cloned(),
        started_at: state.started_at.as_deref().filter(|at| *at != NEVER).and_then(|at| at.parse().ok()),
        state: container_state(&state),
        prepared: record.map(|record| Prepared {
            worker: record.worker,
            config: record.config,
            restarted_at: record.restarted_at,
        }),
        network: attached(found, &desired.container.network, network),
        isolation: isolation(found.host_config.as_ref()),
        limits: found.host_config.as_ref().map(limits).unwrap_or_default(),
        id,
    })
}

/// The id of the network that a container is attached to under this name. A container that has not been started since
/// it was attached knows only the name: at its start it gets whichever network bears it.
fn attached(found: &ContainerInspectResponse, name: &str, current: Option<&String>) -> Option<String> {
    let endpoint = found.network_settings.as_ref()?.networks.as_ref()?.get(name)?;
    endpoint.network_id.clone().filter(|id| !id.is_empty()).or_else(|| current.cloned())
}

fn container_state(state: &State) -> ContainerState {
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        // Between two tries of its own restart policy: whoever set that wants it up.
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::EXITED) => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            oom: state.oom_killed.unwrap_or_default(),
            error: state.error.as_deref().filter(|error| !error.is_empty()).map(bounded).unwrap_or_default(),
        },
        Some(Status::REMOVING | Status::DEAD | Status::EMPTY) | None => ContainerState::Removing,
    }
}

/// Zero and less mean that there is none.
fn limits(host: &HostConfig) -> Limits {
    let given = |limit: Option<i64>| limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    Limits {
        cpu_millis: given(host.nano_cpus).and_then(|nano| u32::try_from(nano / 1_000_000).ok()),
        memory: given(host.memory),
        pids: given(host.pids_limit).and_then(|pids| u32::try_from(pids).ok()),
    }
}

fn isolation(host: Option<&HostConfig>) -> Isolation {
    match host {
        Some(host) if host.privileged == Some(true) => Isolation::Privileged,
        Some(host) if host.runtime.as_deref() == Some(SYSBOX) => Isolation::Sysbox,
        _ => Isolation::Unprivileged,
    }
}

fn name_of(found: &ContainerInspectResponse) -> &str {
    found.name.as_deref().unwrap_or_default().trim_start_matches('/')
}

/// The labels of a container.
pub(super) fn labels_of(found: &ContainerInspectResponse) -> labels::Labels {
    found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default()
}
