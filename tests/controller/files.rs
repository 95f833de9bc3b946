//! Files of the host: brought when they differ, without a ready workspace ever being shown as anything else.

use std::time::Duration;

use perry::model::{ConditionType, Config, FileSpec};
use perry::runtime::RuntimeError;

use crate::common::fixture::workspace;
use crate::common::harness::{Loop, MINUTE};

fn wants_a_file() -> Loop {
    let mut one = Loop::new();
    one.meddle(|engine| engine.host_files.insert("/etc/motd".to_owned(), "one".to_owned()));
    let mut config = Config::default();
    config.sync.files = vec![FileSpec { from: "/etc/motd".to_owned(), to: "/etc/motd".to_owned() }];
    one.controller.reconfigure(config);
    one.put(workspace("a"));
    one.until(|one| one.is_ready("a"));
    one
}

fn has(one: &Loop) -> String {
    one.world.with(|engine| engine.containers.values().next().expect("a container").files.clone())
}

#[test]
fn a_file_that_changes_is_brought_and_the_workspace_is_ready_all_the_while() {
    let mut one = wants_a_file();
    assert_eq!(has(&one), "/etc/motd=one;");
    let (events, version) = (one.events("a"), one.version());
    one.meddle(|engine| engine.host_files.insert("/etc/motd".to_owned(), "two".to_owned()));
    one.advance(2 * MINUTE);
    assert_eq!(has(&one), "/etc/motd=two;");
    assert_eq!(one.version(), version, "nothing else was to be seen");
    assert_eq!(one.events("a")[events.len()..], ["FilesSynced"]);
}

#[test]
fn a_container_that_is_started_again_is_brought_its_files_again() {
    let mut one = wants_a_file();
    one.restart("a");
    one.until(|one| one.is_ready("a") && !has(one).is_empty());
    assert_eq!(has(&one), "/etc/motd=one;");
}

#[test]
fn a_file_that_is_gone_is_a_condition_and_what_was_brought_is_kept() {
    let mut one = wants_a_file();
    one.meddle(|engine| engine.host_files.clear());
    one.advance(2 * MINUTE);
    assert!(one.is_ready("a"));
    let (reason, message) = one.says("a", ConditionType::FilesSynced);
    assert_eq!((reason.as_str(), message.as_str()), ("NotBrought", "/etc/motd is not there"));
}

#[test]
fn files_that_cannot_be_brought_are_a_failure_that_is_shown_and_tried_again() {
    let mut one = wants_a_file();
    one.faults.fail("sync-files", RuntimeError::Failed("the worker does not answer".to_owned()));
    one.meddle(|engine| engine.host_files.insert("/etc/motd".to_owned(), "two".to_owned()));
    one.until(|one| !one.is_ready("a"));
    let (_, message) = one.says("a", ConditionType::Ready);
    assert!(message.contains("the worker does not answer"), "{message}");
    one.faults.heal();
    let took = one.until(|one| one.is_ready("a"));
    assert!(took < Duration::from_secs(10) && has(&one) == "/etc/motd=two;", "{took:?}");
}

#[test]
fn settings_that_change_are_followed_at_once() {
    let mut one = wants_a_file();
    let before = one.container("a");
    let mut config = Config::default();
    config.ssh.authorized_keys = vec!["ssh-ed25519 AAAA me".to_owned()];
    one.controller.reconfigure(config);
    one.settle();
    one.until(|one| one.is_ready("a") && has(one).is_empty());
    assert_eq!(one.container("a"), before, "nothing is replaced");
    assert!(one.events("a").contains(&"WorkerConfigured".to_owned()), "{:?}", one.events("a"));
}
