//! From intent to everything that must exist; and what of it needs a new container.

use std::collections::{BTreeMap, BTreeSet};

use perry::model::desired::{ContainerPlan, Goal};
use perry::model::quantity::{Bytes, Cpus};
use perry::model::workspace::{Adopted, Resources};
use perry::model::{Run, Workspace};
use perry::plan::{Settings, desired};
use proptest::prelude::*;

use crate::common::arbitrary;
use crate::common::fixture::{cases, desired_of, env, name, port, settings, volume, workspace};

type Edit = fn(&mut Workspace);

fn fingerprint(workspace: &Workspace) -> String {
    desired_of(workspace).container.fingerprint
}

/// A workspace that says something in every field.
fn full() -> Workspace {
    let mut workspace = workspace("w");
    workspace.spec.image = Some("debian:trixie".to_owned());
    workspace.spec.env = env(&[("A", "1")]);
    workspace.spec.ports = vec![port("http", 3000), port("api", 8080)];
    workspace.spec.volumes = vec![volume("cache", "/c"), volume("data", "/d")];
    workspace.metadata.host_ports.extend([(name("http"), 23_000), (name("api"), 23_001)]);
    workspace
}

#[test]
fn each_change_that_needs_a_new_container_changes_the_fingerprint() {
    let edits: &[(&str, Edit)] = &[
        ("image", |w| w.spec.image = Some("node:22".to_owned())),
        ("image left out", |w| w.spec.image = None),
        ("env", |w| w.spec.env = env(&[("A", "2")])),
        ("env key", |w| w.spec.env = env(&[("B", "1")])),
        ("port", |w| w.spec.ports[0].port = 3001),
        ("bind", |w| w.spec.ports[0].bind = Some("0.0.0.0".to_owned())),
        ("one port less", |w| w.spec.ports.truncate(1)),
        ("allocated port", |w| w.metadata.host_ports.extend([(name("http"), 23_005)])),
        ("ssh port", |w| w.metadata.host_ports.extend([(name("ssh"), 22_005)])),
        ("ssh bind", |w| w.spec.ssh.bind = Some("0.0.0.0".to_owned())),
        ("volume path", |w| w.spec.volumes[0].path = "/e".to_owned()),
        ("volume name", |w| w.spec.volumes[0].name = name("other")),
        ("one volume more", |w| w.spec.volumes.push(volume("more", "/m"))),
        ("shm", |w| w.spec.resources.shm = Some(Bytes(1 << 26))),
        ("docker", |w| w.spec.docker = false),
    ];
    for (what, edit) in edits {
        let mut edited = full();
        edit(&mut edited);
        assert_ne!(fingerprint(&full()), fingerprint(&edited), "{what}");
    }
}

#[test]
fn no_other_change_does() {
    let edits: &[(&str, Edit)] = &[
        ("run", |w| w.spec.run = Some(Run::Stopped)),
        ("keys", |w| w.spec.ssh.authorized_keys = vec!["k".to_owned()]),
        ("tools", |w| w.spec.tools = vec!["claude".to_owned()]),
        ("hooks", |w| w.spec.hooks.on_start = Some("true".to_owned())),
        ("cpus", |w| w.spec.resources.cpus = Some(Cpus { millis: 1_500 })),
        ("memory", |w| w.spec.resources.memory = Some(Bytes(1 << 30))),
        ("pids", |w| w.spec.resources.pids = None),
        ("labels", |w| w.metadata.labels = env(&[("a", "b")])),
        ("annotations", |w| w.metadata.annotations = env(&[("a", "b")])),
        ("generation", |w| w.metadata.generation = 9),
        ("restart", |w| w.metadata.restarted_at = Some(w.metadata.created)),
        ("order of ports", |w| w.spec.ports.reverse()),
        ("order of volumes", |w| w.spec.volumes.reverse()),
        ("the default bind said aloud", |w| w.spec.ports[0].bind = Some("127.0.0.1".to_owned())),
        ("the allocated port said aloud", |w| w.spec.ports[0].host_port = Some(23_000)),
        ("a port called otherwise", |w| {
            w.spec.ports[0].name = name("web");
            let allocated = w.metadata.host_ports.remove("http").expect("allocated");
            w.metadata.host_ports.insert(name("web"), allocated);
        }),
    ];
    for (what, edit) in edits {
        let mut edited = full();
        edit(&mut edited);
        assert_eq!(fingerprint(&full()), fingerprint(&edited), "{what}");
    }
}

#[test]
fn no_setting_of_the_agent_changes_the_fingerprint() {
    let mut other = settings();
    other.agent = "agent-b".to_owned();
    other.executable = "worker-9".to_owned();
    other.config.image_tag = "another-base".to_owned();
    other.config.docker.network = "another".to_owned();
    other.config.ssh.bind = "0.0.0.0".to_owned();
    other.config.ssh.authorized_keys = vec!["k".to_owned()];
    other.config.workspace_prefix = "p-".to_owned();
    other.config.sync.env = env(&[("EDITOR", "vim")]);
    for workspace in [workspace("w"), full()] {
        assert_eq!(fingerprint(&workspace), desired(&workspace, &other).container.fingerprint);
    }
}

/// A version of Perry that computes other ones would end the work in every running workspace at its upgrade. If this
/// test fails, the change must be made so that the fingerprints of unchanged intent stay.
#[test]
fn the_fingerprints_of_released_versions_stay() {
    assert_eq!(fingerprint(&workspace("w")), "c55cdd9facf9d74b50defeda916f3fba");
    assert_eq!(fingerprint(&full()), "61c00ceecbec53f7d2496142749646ce");
}

/// What an engine is told of a container, but for what is the same for all generations of a workspace.
fn told(workspace: &Workspace) -> impl PartialEq + std::fmt::Debug + use<> {
    let desired = desired_of(workspace);
    let ContainerPlan { image, env, ports, docker, shm, .. } = desired.container;
    let ports: BTreeSet<_> = ports.into_iter().map(|port| (port.port, port.host_port, port.bind)).collect();
    let volumes: BTreeMap<_, _> = desired.volumes.into_iter().map(|volume| (volume.name, volume.path)).collect();
    (image, env, ports, volumes, (docker, shm))
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn two_fingerprints_are_equal_exactly_when_the_engine_would_be_told_the_same(
        one in arbitrary::spec(), other in arbitrary::spec(), same: bool,
    ) {
        let of = |spec| {
            let mut workspace = workspace("w");
            workspace.spec = spec;
            arbitrary::admit(&mut workspace);
            workspace
        };
        let mut second = of(other);
        if same {
            // Equal but for what does not count, or two random ones would hardly ever be equal.
            let inside = second.spec;
            second = of(one.clone());
            (second.spec.run, second.spec.tools) = (inside.run, inside.tools);
            (second.spec.clone, second.spec.hooks) = (inside.clone, inside.hooks);
            second.spec.ssh.authorized_keys = inside.ssh.authorized_keys;
            second.spec.volumes.reverse();
        }
        let first = of(one);
        prop_assert_eq!(told(&first) == told(&second), fingerprint(&first) == fingerprint(&second));
    }
}

#[test]
fn deletion_wins_over_run_and_a_missing_run_means_running() {
    let mut workspace = workspace("w");
    workspace.spec.run = None;
    assert_eq!(desired_of(&workspace).goal, Goal::Running);
    workspace.spec.run = Some(Run::Stopped);
    assert_eq!(desired_of(&workspace).goal, Goal::Stopped);
    workspace.metadata.deletion_timestamp = Some(workspace.metadata.created);
    assert_eq!(desired_of(&workspace).goal, Goal::Gone);
}

#[test]
fn volumes_are_named_after_the_workspace_home_first_and_docker_only_where_it_is_wanted() {
    let names = |workspace: &Workspace| desired_of(workspace).volumes.into_iter().map(|v| v.name).collect::<Vec<_>>();
    let mut workspace = full();
    let all = ["workspace-w-home", "workspace-w-docker", "workspace-w.cache", "workspace-w.data"];
    assert_eq!(names(&workspace), all);
    workspace.spec.docker = false;
    assert_eq!(names(&workspace), ["workspace-w-home", "workspace-w.cache", "workspace-w.data"]);
}

#[test]
fn limits_and_names_arrive_where_they_belong() {
    let mut workspace = workspace("w");
    let (cpus, memory, shm) = (Some(Cpus { millis: 1_500 }), Some(Bytes(4 << 30)), Some(Bytes(256 << 20)));
    workspace.spec.resources = Resources { cpus, memory, pids: Some(4_096), shm };
    let container = desired_of(&workspace).container;
    let limits = (container.limits.cpu_millis, container.limits.memory, container.limits.pids, container.shm);
    assert_eq!(limits, (Some(1_500), Some(4 << 30), Some(4_096), Some(256 << 20)));
    let names = (container.name.as_str(), container.hostname.as_str(), container.network.as_str());
    assert_eq!(names, ("workspace-w", "w", "perry"));
}

#[test]
fn a_workspace_keeps_the_prefix_that_it_was_made_with() {
    let mut workspace = workspace("w");
    workspace.metadata.prefix = "old-".to_owned();
    let desired = desired_of(&workspace);
    assert_eq!((desired.container.name.as_str(), desired.volumes[0].name.as_str()), ("old-w", "old-w-home"));
}

#[test]
fn adopted_volumes_stand_in_for_home_and_docker() {
    let mut workspace = workspace("w");
    let volumes = BTreeMap::from([("home".to_owned(), "workspace-NAME".to_owned())]);
    workspace.metadata.adopted = Some(Adopted { container: None, volumes, pending: false, replace: false });
    let volumes = desired_of(&workspace).volumes;
    assert_eq!((volumes[0].name.as_str(), volumes[0].adopted), ("workspace-NAME", true));
    assert_eq!((volumes[1].name.as_str(), volumes[1].adopted), ("workspace-w-docker", false));
}

#[test]
fn ports_are_bound_to_loopback_and_ssh_to_what_the_agent_says_unless_the_spec_says_otherwise() {
    fn binds(workspace: &Workspace, settings: &Settings) -> Vec<String> {
        let ports = desired(workspace, settings).container.ports;
        ports.into_iter().map(|port| format!("{} {}:{}:{}", port.name, port.bind, port.host_port, port.port)).collect()
    }
    let (mut workspace, mut settings) = (full(), settings());
    let ports = binds(&workspace, &settings);
    assert_eq!(ports, ["api 127.0.0.1:23001:8080", "http 127.0.0.1:23000:3000", "ssh 127.0.0.1:22000:22"]);
    settings.config.ssh.bind = "10.0.0.1".to_owned();
    workspace.spec.ports[0].bind = Some("0.0.0.0".to_owned());
    let ports = binds(&workspace, &settings);
    assert_eq!(ports, ["api 127.0.0.1:23001:8080", "http 0.0.0.0:23000:3000", "ssh 10.0.0.1:22000:22"]);
    workspace.spec.ssh.bind = Some("10.0.0.2".to_owned());
    assert!(binds(&workspace, &settings).contains(&"ssh 10.0.0.2:22000:22".to_owned()));
}

#[test]
fn the_worker_gets_the_keys_of_agent_and_spec_once_each_and_its_hash_says_whether_they_changed() {
    let mut settings = settings();
    settings.config.ssh.authorized_keys = vec!["k2".to_owned(), "k1".to_owned()];
    let mut workspace = workspace("w");
    let plain = desired(&workspace, &settings).worker;
    workspace.spec.ssh.authorized_keys = vec!["k1".to_owned()];
    assert_eq!(desired(&workspace, &settings).worker, plain, "nothing new");
    workspace.spec.ssh.authorized_keys = vec!["k3".to_owned()];
    let more = desired(&workspace, &settings).worker;
    assert_eq!(more.authorized_keys, ["k1", "k2", "k3"]);
    assert_ne!(more.hash, plain.hash);
    workspace.spec.docker = false;
    assert_ne!(desired(&workspace, &settings).worker.hash, more.hash);
}

#[test]
fn the_spec_on_the_label_can_be_read_back_and_has_no_environment_which_may_be_secret() {
    let mut workspace = full();
    workspace.spec.env = env(&[("TOKEN", "hunter2")]);
    let label = desired_of(&workspace).container.spec;
    assert!(!label.contains("hunter2") && !label.contains("TOKEN"), "{label}");
    let spec: perry::model::Spec = serde_json::from_str(&label).expect("it can be read back");
    assert_eq!(spec, perry::model::Spec { env: BTreeMap::new(), ..workspace.spec });
}
