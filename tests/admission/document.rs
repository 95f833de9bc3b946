//! What becomes of a manifest: defaults, generations, faults, several at once.

use std::collections::BTreeMap;

use perry::model::admission::{self, Batch, Change, admit, admit_all};
use perry::model::quantity::Bytes;
use perry::model::workspace::{CloneSpec, Resources, VolumeSpec};
use perry::model::{Config, Document, Run, Spec, State, Uid};

use crate::*;

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
fn a_password_in_a_url_is_warned_of_without_repeating_it() {
    let config = Config::default();
    let mut document = minimal("a");
    document.spec.clone =
        Some(CloneSpec { url: "https://me:pw@example.com/a.git".to_owned(), branch: None, path: None });
    let admitted = admit(None, &document, &State::default(), &settings(&config, "u")).expect("admitted");
    assert_eq!(admitted.warnings.len(), 1);
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
