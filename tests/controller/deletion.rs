//! Deletion: finished on knowledge only, and then nothing is remembered.

use perry::model::condition::ConditionType as Type;
use perry::model::{Phase, Uid};
use perry::runtime::fake::{Blind, Fate, Reply};
use perry::store::Intent;

use crate::common::fixture::{name, workspace};
use crate::common::harness::{DOUBT, Loop, MINUTE, SECOND};
use crate::common::script::partial;

fn is_empty(world: &Loop) -> bool {
    world.world.with(|engine| engine.containers.is_empty() && engine.volumes.is_empty())
}

#[test]
fn a_deleted_workspace_goes_with_everything_and_is_forgotten_by_all() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.delete("w");
    assert!(is_empty(&world));
    assert!(world.intent.get(&name("w")).is_none() && world.try_view("w").is_none());
    assert_eq!(world.events("w").last().map(String::as_str), Some("Deleted"));
    let looks = world.faults.looks();
    world.advance(30 * MINUTE);
    assert_eq!(world.faults.looks(), looks, "nobody looks at it any more");
}

#[test]
fn while_it_goes_its_status_is_deleting() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.faults.slow("stop", 5 * SECOND);
    world.delete("w");
    assert_eq!(world.view("w").status, Phase::Deleting);
    assert_eq!(world.says("w", Type::Ready).0, "Deleting");
    world.until(|world| world.try_view("w").is_none());
}

#[test]
fn nothing_is_removed_on_half_a_look_and_it_goes_on_when_all_can_be_seen() {
    let blinds = [
        Blind { containers: true, ..Blind::default() },
        Blind { volumes: true, ..Blind::default() },
        Blind { lists: true, ..Blind::default() },
    ];
    for blind in blinds {
        let mut world = Loop::new();
        world.put(workspace("w"));
        let before = world.world.with(Clone::clone);
        let half = blind.clone();
        world.faults.on_look(move |_| Some(partial(half.clone())));
        world.delete("w");
        world.advance(10 * MINUTE);
        assert_eq!(world.world.with(Clone::clone), before, "{blind:?}");
        assert_eq!(world.view("w").status, Phase::Deleting);
        world.faults.heal();
        world.until(|world| world.try_view("w").is_none());
        assert!(is_empty(&world));
    }
}

#[test]
fn a_commit_that_fails_is_tried_again_until_intent_is_gone() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.intent.refuse(3);
    world.delete("w");
    assert_eq!(world.view("w").status, Phase::Deleting);
    let (reason, message) = world.says("w", Type::Reconciling);
    assert_eq!(reason, "BackOff");
    assert!(message.contains("state.json could not be written: the disk is full"), "{message}");
    world.until(|world| world.try_view("w").is_none());
    assert_eq!(world.events("w").iter().filter(|event| event.starts_with("NotForgotten")).count(), 1);
}

#[test]
fn a_name_can_be_used_again_and_its_new_incarnation_knows_nothing_of_the_old() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.edit("w", |_| {});
    world.edit("w", |_| {});
    world.delete("w");
    let mut again = workspace("w");
    again.metadata.uid = Uid("uid-second".to_owned());
    again.metadata.host_ports.insert(name("ssh"), 22_001);
    world.put(again);
    assert!(world.is_ready("w"));
    let view = world.view("w");
    assert_eq!((view.generation, view.observed_generation, view.uid.0.as_str()), (1, 1, "uid-second"));
}

#[test]
fn an_agent_that_just_started_takes_nothing_for_gone_before_earlier_calls_must_have_ended() {
    let mut world = Loop::just_started(|intent| {
        let mut deleted = workspace("w");
        deleted.metadata.deletion_timestamp = Some(deleted.metadata.created);
        intent.put(deleted);
    });
    assert_eq!(world.says("w", Type::Reconciling).0, "Settling");
    let took = world.until(|world| world.try_view("w").is_none());
    assert_eq!(took, DOUBT);
}

#[test]
fn a_creation_that_was_given_up_and_happens_all_the_same_leaves_nothing_behind() {
    let mut world = Loop::new();
    // The call never returns, and takes effect long after its deadline.
    let late = Fate { effect: Some(100 * SECOND), reply: Reply::Never };
    world.faults.on_call(move |action| (action.step() == "create").then(|| late.clone()));
    world.put(workspace("w"));
    world.advance(10 * SECOND);
    world.delete("w");
    world.until(|world| world.try_view("w").is_none());
    world.advance(60 * MINUTE);
    assert!(is_empty(&world), "the container came after everything else was gone");
    assert_eq!(world.faults.times("create").len(), 1);
}
