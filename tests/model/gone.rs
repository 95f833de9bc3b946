//! Teardown: stop, remove the container, remove the volumes, and only then forget.

use perry::model::observed::ContainerState;
use perry::model::{Action, Seen, Verdict};

use crate::common::case::{Case, unknown, volume};
use crate::common::fixture::{of_an_earlier_uid, of_another_agent};

const VOLUMES: [&str; 2] = ["remove volume workspace-w-docker", "remove volume workspace-w-home"];

fn with_volumes(steps: &[&str]) -> Vec<String> {
    steps.iter().chain(&VOLUMES).map(|step| (*step).to_owned()).collect()
}

#[test]
fn the_container_goes_before_its_volumes() {
    let case = Case::converged().deleted();
    assert_eq!(case.steps(), with_volumes(&["stop container c1", "remove container c1"]));
}

#[test]
fn every_state_of_a_container_can_be_deleted() {
    let remove = "remove container c1";
    let cases: [(ContainerState, &[&str]); 4] = [
        (ContainerState::Created, &[remove]),
        (crate::common::case::exited(0), &[remove]),
        (ContainerState::Removing, &[remove]),
        (ContainerState::Paused, &["unpause container c1", "stop container c1", remove]),
    ];
    for (state, steps) in cases {
        assert_eq!(Case::container_is(state).deleted().steps(), with_volumes(steps));
    }
}

#[test]
fn deletion_wins_over_whether_it_should_run_and_over_a_replacement() {
    let steps = with_volumes(&["stop container c1", "remove container c1"]);
    assert_eq!(Case::converged().down().deleted().steps(), steps);
    assert_eq!(Case::converged().deleted().but(|case| case.container().fingerprint = None).steps(), steps);
}

#[test]
fn a_volume_is_removed_only_as_the_one_that_was_seen() {
    let case = Case::grounded().deleted();
    for action in case.plan().actions {
        let Action::RemoveVolume { created_at, owner, .. } = action else { panic!("{action}") };
        assert_eq!((created_at.as_str(), owner), ("2026-01-01T00:00:00Z", Some(case.owner())));
    }
}

#[test]
fn a_volume_of_this_uid_that_the_spec_does_not_name_any_more_goes_too() {
    let case = Case::grounded().deleted().but(|case| {
        let owner = case.owner();
        case.observed.volumes.insert("workspace-w.cache".to_owned(), Seen::Present(volume(Some(owner))));
    });
    assert_eq!(case.steps()[2], "remove volume workspace-w.cache");
}

#[test]
fn somebody_elses_volume_under_our_name_is_left_alone_and_holds_nothing_up() {
    let owner = Case::absent().owner();
    for stranger in [None, Some(of_another_agent(&owner)), Some(of_an_earlier_uid(&owner))] {
        let case = Case::absent().deleted().but(|case| {
            let taken = Seen::Present(volume(stranger));
            case.observed.volumes.insert("workspace-w-home".to_owned(), taken);
        });
        assert_eq!(case.verdict(), Verdict::Gone);
    }
}

#[test]
fn somebody_elses_container_under_our_name_is_left_alone_and_holds_nothing_up() {
    let case = Case::absent().deleted().beside("x", |other| other.owner = other.owner.as_ref().map(of_another_agent));
    assert_eq!(case.verdict(), Verdict::Gone);
}

#[test]
fn nothing_is_removed_while_anything_of_it_is_unknown() {
    type Blinding = (fn(&mut Case), &'static str);
    let cases: [Blinding; 4] = [
        (|case| case.observed.containers = unknown(), "its container could not be looked at: no answer"),
        (
            |case| case.observed.volumes.extend([("workspace-w-home".to_owned(), unknown())]),
            "volume workspace-w-home could not be looked at: no answer",
        ),
        (
            |case| case.observed.volumes_complete = false,
            "the list of volumes could not be looked at: it is not complete",
        ),
        (
            |case| case.observed.volumes.clear(),
            "volume workspace-w-home could not be looked at: nobody has looked at it yet",
        ),
    ];
    for (blind, message) in cases {
        assert_eq!(Case::converged().deleted().but(blind).not_known(), message);
        assert_eq!(Case::absent().deleted().but(blind).not_known(), message);
    }
}

#[test]
fn an_unknown_image_network_or_worker_does_not_hold_up_a_deletion() {
    let case = Case::absent().deleted().but(|case| {
        (case.observed.image, case.observed.network, case.observed.worker) = (unknown(), unknown(), unknown());
    });
    assert_eq!(case.verdict(), Verdict::Gone);
}

#[test]
fn it_is_gone_only_once_no_earlier_call_can_take_effect_any_more() {
    let case = Case::absent().deleted().but(|case| case.context.in_doubt = true);
    assert_eq!(case.waits_for(), "Settling");
    assert_eq!(Case::absent().deleted().verdict(), Verdict::Gone);
}

#[test]
fn doubt_does_not_hold_up_what_can_be_removed_already() {
    let case = Case::grounded().deleted().but(|case| case.context.in_doubt = true);
    assert_eq!(case.steps(), VOLUMES);
}
