//! Events: for people, bounded, equal ones counted.

use futures::FutureExt;
use perry::controller::Handle;
use perry::model::Severity;
use perry::runtime::RuntimeError;

use crate::common::fixture::{name, numbered, workspace};
use crate::common::harness::{Loop, MINUTE};

#[test]
fn equal_events_in_a_row_are_counted_and_bear_the_latest_time() {
    let mut world = Loop::new();
    world.faults.fail("start", RuntimeError::Unreachable("refused".to_owned()));
    world.put(workspace("w"));
    world.advance(10 * MINUTE);
    let events = world.controller.events(Some(&name("w")));
    let last = events.last().expect("events");
    assert_eq!((last.reason.as_str(), last.severity), ("EngineUnreachable", Severity::Warning));
    assert_eq!(usize::try_from(last.count).expect("few"), world.faults.times("start").len());
    assert_eq!(events.iter().filter(|event| event.reason == "EngineUnreachable").count(), 1);
    assert!(last.at > events[0].at);
}

#[test]
fn of_one_workspace_no_more_than_64_are_kept_the_latest() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    for _ in 0..60 {
        world.restart("w");
        world.advance(MINUTE);
    }
    let events = world.controller.events(Some(&name("w")));
    assert_eq!(events.len(), 64);
    assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at), "oldest first");
    assert!(!events.iter().any(|event| event.reason == "Created"), "the first ones are dropped");
    assert_eq!(events.last().map(|event| event.reason.as_str()), Some("Ready"));
}

#[test]
fn those_of_all_workspaces_are_listed_together_by_time() {
    let mut world = Loop::new();
    world.put(numbered(1));
    world.advance(MINUTE);
    world.put(numbered(2));
    world.advance(MINUTE);
    world.restart("w1");
    let events = world.controller.events(None);
    assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert!(events.first().is_some_and(|event| event.name == name("w1")));
    assert!(events.last().is_some_and(|event| event.name == name("w1")));
    assert!(world.controller.events(Some(&name("w2"))).iter().all(|event| event.name == name("w2")));
    assert!(world.controller.events(Some(&name("nobody"))).is_empty());
}

#[test]
fn who_follows_gets_each_as_it_happens_with_its_count() {
    let mut world = Loop::new();
    world.faults.fail("start", RuntimeError::Unreachable("refused".to_owned()));
    let mut follower = world.controller.follow_events();
    world.put(workspace("w"));
    world.advance(MINUTE);
    let mut counts = Vec::new();
    while let Some(Ok(event)) = follower.recv().now_or_never() {
        if event.reason == "EngineUnreachable" {
            counts.push(event.count);
        }
    }
    let expected: Vec<u32> = (1..).take(counts.len()).collect();
    assert!(counts.len() > 5 && counts == expected, "{counts:?}");
}

#[test]
fn ready_is_said_once_for_each_generation_that_got_there() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.advance(10 * MINUTE);
    world.edit("w", |workspace| workspace.spec.docker = false);
    world.advance(10 * MINUTE);
    let readies = world.events("w").into_iter().filter(|event| event.starts_with("Ready")).count();
    assert_eq!(readies, 2);
}

#[test]
fn events_outlive_the_workspace() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.delete("w");
    world.advance(10 * MINUTE);
    assert_eq!(world.events("w").last().map(String::as_str), Some("Deleted"));
}
