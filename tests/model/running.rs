//! Up, and everything inside answering.

use perry::model::desired::WorkerPlan;
use perry::model::observed::{ContainerState, Prepared, Service};
use perry::model::{Action, Seen, Verdict};

use crate::common::case::{Case, ID, exited, unknown};
use crate::common::fixture::at;

const REPLACED: [&str; 3] =
    ["stop container c1", "remove container c1", "create container workspace-w from workspace-base"];

fn restart_asked_at(case: &mut Case, seconds: i64) {
    case.workspace.metadata.restarted_at = Some(at(seconds));
}

#[test]
fn where_everything_is_as_it_should_be_there_is_nothing_to_do() {
    assert_eq!(Case::converged().verdict(), Verdict::Converged);
}

#[test]
fn a_running_container_whose_fingerprint_differs_is_stopped_removed_and_made_anew() {
    let case = Case::converged().but(|case| case.workspace.spec.docker = false);
    assert_eq!(case.steps(), REPLACED);
}

#[test]
fn a_container_that_is_up_holds_its_ports_itself_and_they_are_no_obstacle_to_its_replacement_or_restart() {
    let taken = Case::converged().but(|case| {
        case.observed.ports_taken.insert(22_000);
    });
    assert_eq!(taken.verdict(), Verdict::Converged);
    assert_eq!(taken.clone().but(|case| case.workspace.spec.docker = false).steps(), REPLACED);
    let restarted = taken.but(|case| restart_asked_at(case, 3_000));
    assert_eq!(restarted.steps(), ["stop container c1", "start container c1"]);
}

#[test]
fn a_stopped_container_whose_fingerprint_differs_is_removed_and_made_anew() {
    let case = Case::exited().but(|case| case.container().fingerprint = None);
    assert_eq!(case.steps(), REPLACED[1..]);
}

#[test]
fn a_container_is_removed_only_once_everything_for_the_new_one_is_there() {
    let case = Case::converged().but(|case| {
        case.workspace.spec.image = Some("debian".to_owned());
        case.observed.image = Seen::Absent;
    });
    let mut expected = vec!["pull image debian"];
    expected.extend(&REPLACED[..2]);
    expected.push("create container workspace-w from debian");
    assert_eq!(case.steps(), expected);
    for blind in
        [|case: &mut Case| case.observed.image = unknown(), |case: &mut Case| case.observed.network = unknown()]
    {
        assert!(matches!(case.clone().but(blind).verdict(), Verdict::Unknown(_)));
    }
}

#[test]
fn a_container_that_ended_is_started_again_and_gets_a_worker_only_where_it_has_another_one() {
    assert_eq!(Case::exited().steps(), ["start container c1"]);
    let other = Prepared { worker: "worker-0".to_owned(), config: String::new(), restarted_at: None };
    for prepared in [None, Some(other)] {
        let case = Case::exited().but(|case| case.container().prepared = prepared);
        assert_eq!(case.steps(), ["install the worker into container c1", "start container c1"]);
    }
}

#[test]
fn a_container_that_was_never_started_is() {
    let case = Case::container_is(ContainerState::Created).but(|case| case.container().prepared = None);
    assert_eq!(case.steps(), ["install the worker into container c1", "start container c1"]);
}

#[test]
fn a_paused_container_is_resumed_and_nothing_else_before_it_was_looked_at_again() {
    let case = Case::container_is(ContainerState::Paused).but(|case| restart_asked_at(case, 9_000));
    assert_eq!(case.steps(), ["unpause container c1"]);
}

#[test]
fn a_container_on_its_way_out_is_removed_and_made_anew() {
    assert_eq!(Case::container_is(ContainerState::Removing).steps(), REPLACED[1..]);
}

#[test]
fn of_several_containers_the_running_one_is_kept_then_the_one_with_the_name_then_the_lowest_id() {
    let second = |case: Case, change: fn(&mut perry::model::observed::ContainerSeen)| case.beside("c0", change);
    let stopped = second(Case::converged(), |other| other.state = exited(0));
    assert_eq!(stopped.steps(), ["remove container c0"]);
    let misnamed = second(Case::converged(), |other| other.name = "else".to_owned());
    assert_eq!(misnamed.steps(), ["stop container c0", "remove container c0"]);
    assert_eq!(second(Case::converged(), |_| {}).steps(), ["stop container c1", "remove container c1"]);
}

#[test]
fn surplus_containers_go_in_every_goal_and_a_paused_one_is_resumed_to_be_stopped() {
    let surplus = |case: Case| case.beside("c2", |other| other.state = ContainerState::Paused);
    let gone = ["unpause container c2", "stop container c2", "remove container c2"];
    assert_eq!(surplus(Case::converged()).steps(), gone);
    assert_eq!(surplus(Case::converged().down()).steps()[..3], gone);
    assert!(surplus(Case::converged().deleted()).steps().join("\n").contains(&gone.join("\n")));
}

#[test]
fn a_restart_stops_a_container_that_was_started_for_an_earlier_one() {
    let case = Case::converged().but(|case| restart_asked_at(case, 3_000));
    assert_eq!(case.steps(), ["stop container c1", "start container c1"]);
    let start = case.plan().actions.pop();
    assert!(matches!(start, Some(Action::StartContainer { restarted_at, .. }) if restarted_at == Some(at(3_000))));
}

#[test]
fn a_restart_that_was_answered_is_not_answered_again_although_the_engines_clock_is_behind() {
    let case = Case::converged().but(|case| {
        restart_asked_at(case, 3_000);
        case.container().started_at = Some(at(10));
        case.container().prepared =
            Some(Prepared { worker: "worker-1".to_owned(), config: String::new(), restarted_at: Some(at(3_000)) });
    });
    assert_eq!(case.verdict(), Verdict::Converged);
}

#[test]
fn a_start_for_a_later_restart_answers_the_earlier_one_too() {
    let case = Case::converged().but(|case| {
        case.container().prepared =
            Some(Prepared { worker: "worker-1".to_owned(), config: String::new(), restarted_at: Some(at(4_000)) });
        restart_asked_at(case, 3_000);
    });
    assert_eq!(case.verdict(), Verdict::Converged);
}

#[test]
fn where_nobody_knows_what_a_container_was_started_for_the_engines_word_on_when_decides() {
    let started = |seconds: i64| {
        Case::converged().but(|case| {
            restart_asked_at(case, 3_000);
            case.container().prepared = None;
            case.container().started_at = Some(at(seconds));
        })
    };
    assert_eq!(started(3_001).verdict(), Verdict::Converged);
    let steps = ["stop container c1", "install the worker into container c1", "start container c1"];
    assert_eq!(started(2_999).steps(), steps, "nor which worker it has");
}

#[test]
fn a_restart_prepares_the_container_as_every_start_does() {
    let case = Case::converged().but(|case| {
        restart_asked_at(case, 3_000);
        case.observed.network = Seen::Absent;
        case.container().network = None;
        case.container().prepared =
            Some(Prepared { worker: "worker-0".to_owned(), config: String::new(), restarted_at: None });
    });
    let steps = [
        "stop container c1",
        "create network perry",
        "attach container c1 to network perry",
        "install the worker into container c1",
        "start container c1",
    ];
    assert_eq!(case.steps(), steps);
    let blind = case.but(|case| case.observed.network = unknown());
    assert_eq!(blind.not_known(), "network perry could not be looked at: no answer", "and is not stopped before");
}

#[test]
fn a_restart_of_what_is_down_is_just_its_start() {
    let case = Case::exited().but(|case| restart_asked_at(case, 3_000));
    assert_eq!(case.steps(), ["start container c1"]);
}

#[test]
fn a_network_that_was_removed_is_made_again_and_the_container_attached_to_it() {
    let case = |case: Case| {
        case.but(|case| {
            case.observed.network = Seen::Absent;
            case.container().network = None;
        })
    };
    let ground = ["create network perry", "attach container c1 to network perry"];
    assert_eq!(case(Case::converged()).steps(), ground);
    let mut up = ground.to_vec();
    up.push("start container c1");
    assert_eq!(case(Case::exited()).steps(), up);
}

#[test]
fn a_container_that_knows_an_earlier_network_of_that_name_is_attached_anew() {
    let case = Case::converged().but(|case| case.container().network = Some("n0".to_owned()));
    assert_eq!(case.steps(), ["attach container c1 to network perry"]);
}

#[test]
fn a_network_that_nobody_could_look_at_is_neither_made_nor_attached_to() {
    for case in [Case::converged(), Case::exited()] {
        let message = case.but(|case| case.observed.network = unknown()).not_known();
        assert_eq!(message, "network perry could not be looked at: no answer");
    }
}

#[test]
fn a_worker_of_another_executable_is_replaced_in_the_running_container() {
    let case = Case::converged().but(|case| case.worker().executable = "worker-0".to_owned());
    assert_eq!(case.steps(), ["install the worker into container c1"]);
}

#[test]
fn a_worker_that_was_told_something_else_is_told_again() {
    let case = Case::converged().but(|case| case.workspace.spec.ssh.authorized_keys = vec!["ssh-ed25519 K".to_owned()]);
    let Some(Action::ConfigureWorker { id, worker: WorkerPlan { authorized_keys, .. }, .. }) =
        case.plan().actions.pop()
    else {
        panic!("{:?}", case.steps())
    };
    assert_eq!((id.as_str(), authorized_keys), (ID, vec!["ssh-ed25519 K".to_owned()]));
}

#[test]
fn a_worker_that_does_not_answer_yet_or_cannot_be_asked_is_waited_for() {
    assert_eq!(Case::converged().but(|case| case.observed.worker = Seen::Absent).waits_for(), "WorkerStarting");
    assert_eq!(Case::converged().but(|case| case.observed.worker = unknown()).waits_for(), "WorkerUnknown");
}

#[test]
fn sshd_and_dockerd_are_waited_for_unless_the_image_has_none() {
    let failed = || Service::Failed { message: "no space".to_owned() };
    let cases = [
        (Service::Starting, Service::Running, "SshStarting"),
        (Service::Off, Service::Running, "SshStarting"),
        (failed(), Service::Running, "SshFailed"),
        (Service::Running, Service::Starting, "DockerStarting"),
        (Service::Running, Service::Off, "DockerStarting"),
        (Service::Running, failed(), "DockerFailed"),
        (Service::Starting, failed(), "DockerFailed"),
        (failed(), failed(), "SshFailed"),
        (Service::NotInImage, Service::Starting, "DockerStarting"),
    ];
    for (ssh, docker, reason) in cases {
        let case = Case::converged().but(|case| {
            (case.worker().ssh, case.worker().docker) = (ssh.clone(), docker.clone());
        });
        assert_eq!(case.waits_for(), reason, "ssh {ssh:?}, docker {docker:?}");
    }
    for (ssh, docker) in [(Service::NotInImage, Service::Running), (Service::Running, Service::NotInImage)] {
        let case = Case::converged().but(|case| (case.worker().ssh, case.worker().docker) = (ssh, docker));
        assert_eq!(case.verdict(), Verdict::Converged);
    }
}

#[test]
fn dockerd_does_not_count_where_no_docker_is_wanted() {
    for docker in [Service::Off, Service::Starting, Service::Failed { message: String::new() }] {
        let mut case = Case::absent();
        case.workspace.spec.docker = false;
        let desired = case.desired();
        let ready = Case::converged().but(|case| {
            case.workspace.spec.docker = false;
            case.container().fingerprint = Some(desired.container.fingerprint.clone());
            case.worker().config.clone_from(&desired.worker.hash);
            case.worker().docker = docker;
        });
        assert_eq!(ready.verdict(), Verdict::Converged);
    }
}
