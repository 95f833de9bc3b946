//! What is said of a workspace: a pure function of intent, the latest look and what the loop remembers.

use jiff::Timestamp;

use crate::model::condition::{ConditionStatus as Is, ConditionType as Type};
use crate::model::desired::Goal;
use crate::model::observed::{ContainerSeen, ContainerState, Isolation, Service};
use crate::model::view::{Startup, WorkerView};
use crate::model::{Condition, Desired, Observed, Phase, Plan, Reason, Seen, Verdict, View, Workspace};

use super::container::Containers;
use super::tasks;
use super::volumes::is_ours;

/// One look at the engine and what was concluded from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was seen.
    pub observed: Observed,
    /// When.
    pub at: Timestamp,
    /// What it was looked at for.
    pub desired: Desired,
    /// The plan that followed.
    pub plan: Plan,
}

/// The latest failure of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub reason: Reason,
    /// How often in a row.
    pub attempts: u32,
    /// The loop has given up until something changes or somebody restarts it.
    pub parked: bool,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
}

/// Everything that a view is made of.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Intent.
    pub workspace: &'a Workspace,
    /// Its image, where the spec names none.
    pub image: &'a str,
    /// The latest look, if any.
    pub look: Option<&'a Look>,
    /// The newest generation that was looked at; 0 before the first look.
    pub observed_generation: u64,
    /// The latest failure, while it stands.
    pub failure: Option<&'a Failure>,
    /// The workspace has waited for itself longer than it should take.
    pub overdue: bool,
    /// The steps of the latest start.
    pub startup: Option<&'a Startup>,
    /// The conditions said before, for their times.
    pub before: &'a [Condition],
    /// Now.
    pub now: Timestamp,
}

/// What clients see.
pub fn project(picture: &Picture<'_>) -> View {
    let Picture { workspace, look, .. } = *picture;
    let metadata = &workspace.metadata;
    let seen_by = look.map(|look| &look.observed);
    View {
        name: metadata.name.clone(),
        status: phase(picture),
        observed_at: look.map(|look| look.at),
        container_id: look.and_then(|look| kept(look)).map(|container| container.id.clone()),
        created: metadata.created,
        image: workspace.spec.image.clone().unwrap_or_else(|| picture.image.to_owned()),
        ports: metadata.host_ports.clone(),
        uid: metadata.uid.clone(),
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        generation: metadata.generation,
        observed_generation: picture.observed_generation,
        resource_version: String::new(),
        spec: workspace.spec.clone(),
        conditions: conditions(picture),
        startup: picture.startup.cloned(),
        worker: seen_by.and_then(|observed| observed.worker.present()).map(|worker| WorkerView {
            version: worker.version.clone(),
            healthy: true,
            tasks: worker.tasks.clone(),
        }),
    }
}

fn kept(look: &Look) -> Option<&crate::model::observed::ContainerSeen> {
    Containers::of(&look.desired, &look.observed).ok().and_then(|containers| containers.kept)
}

fn is_up(look: &Look) -> bool {
    Containers::of(&look.desired, &look.observed).is_ok_and(|containers| containers.ours().any(ContainerSeen::is_up))
}

/// The verdict of the latest look, if that look was for the present intent.
fn verdict<'a>(picture: &Picture<'a>) -> Option<&'a Verdict> {
    let look = picture.look?;
    (look.desired.generation == picture.workspace.metadata.generation
        && look.desired.owner.uid == picture.workspace.metadata.uid)
        .then_some(&look.plan.verdict)
}

fn phase(picture: &Picture<'_>) -> Phase {
    if picture.workspace.metadata.deletion_timestamp.is_some() {
        return Phase::Deleting;
    }
    let Some(look) = picture.look else { return Phase::Unknown };
    if look.observed.engine.is_unknown() || look.observed.containers.is_unknown() {
        return Phase::Unknown;
    }
    if stalled(picture).is_some() || picture.failure.is_some_and(|failure| failure.attempts > 1) {
        return Phase::Error;
    }
    let stopped = picture.workspace.spec.run() == crate::model::Run::Stopped;
    match verdict(picture) {
        Some(Verdict::Converged) if stopped => Phase::Stopped,
        Some(Verdict::Converged) if picture.failure.is_none() => Phase::Running,
        Some(Verdict::Unknown(_)) => Phase::Unknown,
        _ if stopped && is_up(look) => Phase::Stopping,
        _ if stopped => Phase::Stopped,
        _ => Phase::Creating,
    }
}

/// Why a person is needed, if one is.
fn stalled<'a>(picture: &Picture<'a>) -> Option<&'a Reason> {
    match verdict(picture) {
        Some(Verdict::Blocked(reason)) => Some(reason),
        Some(Verdict::Waiting(reason)) if picture.overdue => Some(reason),
        _ => picture.failure.filter(|failure| failure.parked).map(|failure| &failure.reason),
    }
}

fn conditions(picture: &Picture<'_>) -> Vec<Condition> {
    let mut said = vec![ready(picture), reconciling(picture), stalled_condition(picture)];
    if let Some(look) = picture.look.filter(|look| look.desired.goal != Goal::Gone) {
        said.extend([image(look), volumes(look), container_running(look)]);
        said.extend(services(look));
        said.extend(isolated(look));
        said.extend(tasks::conditions(picture.workspace, look));
        said.extend(disk_pressure(look));
    }
    said.into_iter().map(|(kind, status, reason)| dated(picture, kind, status, &reason)).collect()
}

type Said = (Type, Is, Reason);

fn say(kind: Type, status: Is, reason: &'static str, message: impl Into<String>) -> Said {
    (kind, status, Reason::new(reason, message))
}

/// With the time of the last change of status, kept from before where there was none.
fn dated(picture: &Picture<'_>, kind: Type, status: Is, reason: &Reason) -> Condition {
    let since = picture.before.iter().find(|condition| condition.kind == kind && condition.status == status);
    let message = match &reason.hint {
        Some(hint) => format!("{}; {hint}", reason.message),
        None => reason.message.clone(),
    };
    Condition {
        kind,
        status,
        reason: reason.reason.to_string(),
        message,
        last_transition_time: since.map_or(picture.now, |condition| condition.last_transition_time),
        observed_generation: picture.observed_generation,
    }
}

fn ready(picture: &Picture<'_>) -> Said {
    if picture.workspace.metadata.deletion_timestamp.is_some() {
        return say(Type::Ready, Is::False, "Deleting", "");
    }
    if let Some(failure) = picture.failure {
        return (Type::Ready, Is::False, failure.reason.clone());
    }
    match verdict(picture) {
        None => say(Type::Ready, Is::Unknown, "NotObserved", "this generation has not been looked at yet"),
        Some(Verdict::Converged) if picture.workspace.spec.run() == crate::model::Run::Stopped => {
            say(Type::Ready, Is::False, "Stopped", "")
        }
        Some(Verdict::Converged) => say(Type::Ready, Is::True, "Ready", ""),
        Some(Verdict::Unknown(reason)) => (Type::Ready, Is::Unknown, reason.clone()),
        Some(Verdict::Blocked(reason) | Verdict::Waiting(reason)) => (Type::Ready, Is::False, reason.clone()),
        Some(Verdict::Act | Verdict::Gone) => say(Type::Ready, Is::False, "Reconciling", next_action(picture)),
    }
}

fn next_action(picture: &Picture<'_>) -> String {
    picture.look.and_then(|look| look.plan.actions.first()).map(ToString::to_string).unwrap_or_default()
}

fn reconciling(picture: &Picture<'_>) -> Said {
    if stalled(picture).is_some() {
        return say(Type::Reconciling, Is::False, "Stalled", "");
    }
    if let Some(failure) = picture.failure {
        let next = failure.next_try.map(|at| format!("; next try at {at:.0}")).unwrap_or_default();
        let message = format!("try {} failed: {}{next}", failure.attempts, failure.reason.message);
        return say(Type::Reconciling, Is::True, "BackOff", message);
    }
    match verdict(picture) {
        None => say(Type::Reconciling, Is::True, "Pending", ""),
        Some(Verdict::Converged) => say(Type::Reconciling, Is::False, "Settled", ""),
        Some(Verdict::Act | Verdict::Gone) => say(Type::Reconciling, Is::True, "Acting", next_action(picture)),
        Some(Verdict::Waiting(reason) | Verdict::Unknown(reason) | Verdict::Blocked(reason)) => {
            (Type::Reconciling, Is::True, reason.clone())
        }
    }
}

fn stalled_condition(picture: &Picture<'_>) -> Said {
    match stalled(picture) {
        Some(reason) => (Type::Stalled, Is::True, reason.clone()),
        None => say(Type::Stalled, Is::False, "Progressing", ""),
    }
}

fn image(look: &Look) -> Said {
    let name = &look.desired.container.image;
    match &look.observed.image {
        Seen::Unknown(why) => say(Type::ImagePresent, Is::Unknown, "NotObserved", why.clone()),
        Seen::Absent => say(Type::ImagePresent, Is::False, "Absent", format!("{name} is not on the engine")),
        Seen::Present(_) => say(Type::ImagePresent, Is::True, "Present", ""),
    }
}

fn volumes(look: &Look) -> Said {
    let mut absent = Vec::new();
    for volume in &look.desired.volumes {
        match look.observed.volumes.get(&volume.name) {
            None => return say(Type::VolumesBound, Is::Unknown, "NotObserved", ""),
            Some(Seen::Unknown(why)) => return say(Type::VolumesBound, Is::Unknown, "NotObserved", why.clone()),
            Some(Seen::Absent) => absent.push(volume.name.as_str()),
            Some(Seen::Present(seen)) if is_ours(&look.desired, &volume.name, seen) => {}
            Some(Seen::Present(_)) => {
                let message = format!("{} belongs to somebody else", volume.name);
                return say(Type::VolumesBound, Is::False, "VolumeTaken", message);
            }
        }
    }
    if absent.is_empty() {
        return say(Type::VolumesBound, Is::True, "Bound", "");
    }
    say(Type::VolumesBound, Is::False, "Absent", format!("not made yet: {}", absent.join(", ")))
}

fn container_running(look: &Look) -> Said {
    let said = |status, reason, message: String| say(Type::ContainerRunning, status, reason, message);
    if let Seen::Unknown(why) = &look.observed.containers {
        return said(Is::Unknown, "NotObserved", why.clone());
    }
    match kept(look).map(|kept| &kept.state) {
        None => said(Is::False, "Absent", String::new()),
        Some(ContainerState::Running) => said(Is::True, "Running", String::new()),
        Some(ContainerState::Paused) => said(Is::False, "Paused", String::new()),
        Some(ContainerState::Created) => said(Is::False, "NotStarted", String::new()),
        Some(ContainerState::Removing) => said(Is::False, "Removing", String::new()),
        Some(ContainerState::Exited { code, oom, error }) => {
            let reason = if *oom { "OutOfMemory" } else { "Exited" };
            said(Is::False, reason, format!("exit code {code} {error}").trim_end().to_owned())
        }
    }
}

fn services(look: &Look) -> Vec<Said> {
    match &look.observed.worker {
        Seen::Unknown(why) => vec![say(Type::WorkerReady, Is::Unknown, "NotObserved", why.clone())],
        Seen::Absent => vec![say(Type::WorkerReady, Is::False, "NotAnswering", "")],
        Seen::Present(worker) => vec![
            say(Type::WorkerReady, Is::True, "Healthy", ""),
            service(Type::SshReady, &worker.ssh),
            service(Type::DockerReady, &worker.docker),
        ],
    }
}

fn service(kind: Type, service: &Service) -> Said {
    match service {
        Service::NotInImage => say(kind, Is::False, "NotInImage", "the image has none; it does not count"),
        Service::Off => say(kind, Is::False, "Off", ""),
        Service::Starting => say(kind, Is::False, "Starting", ""),
        Service::Running => say(kind, Is::True, "Running", ""),
        Service::Failed { message } => say(kind, Is::False, "Failed", message.clone()),
    }
}

/// Said once there is a worker that can look.
fn disk_pressure(look: &Look) -> Option<Said> {
    let worker = look.observed.worker.present()?;
    Some(match &worker.pressure {
        None => say(Type::DiskPressure, Is::False, "EnoughRoom", ""),
        Some(message) => {
            let (kind, is, reason) = say(Type::DiskPressure, Is::True, "LittleRoom", message.clone());
            (
                kind,
                is,
                reason.hint("perry describe shows the bytes of each volume; docker system prune inside frees some"),
            )
        }
    })
}

fn isolated(look: &Look) -> Option<Said> {
    Some(match kept(look)?.isolation {
        Isolation::Sysbox => say(Type::Isolated, Is::True, "Sysbox", "runtime sysbox-runc"),
        Isolation::Unprivileged => say(Type::Isolated, Is::True, "Unprivileged", ""),
        Isolation::Privileged => {
            let message = "Docker inside needs a privileged container here; install sysbox-runc, or set docker: false";
            say(Type::Isolated, Is::False, "Privileged", message)
        }
    })
}
