//! Containers and volumes that were there before Perry.

use perry::model::observed::ContainerState;
use perry::model::{Action, Seen, Verdict};

use crate::common::case::{Case, ID, exited, unknown, volume};
use crate::common::fixture::{of_an_earlier_uid, of_another_agent};

fn to_be_replaced(mut case: Case) -> Case {
    if let Some(adopted) = &mut case.workspace.metadata.adopted {
        adopted.replace = true;
    }
    case
}

#[test]
fn an_adopted_container_is_kept_as_it_is_whatever_its_name_image_or_network() {
    assert_eq!(Case::adopted().verdict(), Verdict::Converged);
    let blind = |case: &mut Case| (case.observed.worker, case.observed.network) = (unknown(), unknown());
    assert_eq!(Case::adopted().but(blind).verdict(), Verdict::Converged, "it has no worker to wait for");
}

#[test]
fn an_adopted_container_that_ended_is_started_without_a_worker() {
    let case = Case::adopted().but(|case| case.container().state = exited(0));
    assert_eq!(case.steps(), ["start container c1"]);
}

#[test]
fn an_adopted_container_is_stopped_and_kept() {
    assert_eq!(Case::adopted().down().steps(), ["stop container c1"]);
    let case = Case::adopted().down().but(|case| case.container().state = exited(0));
    assert_eq!(case.verdict(), Verdict::Converged);
}

#[test]
fn an_adopted_container_is_replaced_once_that_was_admitted_and_its_volumes_are_used_again() {
    let case = to_be_replaced(Case::adopted());
    let steps = [
        "create network perry",
        "build image workspace-base",
        "stop container c1",
        "remove container c1",
        "create container workspace-w from workspace-base",
    ];
    assert_eq!(case.steps(), steps);
    let Some(Action::CreateContainer { volumes, .. }) = case.plan().actions.pop() else { panic!("no creation") };
    let names: Vec<_> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(names, ["old-home", "old-docker"]);
}

#[test]
fn an_adopted_container_on_its_way_out_is_replaced_since_nothing_else_is_possible() {
    let case = Case::adopted().but(|case| case.container().state = ContainerState::Removing);
    assert!(case.steps().contains(&"remove container c1".to_owned()));
}

#[test]
fn where_the_adopted_container_is_gone_a_new_one_is_made_on_the_adopted_volumes() {
    let case = Case::adopted().but(|case| case.containers().clear());
    let steps =
        ["create network perry", "build image workspace-base", "create container workspace-w from workspace-base"];
    assert_eq!(case.steps(), steps);
}

#[test]
fn beside_a_container_of_ours_the_adopted_one_is_kept_until_its_replacement_was_admitted() {
    let case = Case::adopted().but(|case| case.container().state = exited(0)).beside("c0", |_| {});
    assert_eq!(case.steps()[..2], ["stop container c0", "remove container c0"]);
    let case = to_be_replaced(case);
    assert_eq!(case.steps()[0], "remove container c1");
}

#[test]
fn an_adopted_container_and_its_volumes_go_with_their_workspace() {
    let steps = ["stop container c1", "remove container c1", "remove volume old-docker", "remove volume old-home"];
    let case = Case::adopted().deleted();
    assert_eq!(case.steps(), steps);
    let Some(Action::RemoveVolume { owner, .. }) = case.plan().actions.pop() else { panic!("no removal") };
    assert_eq!(owner, None, "it must still be nobody's");
}

#[test]
fn an_adopted_volume_that_is_absent_is_made() {
    let case = Case::adopted().but(|case| {
        case.containers().clear();
        case.observed.volumes.insert("old-home".to_owned(), Seen::Absent);
    });
    assert!(case.steps().contains(&"create volume old-home".to_owned()));
}

#[test]
fn what_bears_somebody_elses_labels_is_not_adopted_whatever_intent_says() {
    let owner = Case::adopted().owner();
    for stranger in [of_another_agent(&owner), of_an_earlier_uid(&owner)] {
        let case = Case::adopted().but(|case| {
            case.container().owner = Some(stranger.clone());
            case.observed.volumes.insert("old-home".to_owned(), Seen::Present(volume(Some(stranger.clone()))));
        });
        assert_eq!(case.blocked().reason, "VolumeTaken");
        let steps = case.deleted().steps();
        assert_eq!(steps, ["remove volume old-docker"], "not its container, not its home");
    }
}

#[test]
fn an_adopted_container_may_be_named_by_its_short_id() {
    let long = format!("abc123def456{}", "0".repeat(52));
    let case = |named: &str| {
        Case::adopted().but(|case| {
            case.container().id.clone_from(&long);
            let adopted = case.workspace.metadata.adopted.as_mut().expect("adopted");
            adopted.container = Some(named.to_owned());
        })
    };
    assert_eq!(case("abc123def456").verdict(), Verdict::Converged);
    assert_eq!(case(&long).verdict(), Verdict::Converged);
    for other in ["", "abc", "abc123def457", ID] {
        assert_ne!(case(other).plan().verdict, Verdict::Converged, "{other:?} is too short, or another");
    }
}

fn nobody_looked_into_it(mut case: Case) -> Case {
    if let Some(adopted) = &mut case.workspace.metadata.adopted {
        (adopted.pending, adopted.volumes) = (true, std::collections::BTreeMap::new());
    }
    // What the plan names now is what the engine shows: two volumes that are not there.
    let planned = case.desired().volumes;
    case.observed.volumes = planned.into_iter().map(|volume| (volume.name, Seen::Absent)).collect();
    case
}

#[test]
fn until_somebody_looked_into_the_adopted_container_it_runs_and_stops_but_is_neither_replaced_nor_torn_down() {
    let case = nobody_looked_into_it(Case::adopted());
    assert_eq!(case.verdict(), Verdict::Converged);
    assert_eq!(nobody_looked_into_it(Case::adopted().down()).steps(), ["stop container c1"]);
    assert_eq!(to_be_replaced(case).blocked().reason, "AdoptionPending");
    assert_eq!(nobody_looked_into_it(Case::adopted().deleted()).blocked().reason, "AdoptionPending");
}

#[test]
fn where_the_adopted_container_is_gone_before_somebody_looked_nothing_is_made_and_a_deletion_ends() {
    let gone = || nobody_looked_into_it(Case::adopted().but(|case| case.containers().clear()));
    assert_eq!(gone().blocked().reason, "AdoptionPending");
    assert_eq!(gone().deleted().verdict(), Verdict::Gone);
}
