//! The worker in a running container: brought up to date, told what changed, waited for.

use crate::model::observed::{ContainerSeen, Service, WorkerSeen};
use crate::model::{Action, Desired, Observed, Reason, Seen, Verdict};

use super::container::adopted;
use super::{Context, Decision, act};

/// What is left to do once the container runs.
pub(super) fn plan(desired: &Desired, observed: &Observed, container: &ContainerSeen, context: &Context) -> Decision {
    // A container from before Perry has no worker and gets none until it is replaced.
    if adopted(desired, container).is_some() {
        return Err(Verdict::Converged);
    }
    let (id, owner, worker) = (container.id.clone(), desired.owner.clone(), desired.worker.clone());
    match &observed.worker {
        Seen::Unknown(why) => Err(waiting("WorkerUnknown", format!("the worker could not be asked: {why}"))),
        Seen::Absent => Err(waiting("WorkerStarting", "the worker does not answer yet")),
        Seen::Present(seen) if seen.executable != context.executable => {
            act(vec![Action::InstallWorker { id, owner, worker }])
        }
        Seen::Present(seen) if seen.config != desired.worker.hash => {
            act(vec![Action::ConfigureWorker { id, owner, worker }])
        }
        Seen::Present(seen) if seen.files.hash != observed.sources.hash => {
            act(vec![Action::SyncFiles { id, owner, files: desired.files.bring.clone() }])
        }
        Seen::Present(seen) => Err(services(desired, seen)),
    }
}

fn services(desired: &Desired, seen: &WorkerSeen) -> Verdict {
    let docker_wanted = desired.container.docker;
    match (&seen.ssh, &seen.docker) {
        (Service::Failed { message }, _) => waiting("SshFailed", format!("sshd ended: {message}")),
        (_, Service::Failed { message }) if docker_wanted => {
            waiting("DockerFailed", format!("dockerd ended: {message}"))
        }
        (Service::Starting | Service::Off, _) => waiting("SshStarting", "sshd does not answer yet"),
        (_, Service::Starting | Service::Off) if docker_wanted => {
            waiting("DockerStarting", "dockerd does not answer yet")
        }
        _ => Verdict::Converged,
    }
}

fn waiting(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict::Waiting(Reason::new(reason, message))
}
