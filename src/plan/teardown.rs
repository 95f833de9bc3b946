//! Teardown: stop, remove the container, remove the volumes, and only then forget. It acts on complete knowledge only.

use crate::model::{Action, Desired, Observed, Reason, Seen, Verdict};

use super::container::{Containers, adoption_pending, remove};
use super::volumes::is_ours;
use super::{Context, Decision, act, unknown};

/// What is left to remove.
pub(super) fn plan(desired: &Desired, observed: &Observed, context: &Context) -> Decision {
    let containers = Containers::of(desired, observed)?;
    // While the container is there, its volumes can still be read; once it is gone, what nobody knows of is left alone.
    if let (Some(adopted), Some(_)) = (desired.adopted.as_ref().filter(|adopted| adopted.pending), containers.kept) {
        return Err(adoption_pending(&adopted.id));
    }
    let mut actions: Vec<Action> = containers.ours().flat_map(remove).collect();
    actions.extend(volumes(desired, observed)?);
    if !actions.is_empty() {
        return act(actions);
    }
    if context.in_doubt {
        let message = "an earlier call to the engine may still take effect; looking again";
        return Err(Verdict::Waiting(Reason::new("Settling", message)));
    }
    Err(Verdict::Gone)
}

/// Every volume that bears this uid, and those that were adopted.
fn volumes(desired: &Desired, observed: &Observed) -> Result<Vec<Action>, Verdict> {
    if !observed.volumes_complete {
        return Err(unknown("the list of volumes", "it is not complete"));
    }
    if let Some(planned) = desired.volumes.iter().find(|planned| !observed.volumes.contains_key(&planned.name)) {
        return Err(unknown(&format!("volume {}", planned.name), "nobody has looked at it yet"));
    }
    let mut actions = Vec::new();
    for (name, seen) in &observed.volumes {
        let volume = match seen {
            Seen::Unknown(why) => return Err(unknown(&format!("volume {name}"), why)),
            Seen::Absent => continue,
            Seen::Present(volume) => volume,
        };
        if is_ours(desired, name, volume) {
            let (name, created_at, owner) = (name.clone(), volume.created_at.clone(), volume.owner.clone());
            actions.push(Action::RemoveVolume { name, created_at, owner });
        }
    }
    Ok(actions)
}
