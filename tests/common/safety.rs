//! What every plan must keep, whatever was seen. Independent of the planner: written from the promises, not its code.

use perry::model::desired::{Goal, Owner};
use perry::model::observed::{ContainerSeen, ContainerState, VolumeSeen};
use perry::model::{Action, Desired, Observed, Plan, Seen, Verdict};
use proptest::prelude::*;

/// Checks a plan against what it was made from.
pub(crate) fn check(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert_eq!(plan.verdict == Verdict::Act, !plan.actions.is_empty(), "{:?}", plan);
    prop_assert_eq!(plan.verdict == Verdict::Gone, plan.verdict == Verdict::Gone && desired.goal == Goal::Gone);
    if observed.engine.is_unknown() || observed.containers.is_unknown() {
        prop_assert!(plan.actions.is_empty(), "Unknown blocks: {:?}", plan.actions);
        prop_assert!(matches!(plan.verdict, Verdict::Unknown(_)), "{:?}", plan.verdict);
    }
    for action in &plan.actions {
        touches_only_its_own(desired, observed, action)?;
    }
    volumes_are_safe(desired, observed, plan)?;
    at_most_one_container(desired, observed, plan)?;
    in_a_possible_order(desired, observed, plan)
}

fn containers(observed: &Observed) -> &[ContainerSeen] {
    observed.containers.present().map_or(&[], Vec::as_slice)
}

/// S2: it bears this workspace's labels, or is adopted and bears none.
pub(crate) fn is_own(desired: &Desired, id: &str, owner: Option<&Owner>) -> bool {
    match owner {
        Some(owner) => *owner == desired.owner,
        None => desired.adopted.as_ref().is_some_and(|adopted| adopted.id == id),
    }
}

fn id_of(action: &Action) -> Option<&str> {
    match action {
        Action::InstallWorker { id, .. }
        | Action::ReattachNetwork { id, .. }
        | Action::StartContainer { id, .. }
        | Action::ConfigureWorker { id, .. }
        | Action::UnpauseContainer { id }
        | Action::StopContainer { id }
        | Action::RemoveContainer { id } => Some(id),
        _ => None,
    }
}

fn touches_only_its_own(desired: &Desired, observed: &Observed, action: &Action) -> Result<(), TestCaseError> {
    if let Some(id) = id_of(action) {
        let seen = containers(observed).iter().find(|container| container.id == id);
        let own = seen.is_some_and(|seen| is_own(desired, id, seen.owner.as_ref()));
        prop_assert!(own, "{} touches {:?}", action, seen);
    }
    match action {
        Action::InstallWorker { owner, .. }
        | Action::StartContainer { owner, .. }
        | Action::ConfigureWorker { owner, .. }
        | Action::CreateVolume { owner, .. }
        | Action::CreateContainer { owner, .. } => prop_assert_eq!(owner, &desired.owner),
        Action::CreateNetwork { agent, .. } => prop_assert_eq!(agent, &desired.owner.agent),
        _ => {}
    }
    Ok(())
}

/// S1: a volume is removed by a deletion only, only when everything of it is known, and only as the one that was seen.
fn volumes_are_safe(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), TestCaseError> {
    for action in &plan.actions {
        let Action::RemoveVolume { name, created_at, owner } = action else { continue };
        prop_assert_eq!(desired.goal, Goal::Gone, "{}", action);
        prop_assert!(observed.volumes_complete && !observed.volumes.values().any(Seen::is_unknown), "{}", action);
        let Some(seen) = observed.volumes.get(name).and_then(Seen::present) else {
            return Err(TestCaseError::fail(format!("{action} was not seen")));
        };
        prop_assert_eq!((created_at, owner), (&seen.created_at, &seen.owner));
        prop_assert!(is_own_volume(desired, name, seen), "{} is not its own: {:?}", action, seen);
    }
    let uncertain =
        desired.volumes.iter().any(|volume| observed.volumes.get(&volume.name).is_none_or(Seen::is_unknown));
    if uncertain {
        let makes = plan.actions.iter().any(|action| matches!(action, Action::CreateContainer { .. }));
        prop_assert!(!makes, "a container on a volume that nobody looked at: {:?}", plan.actions);
    }
    Ok(())
}

pub(crate) fn is_own_volume(desired: &Desired, name: &str, seen: &VolumeSeen) -> bool {
    match &seen.owner {
        Some(owner) => *owner == desired.owner,
        None => desired.volumes.iter().any(|volume| volume.adopted && volume.name == name),
    }
}

/// S3: a container is made only where none of its own is left and nobody else has its name.
fn at_most_one_container(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), TestCaseError> {
    let mut own: Vec<&str> = containers(observed)
        .iter()
        .filter(|seen| is_own(desired, &seen.id, seen.owner.as_ref()))
        .map(|seen| seen.id.as_str())
        .collect();
    for action in &plan.actions {
        match action {
            Action::RemoveContainer { id } => own.retain(|own| own != id),
            Action::CreateContainer { container, .. } => {
                prop_assert!(own.is_empty(), "{} beside {:?}", action, own);
                let taken = containers(observed)
                    .iter()
                    .find(|seen| seen.name == container.name && !is_own(desired, &seen.id, seen.owner.as_ref()));
                prop_assert!(taken.is_none(), "{} beside {:?}", action, taken);
                own.push("the new one");
            }
            _ => {}
        }
    }
    prop_assert!(own.len() <= 1 || plan.verdict != Verdict::Converged, "settled with {:?}", own);
    Ok(())
}

/// What an engine would refuse for its order: a container before its ground, the removal of one that is up.
fn in_a_possible_order(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), TestCaseError> {
    for (index, action) in plan.actions.iter().enumerate() {
        let before = &plan.actions[..index];
        match action {
            Action::CreateContainer { .. } => {
                let made = |step: &str| before.iter().any(|action| action.step() == step);
                prop_assert!(observed.image.present().is_some() || made("image"), "no image");
                prop_assert!(observed.network.present().is_some() || made("network"), "no network");
                for volume in &desired.volumes {
                    let there = observed.volumes.get(&volume.name).is_some_and(|seen| seen.present().is_some());
                    let made =
                        |action: &Action| matches!(action, Action::CreateVolume { volume: v, .. } if v == volume);
                    prop_assert!(there || before.iter().any(made), "no volume {}", volume.name);
                }
            }
            Action::RemoveContainer { id } | Action::StartContainer { id, .. } => {
                let seen = containers(observed).iter().find(|seen| seen.id == *id);
                let up = seen.is_some_and(|s| matches!(s.state, ContainerState::Running | ContainerState::Paused));
                let stop = Action::StopContainer { id: id.clone() };
                prop_assert!(!up || before.contains(&stop), "{} while it is up", action);
            }
            Action::StopContainer { id } => {
                let seen = containers(observed).iter().find(|seen| seen.id == *id);
                let paused = seen.is_some_and(|seen| seen.state == ContainerState::Paused);
                let resume = Action::UnpauseContainer { id: id.clone() };
                prop_assert!(!paused || before.contains(&resume), "{} while it is paused", action);
            }
            _ => {}
        }
    }
    Ok(())
}
