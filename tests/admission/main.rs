//! Admission keeps its promises for any order of any documents.
#![allow(clippy::unwrap_used, reason = "a test that fails says where and why")]

mod document;
mod order;
mod outside;
mod ports;
mod verbs;

use std::sync::Arc;

use jiff::Timestamp;
use perry::model::admission::{self, Change, NOT_KNOWN, Rejection, Settings, admit};
use perry::model::config::PortRange;
use perry::model::workspace::PortSpec;
use perry::model::{Config, Document, Name, Spec, State, Uid};

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn port(called: &str, inside: u16, host_port: Option<u16>) -> PortSpec {
    PortSpec { name: name(called), port: inside, host_port, bind: None }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

pub(crate) fn small_config() -> Config {
    Config {
        ssh_ports: PortRange { first: 22000, last: 22004 },
        published_ports: PortRange { first: 23000, last: 23005 },
        ..Config::default()
    }
}

pub(crate) fn settings<'a>(config: &'a Config, uid: &str) -> Settings<'a> {
    Settings {
        config,
        now: now(),
        uid: Uid(uid.to_owned()),
        if_generation: None,
        allow_replace: false,
        in_use: &NOT_KNOWN,
    }
}

/// Applies one document to a state, as the store does.
pub(crate) fn apply(state: &mut State, document: &Document, config: &Config) -> Result<Change, Rejection> {
    let called = document.metadata.name.clone();
    let current = state.workspaces.get(&called).cloned();
    let uid = format!("uid-{called}-{}", state.revision);
    let admitted = admit(current.as_deref(), document, state, &settings(config, &uid))?;
    state.workspaces.insert(called, Arc::new(admitted.workspace));
    state.revision += 1;
    Ok(admitted.change)
}

pub(crate) fn minimal(called: &str) -> Document {
    Document::new(name(called), Spec::default())
}

pub(crate) fn with_ports(called: &str, ports: Vec<PortSpec>) -> Document {
    Document::new(name(called), Spec { ports, ..Spec::default() })
}

pub(crate) fn conflict(result: Result<impl std::fmt::Debug, Rejection>) -> admission::Conflict {
    match result {
        Err(Rejection::Conflict(conflict)) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

pub(crate) fn issues(result: Result<impl std::fmt::Debug, Rejection>) -> String {
    match result {
        Err(Rejection::Invalid(issues)) => issues.to_string(),
        other => panic!("no issues: {other:?}"),
    }
}
