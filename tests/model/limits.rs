//! Limits: changed in the container that is there, where an engine can.

use perry::model::Verdict;
use perry::model::desired::Limits;
use perry::model::quantity::{Bytes, Cpus};
use perry::model::workspace::Resources;

use crate::common::case::{Case, exited};
use crate::common::fixture::at;

const REPLACED: [&str; 3] =
    ["stop container c1", "remove container c1", "create container workspace-w from workspace-base"];

/// Thousandths of a processor, bytes, processes.
type Given = (Option<u32>, Option<u64>, Option<u32>);

fn resources((cpus, memory, pids): Given) -> Resources {
    Resources { cpus: cpus.map(|millis| Cpus { millis }), memory: memory.map(Bytes), pids, shm: None }
}

/// A container with these limits, in a workspace that is to have those.
fn from_to(has: Given, wants: Given) -> Case {
    let case = Case::converged().but(|case| case.workspace.spec.resources = resources(has));
    let limits = case.desired().container.limits;
    case.but(|case| {
        case.workspace.spec.resources = resources(wants);
        case.container().limits = limits;
    })
}

#[test]
fn limits_that_are_raised_lowered_or_added_are_changed_in_the_running_container() {
    let few = (Some(500), Some(1 << 30), Some(100));
    let limited = ["limit container c1 to cpus 2, memory 4Gi, pids 200"];
    assert_eq!(from_to(few, (Some(2_000), Some(4 << 30), Some(200))).steps(), limited);
    assert_eq!(from_to((None, None, None), (Some(2_000), Some(4 << 30), Some(200))).steps(), limited);
    let no_pids = (Some(500), Some(1 << 30), None);
    assert_eq!(from_to(few, no_pids).steps(), ["limit container c1 to cpus 0.5, memory 1Gi"]);
    assert_eq!(from_to(few, few).verdict(), Verdict::Converged);
}

#[test]
fn a_limit_of_processors_or_memory_that_goes_needs_a_new_container() {
    let both = (Some(500), Some(1 << 30), None);
    for less in [(None, Some(1 << 30), None), (Some(500), None, None)] {
        assert_eq!(from_to(both, less).steps(), REPLACED);
    }
}

#[test]
fn shared_memory_is_made_with_the_container() {
    let case = Case::converged().but(|case| case.workspace.spec.resources.shm = Some(Bytes(1 << 26)));
    assert_eq!(case.steps(), REPLACED);
}

#[test]
fn a_container_that_is_down_gets_its_limits_before_it_is_started_and_a_restart_gives_them_anew() {
    let wants = (None, Some(1 << 30), None);
    let down = from_to((None, None, None), wants).but(|case| case.container().state = exited(0));
    assert_eq!(down.steps(), ["limit container c1 to memory 1Gi", "start container c1"]);
    let restart = from_to((None, None, None), wants).but(|case| {
        case.workspace.metadata.restarted_at = Some(at(9_000));
    });
    let steps = ["stop container c1", "limit container c1 to memory 1Gi", "start container c1"];
    assert_eq!(restart.steps(), steps, "what could not be lowered below its use can be now");
}

#[test]
fn one_from_before_perry_keeps_its_own() {
    let case = Case::adopted().but(|case| case.container().limits = Limits { memory: Some(1), ..Limits::default() });
    assert_eq!(case.verdict(), Verdict::Converged);
}
