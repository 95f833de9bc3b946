//! Volumes: made when absent, never taken from somebody else, removed only by teardown.

use crate::model::desired::VolumePlan;
use crate::model::observed::VolumeSeen;
use crate::model::{Action, Desired, Observed, Reason, Seen, Verdict};

use super::unknown;

/// The volumes that are to be made.
pub(super) fn missing(desired: &Desired, observed: &Observed) -> Result<Vec<Action>, Verdict> {
    let mut actions = Vec::new();
    for volume in &desired.volumes {
        match observed.volumes.get(&volume.name) {
            None => return Err(unknown(&format!("volume {}", volume.name), "nobody has looked at it yet")),
            Some(Seen::Unknown(why)) => return Err(unknown(&format!("volume {}", volume.name), why)),
            Some(Seen::Absent) => {
                actions.push(Action::CreateVolume { volume: volume.clone(), owner: desired.owner.clone() });
            }
            Some(Seen::Present(seen)) if is_ours(desired, &volume.name, seen) => {}
            Some(Seen::Present(seen)) => return Err(taken(desired, volume, seen)),
        }
    }
    Ok(actions)
}

/// Whether a volume bears this workspace's labels, or none where intent adopted it.
pub(super) fn is_ours(desired: &Desired, name: &str, seen: &VolumeSeen) -> bool {
    match &seen.owner {
        Some(owner) => *owner == desired.owner,
        None => desired.volumes.iter().any(|volume| volume.adopted && volume.name == name),
    }
}

fn taken(desired: &Desired, volume: &VolumePlan, seen: &VolumeSeen) -> Verdict {
    let whose = match &seen.owner {
        None => "bears no label of Perry's".to_owned(),
        Some(owner) if owner.agent != desired.owner.agent => format!("belongs to another agent ({})", owner.agent),
        Some(owner) => format!("belongs to an earlier workspace {} (uid {})", owner.name, owner.uid),
    };
    let hint = format!("if nothing in it is needed: docker volume rm {}; else delete this workspace", volume.name);
    Verdict::Blocked(Reason::new("VolumeTaken", format!("volume {} {whose}", volume.name)).hint(hint))
}
