//! Volumes: what outlives containers.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;
use futures::future::try_join_all;

use super::engine::LOOK_LIMIT;
use super::fault::Fault;
use super::{Docker, labels, observe};
use crate::model::desired::{Owner, VolumePlan};

/// Makes a volume. Finding it there is no error where it is the same workspace's.
pub(super) async fn create(docker: &Docker, plan: &VolumePlan, owner: &Owner) -> Result<(), Fault> {
    let request = VolumeCreateRequest {
        name: Some(plan.name.clone()),
        labels: Some(labels::of_owner(owner)),
        ..VolumeCreateRequest::default()
    };
    let made = docker.engine.call(LOOK_LIMIT, |client| async move { client.create_volume(request).await }).await?;
    // Where a volume of this name was there already the engine gives that one, labels and all.
    match labels::owner(&made.labels) {
        Some(whose) if whose == *owner => Ok(()),
        _ => Err(Fault::Conflict(format!("volume {} is there and belongs to something else", plan.name))),
    }
}

/// Checks that every volume is there and this workspace's own: a container's creation would make, and label, whichever
/// is missing, and take whichever is there.
pub(super) async fn check(docker: &Docker, plans: &[VolumePlan], owner: &Owner) -> Result<(), Fault> {
    let check = |plan: VolumePlan| async move {
        let name = &plan.name;
        match observe::volume(docker, name).await? {
            None => Err(Fault::Missing(format!("there is no volume {name}"))),
            Some(volume) if volume.owner.as_ref() == Some(owner) || (plan.adopted && volume.owner.is_none()) => Ok(()),
            Some(_) => Err(Fault::Conflict(format!("volume {name} belongs to something else"))),
        }
    };
    try_join_all(plans.iter().cloned().map(check)).await.map(|_| ())
}

/// Removes a volume for good, if it is still the one that was seen.
pub(super) async fn remove(docker: &Docker, name: &str, created_at: &str, owner: Option<&Owner>) -> Result<(), Fault> {
    let Some(seen) = observe::volume(docker, name).await? else { return Ok(()) };
    if seen.created_at != created_at || seen.owner.as_ref() != owner {
        return Err(Fault::Conflict(format!("volume {name} is another one than was seen")));
    }
    if owner.is_some_and(|owner| owner.agent != docker.agent) {
        return Err(Fault::Refused(format!("volume {name} belongs to another agent")));
    }
    let removed = docker
        .engine
        .call(LOOK_LIMIT, |client| async move { client.remove_volume(name, None::<RemoveVolumeOptions>).await })
        .await;
    Fault::absent_as_none(removed).map(|_| ())
}
