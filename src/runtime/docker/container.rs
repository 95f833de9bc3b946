//! What is done to a container, each time after a look whether it is still the one that was meant.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::create::{self, Parts};
use super::fault::Fault;
use super::{Docker, labels, observe, volume};
use crate::model::action::STOP_GRACE;
use crate::model::desired::{ContainerPlan, Limits, Owner, VolumePlan};

/// How long one change may take beyond what it waits for.
const CHANGE_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Makes a container, not yet started.
pub(super) async fn create(
    docker: &Docker,
    plan: &ContainerPlan,
    volumes: &[VolumePlan],
    owner: &Owner,
    generation: u64,
) -> Result<(), Fault> {
    let session = docker.engine.session().await?;
    volume::check(docker, volumes, owner).await?;
    let folder = docker.folder(&owner.uid).map_err(not_kept)?;
    let socket_folder = folder.socket_folder();
    if session.local {
        folder.create().map_err(not_kept)?;
    }
    let body = create::body(&Parts {
        plan,
        volumes,
        owner,
        generation,
        socket_folder: session.local.then_some(&*socket_folder),
        sysbox: session.has_sysbox(),
    });
    let options = CreateContainerOptionsBuilder::new().name(&plan.name).build();
    docker
        .engine
        .call(CHANGE_LIMIT, |client| async move { client.create_container(Some(options), body).await })
        .await?;
    Ok(())
}

/// Starts a container; one that runs is none that changed.
pub(super) async fn start(
    docker: &Docker,
    id: &str,
    owner: &Owner,
    restarted_at: Option<jiff::Timestamp>,
) -> Result<(), Fault> {
    let found = ours(docker, id).await?;
    let folder = docker.folder(&owner.uid).map_err(not_kept)?;
    // Recorded first: a crash in between leaves a container that does not run, and that is started anyway.
    folder.note(id, |record| record.restarted_at = restarted_at).map_err(not_kept)?;
    docker.engine.call(CHANGE_LIMIT, |client| async move { client.start_container(id, None).await }).await?;
    if labels::owner(&observe::labels_of(&found)).as_ref() == Some(owner) {
        docker.links.keep(owner, id);
    }
    Ok(())
}

/// Changes what a container may use at most.
pub(super) async fn limit(docker: &Docker, id: &str, limits: &Limits) -> Result<(), Fault> {
    ours(docker, id).await?;
    let body = create::limits(limits);
    docker.engine.call(CHANGE_LIMIT, |client| async move { client.update_container(id, body).await }).await
}

/// Stops a container within the grace period; one that does not run is none that changed.
pub(super) async fn stop(docker: &Docker, id: &str) -> Result<(), Fault> {
    ours(docker, id).await?;
    let grace = i32::try_from(STOP_GRACE.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(grace).build();
    docker
        .engine
        .call(STOP_GRACE + CHANGE_LIMIT, |client| async move { client.stop_container(id, Some(options)).await })
        .await
}

/// Resumes a paused container; one that is not paused is none that changed.
pub(super) async fn unpause(docker: &Docker, id: &str) -> Result<(), Fault> {
    if status(&ours(docker, id).await?) != Some(Status::PAUSED) {
        return Ok(());
    }
    docker.engine.call(CHANGE_LIMIT, |client| async move { client.unpause_container(id).await }).await
}

/// Removes a container that is not running, and no volume.
pub(super) async fn remove(docker: &Docker, id: &str) -> Result<(), Fault> {
    let Some(found) = observe::inspect(docker, id).await? else { return Ok(()) };
    check_ours(docker, id, &found)?;
    let options = RemoveContainerOptionsBuilder::new().force(false).v(false).build();
    let removed = docker
        .engine
        .call(CHANGE_LIMIT, |client| async move { client.remove_container(id, Some(options)).await })
        .await;
    Fault::absent_as_none(removed).map(|_| ())
}

/// The container of this id, if it is this agent's to touch.
pub(super) async fn ours(docker: &Docker, id: &str) -> Result<ContainerInspectResponse, Fault> {
    let found = observe::inspect(docker, id).await?.ok_or_else(|| Fault::Missing(format!("container {id} is gone")))?;
    check_ours(docker, id, &found)?;
    Ok(found)
}

/// Whether a container is up.
pub(super) fn is_running(found: &ContainerInspectResponse) -> bool {
    status(found) == Some(Status::RUNNING)
}

fn check_ours(docker: &Docker, id: &str, found: &ContainerInspectResponse) -> Result<(), Fault> {
    let same = found.id.as_deref() == Some(id);
    let mine = observe::labels_of(found).get(labels::AGENT).is_some_and(|agent| *agent == docker.agent);
    if same && (mine || docker.watched.adopted(id)) {
        return Ok(());
    }
    Err(Fault::Refused(format!("container {id} is not this agent's")))
}

fn status(found: &ContainerInspectResponse) -> Option<Status> {
    found.state.as_ref().and_then(|state| state.status)
}

/// The agent's own folder cannot be written.
pub(super) fn not_kept(error: std::io::Error) -> Fault {
    Fault::Failed(format!("the agent's run folder cannot be used: {error}"))
}
