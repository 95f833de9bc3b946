//! Admission keeps its promises for any order of any documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use perry::model::admission::{self, Batch, Change, ConflictReason, Flags, Rejection, Settings, admit, admit_all};
use perry::model::config::PortRange;
use perry::model::quantity::Bytes;
use perry::model::workspace::{Adopted, CloneSpec, PortSpec, Resources, VolumeSpec};
use perry::model::{Config, Document, Name, Run, Spec, State, Uid, Workspace};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn port(called: &str, inside: u16, host_port: Option<u16>) -> PortSpec {
    PortSpec { name: name(called), port: inside, host_port, bind: None }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn small_config() -> Config {
    Config {
        ssh_ports: PortRange { first: 22000, last: 22004 },
        published_ports: PortRange { first: 23000, last: 23005 },
        ..Config::default()
    }
}

fn settings<'a>(config: &'a Config, uid: &str) -> Settings<'a> {
    Settings { config, now: now(), uid: Uid(uid.to_owned()), if_generation: None, allow_replace: false }
}

/// Applies one document to a state, as the store does.
fn apply(state: &mut State, document: &Document, config: &Config) -> Result<Change, Rejection> {
    let called = document.metadata.name.clone();
    let current = state.workspaces.get(&called).cloned();
    let uid = format!("uid-{called}-{}", state.revision);
    let admitted = admit(current.as_deref(), document, state, &settings(config, &uid))?;
    state.workspaces.insert(called, Arc::new(admitted.workspace));
    state.revision += 1;
    Ok(admitted.change)
}

fn minimal(called: &str) -> Document {
    Document::new(name(called), Spec::default())
}

fn with_ports(called: &str, ports: Vec<PortSpec>) -> Document {
    Document::new(name(called), Spec { ports, ..Spec::default() })
}

fn conflict(result: Result<impl std::fmt::Debug, Rejection>) -> admission::Conflict {
    match result {
        Err(Rejection::Conflict(conflict)) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

fn issues(result: Result<impl std::fmt::Debug, Rejection>) -> String {
    match result {
        Err(Rejection::Invalid(issues)) => issues.to_string(),
        other => panic!("no issues: {other:?}"),
    }
}

#[test]
fn a_new_workspace_gets_its_defaults_decided_once() {
    let (mut state, config) = (State::default(), Config::default());
    assert_eq!(apply(&mut state, &with_ports("web", vec![port("http", 3000, None)]), &config), Ok(Change::Created));
    let workspace = &state.workspaces["web"];
    assert_eq!(workspace.spec.run, Some(Run::Running));
    assert_eq!(workspace.spec.image.as_deref(), Some("workspace-base"));
    assert_eq!(workspace.metadata.prefix, "workspace-");
    assert_eq!((workspace.metadata.generation, workspace.metadata.created), (1, now()));
    assert_eq!(workspace.metadata.host_ports, BTreeMap::from([(name("http"), 23000), (name("ssh"), 22000)]));
}

#[test]
fn the_same_document_twice_changes_nothing() {
    let (mut state, config) = (State::default(), Config::default());
    let document = with_ports("web", vec![port("http", 3000, None), port("api", 8080, Some(28080))]);
    apply(&mut state, &document, &config).expect("admitted");
    let before = state.clone();
    assert_eq!(apply(&mut state, &document, &config), Ok(Change::Unchanged));
    assert_eq!(state.workspaces, before.workspaces);
}

#[test]
fn a_missing_run_keeps_the_current_one() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &minimal("web"), &config).expect("admitted");
    admission::set_run(&mut state, &name("web"), Run::Stopped, None).expect("stopped");
    assert_eq!(apply(&mut state, &minimal("web"), &config), Ok(Change::Unchanged));
    assert_eq!(state.workspaces["web"].spec.run, Some(Run::Stopped));
}

#[test]
fn labels_change_without_a_new_generation_and_a_spec_with_one() {
    let (mut state, config) = (State::default(), Config::default());
    let mut document = minimal("web");
    apply(&mut state, &document, &config).expect("admitted");
    document.metadata.labels.insert("team".to_owned(), "a".to_owned());
    assert_eq!(apply(&mut state, &document, &config), Ok(Change::Configured));
    assert_eq!(state.workspaces["web"].metadata.generation, 1);
    document.metadata.labels.clear();
    document.spec.env.insert("A".to_owned(), "1".to_owned());
    assert_eq!(apply(&mut state, &document, &config), Ok(Change::Configured));
    assert_eq!(state.workspaces["web"].metadata.generation, 2);
    assert!(state.workspaces["web"].metadata.labels.is_empty(), "apply replaces labels");
}

#[test]
fn a_host_port_of_a_stopped_or_leaving_workspace_is_not_given_away() {
    let (mut state, config) = (State::default(), small_config());
    apply(&mut state, &with_ports("a", vec![port("http", 80, Some(23001))]), &config).expect("admitted");
    admission::set_run(&mut state, &name("a"), Run::Stopped, None).expect("stopped");
    let refused = conflict(apply(&mut state, &with_ports("b", vec![port("http", 80, Some(23001))]), &config));
    assert_eq!(refused.reason, ConflictReason::PortTaken);
    assert_eq!(refused.message, "host port 23001 belongs to workspace a already");
    assert_eq!(refused.hint.as_deref(), Some("free ones near it: 23002, 23003, 23004; without hostPort one is chosen"));
    admission::delete(&mut state, &name("a"), now(), None).expect("deleted");
    conflict(apply(&mut state, &with_ports("b", vec![port("http", 80, Some(23001))]), &config));
    apply(&mut state, &with_ports("b", vec![port("x", 80, None), port("y", 81, None)]), &config).expect("admitted");
    let ports: Vec<u16> = state.workspaces["b"].metadata.host_ports.values().copied().collect();
    assert_eq!(ports, [22001, 23000, 23002]);
}

#[test]
fn the_port_of_the_agent_itself_is_not_given_away() {
    let (mut state, config) = (State::default(), Config::default());
    let refused = conflict(apply(&mut state, &with_ports("a", vec![port("http", 80, Some(7391))]), &config));
    assert_eq!(refused.message, "host port 7391 belongs to the agent itself already");
}

#[test]
fn a_range_that_is_used_up_is_said_so() {
    let (mut state, config) = (State::default(), small_config());
    for index in 0..5 {
        apply(&mut state, &minimal(&format!("w{index}")), &config).expect("admitted");
    }
    let refused = conflict(apply(&mut state, &minimal("one-more"), &config));
    assert_eq!(refused.message, "no host port is free for ssh: all of sshPorts (22000-22004) are given out");
    assert_eq!(state.workspaces.len(), 5);
}

#[test]
fn a_port_that_comes_and_goes_leaves_the_others_where_they_are() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &with_ports("a", vec![port("x", 80, None), port("y", 81, None)]), &config).expect("admitted");
    apply(&mut state, &with_ports("a", vec![port("y", 81, None), port("z", 82, None)]), &config).expect("admitted");
    let ports = &state.workspaces["a"].metadata.host_ports;
    assert_eq!(ports, &BTreeMap::from([(name("ssh"), 22000), (name("y"), 23001), (name("z"), 23000)]));
    let clash = with_ports("a", vec![port("y", 81, None), port("z", 82, Some(22000))]);
    assert!(
        issues(apply(&mut state, &clash, &config)).starts_with("spec.ports.1.hostPort: 22000 is the host port of ssh")
    );
}

#[test]
fn every_fault_is_said_at_once_with_its_path() {
    let (mut state, config) = (State::default(), Config::default());
    let spec = Spec {
        image: Some("Debian".to_owned()),
        env: BTreeMap::from([("A B".to_owned(), String::new())]),
        ports: vec![port("ssh", 2222, None), port("a", 22, None), port("b", 0, None)],
        volumes: vec![VolumeSpec { name: name("home"), path: "/home/workspace".to_owned() }],
        resources: Resources { memory: Some(Bytes(1 << 20)), pids: Some(1), ..Resources::default() },
        clone: Some(CloneSpec { url: "--upload-pack=x".to_owned(), branch: None, path: None }),
        ..Spec::default()
    };
    let text = issues(apply(&mut state, &Document::new(name("a"), spec), &config));
    let paths: Vec<&str> = text.lines().filter_map(|line| line.split_once(": ").map(|(path, _)| path)).collect();
    assert_eq!(
        paths,
        [
            "spec.image",
            "spec.clone.url",
            "spec.env.A B",
            "spec.ports.0.name",
            "spec.ports.1.port",
            "spec.ports.2.port",
            "spec.volumes.0.name",
            "spec.volumes.0.path",
            "spec.resources.memory",
            "spec.resources.pids",
        ]
    );
    assert_eq!(state, State::default());
}

#[test]
fn what_this_version_does_not_act_on_is_kept_with_a_warning() {
    let config = Config::default();
    let mut document = minimal("a");
    document.spec.clone =
        Some(CloneSpec { url: "https://me:pw@example.com/a.git".to_owned(), branch: None, path: None });
    document.spec.tools = vec!["claude".to_owned()];
    let admitted = admit(None, &document, &State::default(), &settings(&config, "u")).expect("admitted");
    assert_eq!(admitted.workspace.spec.tools, ["claude"]);
    assert_eq!(admitted.warnings.len(), 3);
    assert!(admitted.warnings.iter().all(|warning| !warning.contains("pw")), "{:?}", admitted.warnings);
}

#[test]
fn a_private_key_is_refused_without_repeating_it() {
    let (mut state, config) = (State::default(), Config::default());
    let mut document = minimal("a");
    document.spec.ssh.authorized_keys = vec!["-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET".to_owned()];
    let text = issues(apply(&mut state, &document, &config));
    assert!(text.contains("this is a private key") && !text.contains("SECRET"), "{text}");
}

#[test]
fn deletion_is_set_once_and_nothing_but_stop_and_delete_is_taken_then() {
    let (mut state, config) = (State::default(), Config::default());
    let a = name("a");
    apply(&mut state, &minimal("a"), &config).expect("admitted");
    let later = Timestamp::from_second(1_900_000_000).expect("in range");
    assert_eq!(admission::delete(&mut state, &a, now(), None).map(|one| one.change), Ok(Change::Configured));
    assert_eq!(admission::delete(&mut state, &a, later, None).map(|one| one.change), Ok(Change::Unchanged));
    let metadata = state.workspaces["a"].metadata.clone();
    assert_eq!((metadata.deletion_timestamp, metadata.generation), (Some(now()), 2));
    assert_eq!(admission::set_run(&mut state, &a, Run::Stopped, None).map(|one| one.change), Ok(Change::Unchanged));
    let settings = settings(&config, "u");
    for refused in [
        conflict(apply(&mut state.clone(), &minimal("a"), &config)),
        conflict(admission::restart(&mut state, &a, later, false, None)),
        conflict(admission::set_run(&mut state, &a, Run::Running, None)),
        conflict(admission::create(&mut state, &a, &Flags::default(), &settings)),
        conflict(admission::start(&mut state, &a, &Flags::default(), true, &settings)),
    ] {
        assert_eq!(
            (refused.reason, refused.message.as_str()),
            (ConflictReason::Deleting, "workspace a is being deleted")
        );
    }
}

#[test]
fn each_restart_counts_even_when_the_clock_stands() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &minimal("a"), &config).expect("admitted");
    let first = admission::restart(&mut state, &name("a"), now(), false, None).expect("restarted").workspace;
    let second = admission::restart(&mut state, &name("a"), now(), false, None).expect("restarted").workspace;
    assert!(second.metadata.restarted_at > first.metadata.restarted_at);
    assert_eq!(second.metadata.generation, 3);
}

#[test]
fn an_upgrade_is_a_restart_that_says_so_and_lets_an_adopted_container_go() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &minimal("a"), &config).expect("admitted");
    let adopted = Adopted { container: Some("c".repeat(12)), volumes: BTreeMap::new(), pending: false, replace: false };
    Arc::make_mut(state.workspaces.get_mut("a").expect("there")).metadata.adopted = Some(adopted);
    let upgraded = admission::restart(&mut state, &name("a"), now(), true, None).expect("accepted").workspace.metadata;
    assert_eq!((upgraded.restarted_at, upgraded.upgraded_at), (Some(now()), Some(now())));
    assert!(upgraded.adopted.is_some_and(|adopted| adopted.replace));
    let later = admission::restart(&mut state, &name("a"), now(), false, None).expect("accepted").workspace.metadata;
    assert_eq!(later.upgraded_at, Some(now()), "a plain restart is none");
    assert!(later.restarted_at > later.upgraded_at);
}

#[test]
fn start_with_other_flags_than_the_workspace_has_is_a_conflict() {
    let (mut state, config) = (State::default(), Config::default());
    let a = name("a");
    let settings = settings(&config, "u");
    let flags = Flags {
        image: Some("debian:12".to_owned()),
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        ports: vec![port("p3000", 3000, None)],
        ..Flags::default()
    };
    assert_eq!(
        admission::start(&mut state, &a, &flags, false, &settings),
        Err(Rejection::NotFound(a.clone())),
        "absent and not to be created"
    );
    assert_eq!(admission::start(&mut state, &a, &flags, true, &settings).map(|one| one.change), Ok(Change::Created));
    assert_eq!(admission::start(&mut state, &a, &flags, true, &settings).map(|one| one.change), Ok(Change::Unchanged));
    assert_eq!(
        admission::start(&mut state, &a, &Flags::default(), true, &settings).map(|one| one.change),
        Ok(Change::Unchanged)
    );
    let other = Flags { image: Some("debian:13".to_owned()), ..Flags::default() };
    let refused = conflict(admission::start(&mut state, &a, &other, true, &settings));
    assert_eq!(refused.message, "workspace a exists and has another image (debian:12)");
    assert_eq!(conflict(admission::create(&mut state, &a, &flags, &settings)).reason, ConflictReason::Exists);
}

#[test]
fn a_stale_generation_is_a_conflict() {
    let (mut state, config) = (State::default(), Config::default());
    let a = name("a");
    let stale = Settings { if_generation: Some(3), ..settings(&config, "u") };
    assert_eq!(conflict(admit(None, &minimal("a"), &state, &stale)).reason, ConflictReason::StaleGeneration(0));
    let new = Settings { if_generation: Some(0), ..settings(&config, "u") };
    admission::create(&mut state, &a, &Flags::default(), &new).expect("new");
    let current = state.workspaces["a"].clone();
    assert_eq!(
        conflict(admit(Some(&current), &minimal("a"), &state, &new)).message,
        "workspace a exists already, at generation 1"
    );
    assert_eq!(conflict(admission::delete(&mut state, &a, now(), Some(7))).reason, ConflictReason::StaleGeneration(1));
    admission::delete(&mut state, &a, now(), Some(1)).expect("deleted");
}

#[test]
fn only_an_allowed_replacement_lets_an_adopted_container_go() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &minimal("a"), &config).expect("admitted");
    let mut adopted = Workspace::clone(&state.workspaces["a"]);
    adopted.metadata.adopted =
        Some(Adopted { container: Some("c".to_owned()), volumes: BTreeMap::new(), replace: false, pending: false });
    let replace = |allow_replace, workspace: &Workspace| {
        let settings = Settings { allow_replace, ..settings(&config, "u") };
        admit(Some(workspace), &minimal("a"), &state, &settings).expect("admitted")
    };
    assert_eq!(replace(false, &adopted).change, Change::Unchanged);
    let replaced = replace(true, &adopted);
    assert_eq!((replaced.change, replaced.workspace.metadata.generation), (Change::Configured, 2));
    assert_eq!(replace(true, &replaced.workspace).change, Change::Unchanged);
}

#[test]
fn several_documents_are_admitted_all_or_none() {
    let (state, config) = (State::default(), small_config());
    let mut count = 0;
    let mut uids = || {
        count += 1;
        Uid(format!("u{count}"))
    };
    let settings = settings(&config, "");
    // The second asks for a fixed port which the first would else be given.
    let documents =
        [with_ports("a", vec![port("http", 80, None)]), with_ports("b", vec![port("http", 80, Some(23000))])];
    let Batch { state: next, admitted } = admit_all(&state, &documents, &settings, &mut uids).expect("admitted");
    assert_eq!(next.workspaces["a"].metadata.host_ports["http"], 23001);
    assert_eq!(admitted.len(), 2);
    assert_ne!(next.workspaces["a"].metadata.uid, next.workspaces["b"].metadata.uid);
    let bad = [minimal("a"), with_ports("b", vec![port("x", 22, None)]), minimal("a")];
    let rejected = admit_all(&state, &bad, &settings, &mut uids).expect_err("rejected");
    assert_eq!(rejected.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
}

mod outside {
    use super::*;
    use perry::model::admission::admit_outside;

    fn two() -> (State, Config) {
        let (mut state, config) = (State::default(), Config::default());
        apply(&mut state, &with_ports("a", vec![port("http", 80, None)]), &config).expect("admitted");
        apply(&mut state, &minimal("b"), &config).expect("admitted");
        (state, config)
    }

    fn edited(state: &State, called: &str, change: impl FnOnce(&mut Workspace)) -> State {
        let mut state = state.clone();
        change(Arc::make_mut(state.workspaces.get_mut(called).expect("there")));
        state
    }

    #[test]
    fn a_changed_spec_counts_the_generation_whatever_was_written() {
        let (old, config) = two();
        let new = edited(&old, "a", |a| {
            a.spec.env.insert("A".to_owned(), "1".to_owned());
            a.metadata.generation = 77;
        });
        let admitted = admit_outside(&old, new, &settings(&config, "u")).expect("admitted");
        assert_eq!(admitted.state.workspaces["a"].metadata.generation, 2);
        assert_eq!(admitted.state.workspaces["b"], old.workspaces["b"]);
        let new = edited(&old, "a", |a| a.metadata.generation = 77);
        assert_eq!(admit_outside(&old, new, &settings(&config, "u")).expect("admitted").state, old);
    }

    #[test]
    fn an_untouched_workspace_is_completed_and_not_judged() {
        let (old, config) = two();
        let lacking = edited(&old, "a", |a| {
            a.spec.image = None;
            a.spec.run = None;
            a.spec.ports[0].bind = Some("not judged".to_owned());
            a.metadata.host_ports.clear();
        });
        let admitted = admit_outside(&lacking, lacking.clone(), &settings(&config, "u")).expect("admitted").state;
        let (was, is) = (&old.workspaces["a"], &admitted.workspaces["a"]);
        assert_eq!((&is.spec.image, is.spec.run), (&was.spec.image, was.spec.run));
        assert_eq!((&is.metadata.host_ports, is.metadata.generation), (&was.metadata.host_ports, 2));
        assert_eq!(admitted.workspaces["b"], old.workspaces["b"]);
    }

    #[test]
    fn a_workspace_taken_out_is_restored_with_a_warning() {
        let (old, config) = two();
        let mut new = old.clone();
        new.workspaces.clear();
        let admitted = admit_outside(&old, new, &settings(&config, "u")).expect("admitted");
        assert_eq!((&admitted.state, admitted.warnings.len()), (&old, 2));
    }

    #[test]
    fn what_admission_decided_is_not_to_be_changed_by_hand() {
        let (old, config) = two();
        let new = edited(&old, "a", |a| {
            a.metadata.uid = Uid("other".to_owned());
            a.metadata.prefix = "x-".to_owned();
            a.metadata.host_ports.insert(name("http"), 1);
            a.metadata.created = Timestamp::UNIX_EPOCH;
        });
        let issues = admit_outside(&old, new, &settings(&config, "u")).expect_err("refused");
        let paths: Vec<String> = issues.0.iter().map(|issue| issue.path.join(".")).collect();
        let right = ["uid", "created", "prefix", "hostPorts"].map(|field| format!("workspaces.a.metadata.{field}"));
        assert_eq!(paths, right);
    }

    #[test]
    fn a_deletion_can_be_written_but_not_taken_back() {
        let (old, config) = two();
        let gone = edited(&old, "a", |a| a.metadata.deletion_timestamp = Some(now()));
        let admitted = admit_outside(&old, gone, &settings(&config, "u")).expect("admitted").state;
        assert_eq!(admitted.workspaces["a"].metadata.generation, 2);
        let back = edited(&admitted, "a", |a| a.metadata.deletion_timestamp = None);
        assert!(admit_outside(&admitted, back, &settings(&config, "u")).is_err());
    }

    #[test]
    fn workspaces_written_by_hand_get_what_is_missing_and_never_a_port_or_uid_of_another() {
        let (old, config) = two();
        let mut new = old.clone();
        for (called, uid) in [("c", "u-c"), ("d", "u-d")] {
            let mut workspace = Workspace::clone(&old.workspaces["a"]);
            workspace.metadata.name = name(called);
            workspace.metadata.uid = Uid(uid.to_owned());
            workspace.metadata.host_ports.clear();
            new.workspaces.insert(name(called), Arc::new(workspace));
        }
        let admitted = admit_outside(&old, new.clone(), &settings(&config, "u")).expect("admitted").state;
        assert_eq!(admitted.workspaces["d"].metadata.host_ports[&name("ssh")], 22003);
        Arc::make_mut(new.workspaces.get_mut("d").expect("there")).metadata.host_ports =
            old.workspaces["a"].metadata.host_ports.clone();
        Arc::make_mut(new.workspaces.get_mut("c").expect("there")).metadata.uid =
            old.workspaces["b"].metadata.uid.clone();
        let issues = admit_outside(&old, new, &settings(&config, "u")).expect_err("refused").to_string();
        assert!(issues.contains("host port 22000 is a's too") && issues.contains("is the uid of b too"), "{issues}");
    }
}

/// One thing that somebody does.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
enum Step {
    Apply(Document),
    Run(Name, bool),
    Restart(Name),
    Delete(Name),
    Forget(Name),
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g"]).prop_map(name)
}

fn any_document() -> impl Strategy<Value = Document> {
    let fixed =
        prop_oneof![4 => Just(None), 2 => (23000_u16..23008).prop_map(Some), 1 => (22000_u16..22006).prop_map(Some)];
    let one = (prop::sample::select(vec!["x", "y", "z", "ssh"]), 20_u16..26, fixed)
        .prop_map(|(called, inside, host)| port(called, inside, host));
    (any_name(), prop::collection::vec(one, 0..4), prop::option::of(0_u8..3), any::<bool>()).prop_map(
        |(name, ports, label, stopped)| {
            let run = stopped.then_some(Run::Stopped);
            let mut document = Document::new(name, Spec { ports, run, ..Spec::default() });
            document.metadata.labels = label.map(|label| ("l".to_owned(), label.to_string())).into_iter().collect();
            document
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_document().prop_map(Step::Apply),
        1 => (any_name(), any::<bool>()).prop_map(|(name, run)| Step::Run(name, run)),
        1 => any_name().prop_map(Step::Restart),
        1 => any_name().prop_map(Step::Delete),
        1 => any_name().prop_map(Step::Forget),
    ]
}

fn take(state: &mut State, step: &Step, config: &Config) -> Result<(), Rejection> {
    match step {
        Step::Apply(document) => apply(state, document, config).map(drop),
        Step::Run(name, up) => {
            let run = if *up { Run::Running } else { Run::Stopped };
            admission::set_run(state, name, run, None).map(drop)
        }
        Step::Restart(name) => admission::restart(state, name, now(), false, None).map(drop),
        Step::Delete(name) => admission::delete(state, name, now(), None).map(drop),
        Step::Forget(name) => {
            if state.workspaces.get(name).is_some_and(|one| one.metadata.deletion_timestamp.is_some()) {
                state.workspaces.remove(name);
            }
            Ok(())
        }
    }
}

fn host_ports(state: &State) -> Vec<u16> {
    state.workspaces.values().flat_map(|one| one.metadata.host_ports.values().copied()).collect()
}

proptest! {
    #[test]
    fn whatever_is_done_in_whatever_order(steps in prop::collection::vec(any_step(), 1..40)) {
        let (mut state, config) = (State::default(), small_config());
        for step in &steps {
            let before = state.clone();
            let result = take(&mut state, step, &config);
            // A rejection leaves nothing.
            if result.is_err() {
                prop_assert_eq!(&state, &before);
                continue;
            }
            // S9: no host port twice.
            let ports = host_ports(&state);
            prop_assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "{:?}", ports);
            for (name, workspace) in &state.workspaces {
                // Each port of the spec, and ssh, has one; fixed ones as they were asked for.
                prop_assert_eq!(workspace.metadata.host_ports.len(), workspace.spec.ports.len() + 1);
                for port in &workspace.spec.ports {
                    let given = workspace.metadata.host_ports[&port.name];
                    prop_assert!(port.host_port.is_none_or(|fixed| fixed == given));
                }
                // The generation never falls, and rises with the spec.
                if let Some(was) = before.workspaces.get(name).filter(|was| was.metadata.uid == workspace.metadata.uid) {
                    let (old, new) = (was.metadata.generation, workspace.metadata.generation);
                    prop_assert_eq!(new > old, was.spec != workspace.spec
                        || was.metadata.restarted_at != workspace.metadata.restarted_at
                        || was.metadata.deletion_timestamp != workspace.metadata.deletion_timestamp);
                    prop_assert!(new >= old);
                    prop_assert_eq!(was.metadata.created, workspace.metadata.created);
                }
            }
            // The same document once more changes nothing.
            if let Step::Apply(document) = step {
                let applied = state.clone();
                prop_assert_eq!(apply(&mut state, document, &config), Ok(Change::Unchanged));
                prop_assert_eq!(&state.workspaces, &applied.workspaces);
            }
        }
    }

    /// What was admitted, written to the file and read as an outside edit, is no edit.
    #[test]
    fn an_outside_edit_that_is_none_changes_nothing(documents in prop::collection::vec(any_document(), 1..10)) {
        let (mut state, config) = (State::default(), small_config());
        for document in &documents {
            let _ = apply(&mut state, document, &config);
        }
        let text = serde_json::to_string(&state).expect("JSON");
        let read = serde_json::from_str(&text).expect("the same");
        let outside = admission::admit_outside(&state, read, &settings(&config, "u")).expect("admitted");
        prop_assert_eq!(outside.state, state);
        prop_assert!(outside.warnings.is_empty());
    }
}

#[test]
fn host_ports_of_a_container_that_nobody_has_looked_into_yet_are_kept() {
    let config = Config::default();
    let mut state = State::default();
    apply(&mut state, &minimal("a"), &config).expect("admitted");
    let mut adopted = Workspace::clone(&state.workspaces["a"]);
    adopted.metadata.adopted =
        Some(Adopted { container: Some("c".to_owned()), volumes: BTreeMap::new(), replace: false, pending: true });
    adopted.metadata.host_ports.insert("http".parse().expect("a name"), 22080);
    state.workspaces.insert("a".parse().expect("a name"), Arc::new(adopted));
    let outside =
        perry::model::admission::admit_outside(&state, state.clone(), &settings(&config, "u")).expect("admitted");
    assert_eq!(outside.state.workspaces["a"].metadata.host_ports["http"], 22080);
}
