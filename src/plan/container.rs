//! The container: at most one per workspace, made of what intent says, up or down.

use crate::model::desired::AdoptedContainer;
use crate::model::observed::{ContainerSeen, ContainerState};
use crate::model::{Action, Desired, Observed, Reason, Seen, Verdict};

use super::{Context, Decision, act, fingerprint, unknown, volumes, worker};

/// The containers that concern a workspace, sorted out.
pub(super) struct Containers<'a> {
    /// The one that is kept.
    pub(super) kept: Option<&'a ContainerSeen>,
    /// Others that bear the workspace's uid: there must be one only.
    pub(super) surplus: Vec<&'a ContainerSeen>,
    /// Somebody else's, under the name that ours needs.
    pub(super) occupant: Option<&'a ContainerSeen>,
}

impl<'a> Containers<'a> {
    pub(super) fn of(desired: &Desired, observed: &'a Observed) -> Result<Self, Verdict> {
        let all = match &observed.containers {
            Seen::Unknown(why) => return Err(unknown("its container", why)),
            Seen::Absent => &[][..],
            Seen::Present(all) => all,
        };
        let (mut ours, others): (Vec<_>, Vec<_>) = all.iter().partition(|container| is_ours(desired, container));
        // An adopted one as long as it is to be kept, then the running one, then the one with the right name: what a
        // person would miss most is kept.
        ours.sort_by_key(|container| {
            let adoption = match adopted(desired, container) {
                Some(adopted) if !adopted.replace => 0,
                None => 1,
                Some(_) => 2,
            };
            (adoption, !container.is_up(), container.name != desired.container.name, &container.id)
        });
        let named = others.into_iter().filter(|container| container.name == desired.container.name);
        let occupant = named.min_by_key(|container| &container.id);
        let mut ours = ours.into_iter();
        Ok(Self { kept: ours.next(), surplus: ours.collect(), occupant })
    }

    pub(super) fn ours(&self) -> impl Iterator<Item = &'a ContainerSeen> {
        self.kept.into_iter().chain(self.surplus.iter().copied())
    }
}

fn is_ours(desired: &Desired, container: &ContainerSeen) -> bool {
    container.owner.as_ref() == Some(&desired.owner) || adopted(desired, container).is_some()
}

/// The adoption of a container, where intent adopted this one. One that bears labels is whose they say it is.
pub(super) fn adopted<'a>(desired: &'a Desired, container: &ContainerSeen) -> Option<&'a AdoptedContainer> {
    desired.adopted.as_ref().filter(|adopted| container.owner.is_none() && adopted.is(&container.id))
}

/// What makes a paused container able to stop.
fn unpaused(container: &ContainerSeen) -> Option<Action> {
    let id = || container.id.clone();
    (container.state == ContainerState::Paused).then(|| Action::UnpauseContainer { id: id() })
}

fn stop(container: &ContainerSeen) -> Vec<Action> {
    let stop = container.is_up().then(|| Action::StopContainer { id: container.id.clone() });
    unpaused(container).into_iter().chain(stop).collect()
}

/// What makes a container go, in any state.
pub(super) fn remove(container: &ContainerSeen) -> Vec<Action> {
    let mut actions = stop(container);
    actions.push(Action::RemoveContainer { id: container.id.clone() });
    actions
}

fn needs_replacement(desired: &Desired, container: &ContainerSeen) -> bool {
    let differs = match adopted(desired, container) {
        Some(adopted) => adopted.replace,
        None => {
            container.fingerprint.as_deref() != Some(desired.container.fingerprint.as_str())
                || container.limits.need_new_container(&desired.container.limits)
        }
    };
    differs || container.state == ContainerState::Removing
}

/// Down, with everything kept: also a container that the next start will replace, since until then that may fail or be
/// wanted no more.
pub(super) fn stopped(desired: &Desired, observed: &Observed) -> Decision {
    let containers = Containers::of(desired, observed)?;
    let mut actions: Vec<Action> = containers.surplus.iter().flat_map(|container| remove(container)).collect();
    if let Some(kept) = containers.kept {
        actions.extend(if kept.state == ContainerState::Removing { remove(kept) } else { stop(kept) });
    }
    if actions.is_empty() { Err(Verdict::Converged) } else { act(actions) }
}

/// Up, and everything inside it answering.
pub(super) fn running(desired: &Desired, observed: &Observed, context: &Context) -> Decision {
    let containers = Containers::of(desired, observed)?;
    let mut actions: Vec<Action> = containers.surplus.iter().flat_map(|container| remove(container)).collect();
    match containers.kept {
        Some(kept) if !needs_replacement(desired, kept) => actions.extend(up(desired, observed, kept, context)?),
        _ => actions.extend(create(desired, observed, &containers, context)?),
    }
    match containers.kept {
        Some(kept) if actions.is_empty() => worker::plan(desired, observed, kept, context),
        _ => act(actions),
    }
}

/// What is left to do until a container that is kept is up, on its network.
fn up(desired: &Desired, observed: &Observed, kept: &ContainerSeen, context: &Context) -> Result<Vec<Action>, Verdict> {
    match kept.state {
        ContainerState::Paused => Ok(unpaused(kept).into_iter().collect()),
        ContainerState::Running if is_restart_due(desired, kept) => {
            let start = start(desired, observed, kept, context)?;
            Ok(stop(kept).into_iter().chain(start).collect())
        }
        ContainerState::Running => {
            let attach = attach(desired, observed, kept)?;
            Ok(attach.into_iter().chain(limit(desired, kept)).collect())
        }
        ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Removing => {
            ports_free(desired, observed)?;
            start(desired, observed, kept, context)
        }
    }
}

/// Everything that a container stands on, then the container. The one that it replaces goes in between, once nothing
/// else can fail for want of knowledge.
fn create(
    desired: &Desired,
    observed: &Observed,
    containers: &Containers<'_>,
    context: &Context,
) -> Result<Vec<Action>, Verdict> {
    let plan = &desired.container;
    if let Some(pending) = desired.adopted.as_ref().filter(|adopted| adopted.pending) {
        return Err(adoption_pending(&pending.id));
    }
    if let Some(occupant) = containers.occupant {
        return Err(name_taken(desired, occupant));
    }
    // One that is up holds its ports itself.
    if !containers.kept.is_some_and(ContainerSeen::is_up) {
        ports_free(desired, observed)?;
    }
    let mut actions = network(desired, observed)?;
    actions.extend(volumes::missing(desired, observed)?);
    match &observed.image {
        Seen::Unknown(why) => return Err(unknown(&format!("image {}", plan.image), why)),
        Seen::Absent => {
            actions.push(Action::EnsureImage { image: plan.image.clone(), build: plan.build_image });
        }
        // The agent's own image is as new as `perry image build` made it.
        Seen::Present(_) if plan.build_image.is_none() && !context.refreshed && is_upgrade(desired, containers) => {
            actions.push(Action::RefreshImage { image: plan.image.clone() });
        }
        Seen::Present(_) => {}
    }
    actions.extend(containers.kept.into_iter().flat_map(remove));
    actions.push(Action::CreateContainer {
        container: Box::new(plan.clone()),
        volumes: desired.volumes.clone(),
        owner: desired.owner.clone(),
        generation: desired.generation,
    });
    Ok(actions)
}

/// Whether the container that goes was made before the latest upgrade. Where none is left the image was looked after.
fn is_upgrade(desired: &Desired, containers: &Containers<'_>) -> bool {
    containers
        .kept
        .is_some_and(|kept| fingerprint::is_upgrade(kept.fingerprint.as_deref(), &desired.container.fingerprint))
}

fn network(desired: &Desired, observed: &Observed) -> Result<Vec<Action>, Verdict> {
    let name = &desired.container.network;
    match &observed.network {
        Seen::Unknown(why) => Err(unknown(&format!("network {name}"), why)),
        Seen::Absent => Ok(vec![Action::CreateNetwork { name: name.clone(), agent: desired.owner.agent.clone() }]),
        Seen::Present(_) => Ok(Vec::new()),
    }
}

/// Makes the network again and attaches the container to it, where somebody removed it or took the container off it.
fn attach(desired: &Desired, observed: &Observed, container: &ContainerSeen) -> Result<Vec<Action>, Verdict> {
    let attached = container.network.is_some() && container.network.as_ref() == observed.network.present();
    if adopted(desired, container).is_some() || attached {
        return Ok(Vec::new());
    }
    let mut actions = network(desired, observed)?;
    let (id, network) = (container.id.clone(), desired.container.network.clone());
    actions.push(Action::ReattachNetwork { id, network });
    Ok(actions)
}

/// Gives a container the limits that it is to have. One from before Perry keeps its own.
fn limit(desired: &Desired, container: &ContainerSeen) -> Option<Action> {
    let limits = desired.container.limits;
    let differs = adopted(desired, container).is_none() && container.limits != limits;
    differs.then(|| Action::UpdateLimits { id: container.id.clone(), limits })
}

fn start(
    desired: &Desired,
    observed: &Observed,
    container: &ContainerSeen,
    context: &Context,
) -> Result<Vec<Action>, Verdict> {
    let mut actions = attach(desired, observed, container)?;
    actions.extend(limit(desired, container));
    let (id, owner) = (container.id.clone(), desired.owner.clone());
    let adopted = adopted(desired, container).is_some();
    // What is run at a start is run by what the worker was told before it.
    let installed = container
        .prepared
        .as_ref()
        .is_some_and(|prepared| prepared.worker == context.executable && prepared.config == desired.worker.hash);
    if !installed && !adopted {
        actions.push(Action::InstallWorker { id: id.clone(), owner: owner.clone(), worker: desired.worker.clone() });
    }
    actions.push(Action::StartContainer { id, owner, restarted_at: desired.restarted_at });
    Ok(actions)
}

/// Whether a running container was started for an earlier restart than the one asked for. Where nobody knows what it was
/// started for, the engine's word on when is taken; the start then records it, so that clocks apart cannot make a loop.
fn is_restart_due(desired: &Desired, container: &ContainerSeen) -> bool {
    let answered = container.prepared.as_ref().map_or(container.started_at, |prepared| prepared.restarted_at);
    answered < desired.restarted_at
}

fn ports_free(desired: &Desired, observed: &Observed) -> Result<(), Verdict> {
    let Some(port) = desired.container.ports.iter().find(|port| observed.ports_taken.contains(&port.host_port)) else {
        return Ok(());
    };
    let message = format!("port {} of {} (for {}) is used by another program", port.host_port, port.bind, port.name);
    // An engine that was killed in a start may keep the port for a container it has forgotten (seen on 26.1).
    let hint = format!(
        "free it (ss -ltnp 'sport = :{}' names the program; a docker-proxy that serves no container ends with a restart \
         of the engine), or give the port another hostPort",
        port.host_port
    );
    Err(Verdict::Blocked(Reason::new("PortTaken", message).hint(hint)))
}

fn name_taken(desired: &Desired, occupant: &ContainerSeen) -> Verdict {
    let whose = match &occupant.owner {
        None => "that is not Perry's".to_owned(),
        Some(owner) if owner.agent != desired.owner.agent => format!("of another agent ({})", owner.agent),
        Some(owner) => format!("of an earlier workspace {} (uid {})", owner.name, owner.uid),
    };
    let message = format!("the name {} is taken by a container {whose}", occupant.name);
    Verdict::Blocked(Reason::new("NameTaken", message).hint(format!("docker rename or docker rm {}", occupant.name)))
}

/// A container from before Perry is to be replaced, or is gone, before anybody read which volumes were its.
pub(super) fn adoption_pending(id: &str) -> Verdict {
    let message = format!("the volumes of container {id}, from before Perry, have not been read from it yet");
    let hint = "they are read as soon as the engine shows that container; if it is gone for good, delete the workspace: \
                its volumes stay, and docker volume ls shows them";
    Verdict::Blocked(Reason::new("AdoptionPending", message).hint(hint))
}
