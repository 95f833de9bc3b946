//! Any intent, and anything that a look may show.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use perry::model::desired::{Limits, Owner};
use perry::model::observed::{
    ContainerSeen, ContainerState, EngineSeen, FilesSeen, Isolation, Prepared, Service, SourcesSeen, VolumeSeen,
    WorkerSeen,
};
use perry::model::quantity::{Bytes, Cpus};
use perry::model::workspace::{Adopted, CloneSpec, Hooks, PortSpec, Resources, SshSpec, VolumeSpec};
use perry::model::{Desired, Observed, Run, Seen, Spec, Workspace};
use perry::plan::Context;
use proptest::option;
use proptest::prelude::*;

use super::case::{ID, NETWORK};
use super::fixture::{self, at, name, of_an_earlier_uid, of_another_agent};

/// A list of few choices as a strategy.
fn one_of<T: Clone + std::fmt::Debug + 'static>(choices: &[T]) -> BoxedStrategy<T> {
    proptest::sample::select(choices.to_vec()).boxed()
}

fn ports() -> impl Strategy<Value = Vec<PortSpec>> {
    let bind = option::of(one_of(&["127.0.0.1".to_owned(), "0.0.0.0".to_owned()]));
    let port = (1..5_u16, option::of(24_000..24_003_u16), bind);
    let named = |(called, (port, host_port, bind))| PortSpec { name: name(called), port, host_port, bind };
    proptest::collection::btree_map(one_of(&["http", "api", "db"]), port, 0..3)
        .prop_map(move |ports| ports.into_iter().map(named).collect())
}

fn volumes() -> impl Strategy<Value = Vec<VolumeSpec>> {
    proptest::collection::btree_map(one_of(&["cache", "data"]), one_of(&["/a", "/b"]), 0..3)
        .prop_map(|volumes| volumes.into_iter().map(|(called, path)| fixture::volume(called, path)).collect::<Vec<_>>())
        .prop_shuffle()
}

fn resources() -> impl Strategy<Value = Resources> {
    let cpus = option::of(one_of(&[Cpus { millis: 500 }, Cpus { millis: 2_000 }]));
    let bytes = || option::of(one_of(&[Bytes(64 << 20), Bytes(1 << 30)]));
    (cpus, bytes(), option::of(one_of(&[64_u32, 4_096])), bytes()).prop_map(|(cpus, memory, pids, shm)| Resources {
        cpus,
        memory,
        pids,
        shm,
    })
}

/// Any spec. Fields with a default never name that default: to a fingerprint of intent alone those differ.
pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    let image = option::of(one_of(&["debian:trixie".to_owned(), "node:22".to_owned()]));
    let env = proptest::collection::btree_map("[A-C]", "[x-z]", 0..3);
    let ssh = (option::of(Just("0.0.0.0".to_owned())), proptest::collection::vec("k[1-3]", 0..3))
        .prop_map(|(bind, authorized_keys)| SshSpec { authorized_keys, bind });
    let inside = (any::<bool>(), any::<bool>(), proptest::collection::vec("t[1-3]", 0..2));
    let run = option::of(one_of(&[Run::Running, Run::Stopped]));
    (run, image, env, ports(), volumes(), resources(), any::<bool>(), ssh, inside).prop_map(
        |(run, image, env, ports, volumes, resources, docker, ssh, (clone, hook, tools))| Spec {
            run,
            image,
            clone: clone.then(|| CloneSpec { url: "https://example.com/a.git".to_owned(), branch: None, path: None }),
            env,
            ports,
            volumes,
            resources,
            docker,
            ssh,
            files: Vec::new(),
            tools,
            hooks: Hooks { on_create: hook.then(|| "true".to_owned()), on_start: None },
        },
    )
}

/// Gives every port a host port, as admission does.
pub(crate) fn admit(workspace: &mut Workspace) {
    workspace.metadata.host_ports = BTreeMap::from([(name("ssh"), 22_000)]);
    for (n, port) in (23_000..).zip(&workspace.spec.ports) {
        workspace.metadata.host_ports.insert(port.name.clone(), port.host_port.unwrap_or(n));
    }
}

/// Any workspace as admission leaves it.
pub(crate) fn workspace() -> impl Strategy<Value = Workspace> {
    let adopted = (any::<bool>(), proptest::sample::subsequence(vec!["home", "docker"], 0..=2), any::<bool>());
    let adopted = adopted.prop_map(|(container, roles, replace)| Adopted {
        pending: false,
        container: container.then(|| ID.to_owned()),
        volumes: roles.into_iter().map(|role| (role.to_owned(), format!("old-{role}"))).collect(),
        replace,
    });
    let rare = |strategy| option::weighted(0.2, strategy);
    (spec(), 1..9_u64, rare(Just(at(5_000)).boxed()), restarted_at(), option::weighted(0.2, adopted)).prop_map(
        |(spec, generation, deletion_timestamp, restarted_at, adopted)| {
            let mut workspace = fixture::workspace("w");
            workspace.spec = spec;
            let metadata = &mut workspace.metadata;
            metadata.generation = generation;
            (metadata.deletion_timestamp, metadata.restarted_at) = (deletion_timestamp, restarted_at);
            metadata.adopted = adopted;
            admit(&mut workspace);
            workspace
        },
    )
}

fn restarted_at() -> BoxedStrategy<Option<Timestamp>> {
    option::weighted(0.3, one_of(&[at(1_000), at(2_000), at(3_000)])).boxed()
}

/// Whose something may be: mostly ours.
fn owner(own: &Owner) -> BoxedStrategy<Option<Owner>> {
    prop_oneof![
        4 => Just(Some(own.clone())),
        1 => Just(None),
        1 => Just(Some(of_another_agent(own))),
        1 => Just(Some(of_an_earlier_uid(own))),
    ]
    .boxed()
}

/// Present as a rule, else absent or unknown.
fn seen<T: Clone + std::fmt::Debug + 'static>(present: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Seen<T>> {
    prop_oneof![
        6 => present.prop_map(Seen::Present),
        1 => Just(Seen::Absent),
        1 => Just(Seen::Unknown("no answer".to_owned())),
    ]
    .boxed()
}

pub(crate) fn state() -> impl Strategy<Value = ContainerState> {
    let exited = (one_of(&[0, 1, 137]), any::<bool>(), one_of(&["", "no such file"]));
    prop_oneof![
        4 => Just(ContainerState::Running),
        1 => Just(ContainerState::Created),
        1 => Just(ContainerState::Paused),
        1 => Just(ContainerState::Removing),
        2 => exited.prop_map(|(code, oom, error)| ContainerState::Exited { code, oom, error: error.to_owned() }),
    ]
}

fn prepared(right: &str) -> impl Strategy<Value = Option<Prepared>> + use<> {
    let worker = one_of(&[fixture::EXECUTABLE.to_owned(), "worker-0".to_owned()]);
    let prepared = (worker, one_of(&[right.to_owned(), String::new()]), restarted_at());
    let prepared = prepared.prop_map(|(worker, config, restarted_at)| Prepared { worker, config, restarted_at });
    option::weighted(0.8, prepared)
}

fn container(desired: &Desired) -> impl Strategy<Value = ContainerSeen> + use<> {
    let right = desired.container.fingerprint.clone();
    let fingerprint = prop_oneof![3 => Just(Some(right)), 1 => Just(Some("0".repeat(32))), 1 => Just(None)];
    let called = prop_oneof![3 => Just(desired.container.name.clone()), 1 => Just("else".to_owned())];
    let network = prop_oneof![3 => Just(Some(NETWORK.to_owned())), 1 => Just(Some("n0".to_owned())), 1 => Just(None)];
    let id = one_of(&[ID.to_owned(), "c0".to_owned(), "c2".to_owned(), "c3".to_owned()]);
    let other = Limits { cpu_millis: Some(250), memory: None, pids: Some(70) };
    let limits = prop_oneof![3 => Just(desired.container.limits), 1 => Just(other), 1 => Just(Limits::default())];
    let isolation = one_of(&[Isolation::Privileged, Isolation::Sysbox, Isolation::Unprivileged]);
    (
        id,
        called,
        owner(&desired.owner),
        fingerprint,
        state(),
        restarted_at(),
        prepared(&desired.worker.hash),
        network,
        (isolation, limits),
    )
        .prop_map(|(id, name, owner, fingerprint, state, started_at, prepared, network, (isolation, limits))| {
            ContainerSeen { id, name, owner, fingerprint, state, started_at, prepared, network, isolation, limits }
        })
}

fn service() -> BoxedStrategy<Service> {
    let failed = Service::Failed { message: "last words".to_owned() };
    one_of(&[Service::Running, Service::Starting, Service::NotInImage, Service::Off, failed])
}

fn worker(desired: &Desired) -> impl Strategy<Value = WorkerSeen> + use<> {
    let config = prop_oneof![4 => Just(desired.worker.hash.clone()), 1 => Just(String::new())];
    let executable = prop_oneof![4 => Just(fixture::EXECUTABLE.to_owned()), 1 => Just("worker-0".to_owned())];
    let files = prop_oneof![3 => Just(String::new()), 1 => Just("f".to_owned())];
    (executable, config, service(), service(), files).prop_map(|(executable, config, ssh, docker, hash)| WorkerSeen {
        version: "1".to_owned(),
        executable,
        config,
        ssh,
        docker,
        tasks: Vec::new(),
        files: FilesSeen { hash, faults: Vec::new() },
        pressure: None,
    })
}

type Volumes = BTreeMap<String, Seen<VolumeSeen>>;

fn volumes_seen(desired: &Desired) -> BoxedStrategy<Volumes> {
    let mut names: Vec<String> = desired.volumes.iter().map(|volume| volume.name.clone()).collect();
    names.push("workspace-w.of-before".to_owned());
    let one = |name: String| {
        let volume = owner(&desired.owner).prop_map(super::case::volume);
        option::weighted(0.95, seen(volume)).prop_map(move |seen| seen.map(|seen| (name.clone(), seen)))
    };
    let all: Vec<_> = names.into_iter().map(one).collect();
    all.prop_map(|seen| seen.into_iter().flatten().collect()).boxed()
}

/// Anything that a look for this may show; ids are told apart, as an engine does.
pub(crate) fn observed(desired: &Desired) -> BoxedStrategy<Observed> {
    let engine =
        EngineSeen { version: "27".to_owned(), api_version: "1.45".to_owned(), runtimes: vec!["runc".to_owned()] };
    let engine = prop_oneof![15 => Just(Seen::Present(engine)), 1 => Just(Seen::Unknown("no answer".to_owned()))];
    let containers = proptest::collection::vec(container(desired), 0..4).prop_map(|mut containers| {
        let mut known = BTreeSet::new();
        containers.retain(|container| known.insert(container.id.clone()));
        containers
    });
    let taken = desired.container.ports.first().map(|port| port.host_port).into_iter().collect::<BTreeSet<_>>();
    let taken = prop_oneof![6 => Just(BTreeSet::new()), 1 => Just(taken)];
    let ground = (seen(Just("i1".to_owned())), seen(Just(NETWORK.to_owned())));
    let complete = prop_oneof![8 => Just(true), 1 => Just(false)];
    (engine, ground, seen(containers), volumes_seen(desired), complete, seen(worker(desired)), taken)
        .prop_map(|(engine, (image, network), containers, volumes, volumes_complete, worker, ports_taken)| Observed {
            engine,
            image,
            network,
            containers,
            volumes,
            volumes_complete,
            worker,
            sources: SourcesSeen::default(),
            ports_taken,
        })
        .boxed()
}

pub(crate) fn context() -> impl Strategy<Value = Context> {
    any::<(bool, bool)>().prop_map(|(in_doubt, refreshed)| Context { in_doubt, refreshed, ..fixture::context() })
}

/// Any intent together with anything that a look for it may show.
pub(crate) fn situation() -> impl Strategy<Value = (Workspace, Observed)> {
    workspace().prop_flat_map(|workspace| {
        let desired = fixture::desired_of(&workspace);
        (Just(workspace), observed(&desired))
    })
}
