//! The small edits: delete, restart, start, and what they may not do.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use perry::model::admission::{self, Change, ConflictReason, Flags, Rejection, Settings, admit};
use perry::model::workspace::Adopted;
use perry::model::{Config, Run, State, Workspace};

use crate::*;

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
