//! Down, with everything kept.

use perry::model::observed::ContainerState;
use perry::model::{Seen, Verdict};

use crate::common::case::{Case, unknown};

#[test]
fn what_is_down_already_or_not_there_is_left_alone() {
    for case in [Case::exited(), Case::container_is(ContainerState::Created), Case::grounded(), Case::absent()] {
        assert_eq!(case.down().verdict(), Verdict::Converged);
    }
}

#[test]
fn a_running_container_is_stopped_and_kept() {
    assert_eq!(Case::converged().down().steps(), ["stop container c1"]);
}

#[test]
fn a_paused_container_is_resumed_so_that_it_can_end() {
    let case = Case::container_is(ContainerState::Paused).down();
    assert_eq!(case.steps(), ["unpause container c1", "stop container c1"]);
}

#[test]
fn one_on_its_way_out_is_helped() {
    assert_eq!(Case::container_is(ContainerState::Removing).down().steps(), ["remove container c1"]);
}

#[test]
fn a_container_that_a_later_start_will_replace_is_kept_until_then() {
    let changed = |case: Case| case.down().but(|case| case.workspace.spec.docker = false);
    assert_eq!(changed(Case::converged()).steps(), ["stop container c1"]);
    assert_eq!(changed(Case::exited()).verdict(), Verdict::Converged);
}

#[test]
fn stopping_needs_to_know_its_container_and_nothing_else() {
    let blind = |case: &mut Case| {
        (case.observed.image, case.observed.network, case.observed.worker) = (unknown(), unknown(), unknown());
        case.observed.volumes.clear();
    };
    assert_eq!(Case::converged().down().but(blind).steps(), ["stop container c1"]);
    let case = Case::converged().down().but(|case| case.observed.containers = unknown());
    assert_eq!(case.not_known(), "its container could not be looked at: no answer");
}

#[test]
fn strangers_are_no_obstacle_to_stopping() {
    let case = Case::converged().down().beside("x", |other| other.owner = None);
    assert_eq!(case.steps(), ["stop container c1"]);
    let case = Case::grounded().down().beside("x", |other| other.owner = None);
    assert_eq!(case.verdict(), Verdict::Converged);
}

#[test]
fn a_restart_asked_of_what_is_to_be_down_starts_nothing() {
    let case = Case::exited().down().but(|case| {
        case.workspace.metadata.restarted_at = Some(crate::common::fixture::at(9_000));
        case.observed.worker = Seen::Absent;
    });
    assert_eq!(case.verdict(), Verdict::Converged);
}
