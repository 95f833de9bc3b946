//! Making what is absent, and what stands in the way of it.

use perry::model::{Action, Seen, Verdict};

use crate::common::case::{Case, unknown, volume};
use crate::common::fixture::{name, of_an_earlier_uid, of_another_agent, port};

/// One way in which an observation falls short.
type Blinding = fn(&mut Case);

#[test]
fn where_nothing_exists_the_ground_is_laid_before_the_container() {
    let steps = [
        "create network perry",
        "create volume workspace-w-home",
        "create volume workspace-w-docker",
        "build image workspace-base",
        "create container workspace-w from workspace-base",
    ];
    assert_eq!(Case::absent().steps(), steps);
}

#[test]
fn what_exists_already_is_not_made_again() {
    assert_eq!(Case::grounded().steps(), ["create container workspace-w from workspace-base"]);
}

#[test]
fn a_container_is_created_with_every_choice_made() {
    let case = Case::grounded();
    let desired = case.desired();
    let expected = Action::CreateContainer {
        container: Box::new(desired.container.clone()),
        volumes: desired.volumes.clone(),
        owner: desired.owner.clone(),
        generation: desired.generation,
    };
    assert_eq!(case.plan().actions, [expected]);
}

#[test]
fn the_agents_own_image_is_built_and_any_other_is_pulled() {
    let case = Case::grounded().but(|case| case.observed.image = Seen::Absent);
    assert_eq!(case.steps()[0], "build image workspace-base");
    let case = case.but(|case| case.workspace.spec.image = Some("debian:trixie".to_owned()));
    assert_eq!(case.steps()[0], "pull image debian:trixie");
}

#[test]
fn an_upgrade_pulls_what_may_be_newer_before_the_old_container_goes_and_only_once() {
    let case = Case::converged().but(|case| {
        case.workspace.spec.image = Some("debian:trixie".to_owned());
        case.container().fingerprint = Some(case.desired().container.fingerprint);
    });
    assert_eq!(case.verdict(), Verdict::Converged);
    let case =
        case.but(|case| case.workspace.metadata.upgraded_at = Some("2025-01-10T15:30:00Z".parse().expect("a time")));
    let steps = [
        "pull image debian:trixie, where there is a newer one",
        "stop container c1",
        "remove container c1",
        "create container workspace-w from debian:trixie",
    ];
    assert_eq!(case.steps(), steps);
    let refreshed = case.clone().but(|case| case.context.refreshed = true);
    assert_eq!(refreshed.steps(), steps[1..], "once is enough");
    let gone = case.clone().but(|case| case.containers().clear());
    assert_eq!(gone.steps(), steps[3..], "the image was looked after before the container went");
    let replaced = case.clone().but(|case| case.container().fingerprint = Some(case.desired().container.fingerprint));
    assert_eq!(replaced.verdict(), Verdict::Converged);
    let changed = replaced.but(|case| case.workspace.spec.env.insert("A".to_owned(), "1".to_owned()).map_or((), drop));
    assert_eq!(changed.steps(), steps[1..], "another change is no upgrade");
    let own = case.but(|case| case.workspace.spec.image = None);
    assert_eq!(
        own.steps()[..2],
        ["stop container c1", "remove container c1"],
        "the agent's own image is built, not pulled"
    );
}

#[test]
fn a_list_of_no_containers_and_an_absent_list_are_the_same() {
    let empty = Case::absent();
    let absent = Case::absent().but(|case| case.observed.containers = Seen::Absent);
    assert_eq!(empty.plan(), absent.plan());
}

#[test]
fn whatever_a_new_container_stands_on_blocks_while_it_is_unknown_and_the_message_names_it() {
    let cases: [(Blinding, &str); 5] = [
        (|case| case.observed.image = unknown(), "image workspace-base could not be looked at: no answer"),
        (|case| case.observed.network = unknown(), "network perry could not be looked at: no answer"),
        (|case| case.observed.containers = unknown(), "its container could not be looked at: no answer"),
        (
            |case| case.observed.volumes.extend([("workspace-w-home".to_owned(), unknown())]),
            "volume workspace-w-home could not be looked at: no answer",
        ),
        (
            |case| case.observed.volumes.clear(),
            "volume workspace-w-home could not be looked at: nobody has looked at it yet",
        ),
    ];
    for (blind, message) in cases {
        assert_eq!(Case::absent().but(blind).not_known(), message);
    }
}

#[test]
fn nothing_is_concluded_while_the_engine_does_not_answer_whatever_else_was_seen() {
    for case in [Case::absent(), Case::exited(), Case::converged().down(), Case::converged().deleted()] {
        let verdict = case.but(|case| case.observed.engine = unknown()).verdict();
        assert!(matches!(&verdict, Verdict::Unknown(reason) if reason.reason == "EngineUnreachable"), "{verdict:?}");
    }
}

#[test]
fn a_name_taken_by_a_strangers_container_blocks_and_says_whose_it_is_and_what_to_do() {
    let case = Case::grounded().beside("x", |other| other.owner = None);
    let reason = case.blocked();
    assert_eq!(reason.reason, "NameTaken");
    assert_eq!(reason.message, "the name workspace-w is taken by a container that is not Perry's");
    assert_eq!(reason.hint.as_deref(), Some("docker rename or docker rm workspace-w"));
}

#[test]
fn a_name_taken_by_another_agents_container_blocks_and_names_that_agent() {
    let case = Case::grounded().beside("x", |other| other.owner = other.owner.as_ref().map(of_another_agent));
    let message = "the name workspace-w is taken by a container of another agent (agent-b)";
    assert_eq!(case.blocked().message, message);
}

#[test]
fn a_name_taken_by_an_earlier_workspace_of_that_name_blocks_and_names_its_uid() {
    let case = Case::grounded().beside("x", |other| other.owner = other.owner.as_ref().map(of_an_earlier_uid));
    let message = "the name workspace-w is taken by a container of an earlier workspace w (uid uid-of-before)";
    assert_eq!(case.blocked().message, message);
}

#[test]
fn a_strangers_container_of_another_name_is_in_nobodys_way() {
    let stray = |case: Case| {
        case.beside("x", |other| {
            other.owner = other.owner.as_ref().map(of_an_earlier_uid);
            other.name = "workspace-w-renamed".to_owned();
        })
    };
    assert_eq!(stray(Case::grounded()).steps(), ["create container workspace-w from workspace-base"]);
    assert_eq!(stray(Case::converged()).verdict(), Verdict::Converged);
    assert_eq!(stray(Case::grounded().deleted()).steps().len(), 2, "its volumes, and nothing of the stranger's");
}

#[test]
fn a_taken_name_is_no_trouble_while_the_own_container_under_another_name_needs_none() {
    let renamed = |case: Case| {
        let case = case.but(|case| case.container().name = "renamed-by-hand".to_owned());
        case.beside("x", |other| other.owner = None)
    };
    assert_eq!(renamed(Case::converged()).verdict(), Verdict::Converged);
    assert_eq!(renamed(Case::exited()).steps(), ["start container c1"]);
    let replaced = renamed(Case::converged()).but(|case| case.workspace.spec.docker = false);
    assert_eq!(replaced.blocked().reason, "NameTaken", "before the old container is removed");
}

#[test]
fn a_volume_of_somebody_else_blocks_and_is_named_with_whose_it_is() {
    let owner = Case::absent().owner();
    let strangers = [
        (None, "volume workspace-w-docker bears no label of Perry's"),
        (Some(of_another_agent(&owner)), "volume workspace-w-docker belongs to another agent (agent-b)"),
        (
            Some(of_an_earlier_uid(&owner)),
            "volume workspace-w-docker belongs to an earlier workspace w (uid uid-of-before)",
        ),
    ];
    for (stranger, message) in strangers {
        let taken = ("workspace-w-docker".to_owned(), Seen::Present(volume(stranger)));
        let reason = Case::grounded().but(|case| case.observed.volumes.extend([taken])).blocked();
        assert_eq!((reason.reason.as_ref(), reason.message.as_str()), ("VolumeTaken", message));
        let hint = reason.hint.expect("says what to do");
        assert!(hint.contains("docker volume rm workspace-w-docker"), "{hint}");
    }
}

#[test]
fn a_port_that_another_program_uses_blocks_a_creation_and_a_start_before_anything_is_made() {
    let taken = |case: &mut Case| {
        case.workspace.spec.ports = vec![port("http", 3000)];
        case.workspace.metadata.host_ports.insert(name("http"), 23_000);
        case.observed.ports_taken.insert(23_000);
    };
    let reason = Case::absent().but(taken).blocked();
    assert_eq!(reason.reason, "PortTaken");
    assert_eq!(reason.message, "port 23000 of 127.0.0.1 (for http) is used by another program");
    let hint = reason.hint.expect("a way out");
    assert!(["sport = :23000", "docker-proxy", "hostPort"].iter().all(|word| hint.contains(word)), "{hint}");
    let exited = Case::exited().but(|case| {
        case.observed.ports_taken.insert(22_000);
    });
    assert_eq!(exited.blocked().message, "port 22000 of 127.0.0.1 (for ssh) is used by another program");
}

#[test]
fn a_container_that_is_down_is_not_replaced_while_its_port_is_taken() {
    let case = Case::exited().but(|case| {
        case.workspace.spec.docker = false;
        case.observed.ports_taken.insert(22_000);
    });
    assert_eq!(case.blocked().reason, "PortTaken");
}

#[test]
fn somebody_elses_port_is_no_trouble() {
    let case = Case::grounded().but(|case| {
        case.observed.ports_taken.insert(40_000);
    });
    assert_eq!(case.steps().len(), 1);
}
