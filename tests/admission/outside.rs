//! Edits of state.json by hand go through the same gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use perry::model::workspace::Adopted;
use perry::model::{Config, State, Uid, Workspace};

use crate::*;
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
    Arc::make_mut(new.workspaces.get_mut("c").expect("there")).metadata.uid = old.workspaces["b"].metadata.uid.clone();
    let issues = admit_outside(&old, new, &settings(&config, "u")).expect_err("refused").to_string();
    assert!(issues.contains("host port 22000 is a's too") && issues.contains("is the uid of b too"), "{issues}");
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
