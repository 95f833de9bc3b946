//! Containers that end soon after their start.

use std::time::Duration;

use perry::model::condition::ConditionType as Type;

use crate::common::fixture::workspace;
use crate::common::harness::{Loop, MINUTE, SECOND};
use crate::common::script::ends_after;

fn crashing(after: Duration) -> Loop {
    let mut world = Loop::new();
    world.faults.on_start(move |_| Some(ends_after(after)));
    world.put(workspace("w"));
    world
}

#[test]
fn a_container_that_keeps_ending_soon_is_started_five_times_ever_later_and_then_given_up() {
    let mut world = crashing(Duration::from_millis(10));
    world.advance(10 * MINUTE);
    let times = world.faults.times("start");
    let gaps: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(gaps, [10, 250, 500, 1_000]);
    let (reason, message) = world.says("w", Type::Stalled);
    assert_eq!(reason, "CrashLoop");
    assert!(message.starts_with("the container ended 5 times soon after its start"), "{message}");
    assert!(message.contains("perry restart w"), "{message}");
    assert!(world.events("w").contains(&"CrashLoop".to_owned()));
}

#[test]
fn it_stays_given_up_and_nothing_more_is_written() {
    let mut world = crashing(SECOND);
    world.advance(10 * MINUTE);
    let before = (world.faults.calls(), world.version());
    world.advance(60 * MINUTE);
    assert_eq!((world.faults.calls(), world.version()), before);
}

#[test]
fn a_restart_tries_again_and_counts_anew() {
    let mut world = crashing(SECOND);
    world.advance(10 * MINUTE);
    world.restart("w");
    world.advance(10 * MINUTE);
    assert_eq!(world.faults.times("start").len(), 10);
    world.faults.heal();
    world.restart("w");
    world.advance(SECOND);
    assert!(world.is_ready("w"));
}

#[test]
fn a_container_that_ends_with_its_engine_again_and_again_is_started_again_and_again() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w").expect("made");
    for _ in 0..8 {
        world.meddle(|engine| {
            engine.exit(&id, 143);
            engine.up = false;
        });
        world.advance(SECOND);
        world.meddle(|engine| engine.up = true);
        world.advance(SECOND);
        assert!(world.is_ready("w"), "{:#?}", world.view("w"));
    }
}

#[test]
fn a_container_that_lives_longer_is_started_for_ever() {
    let mut world = crashing(31 * SECOND);
    world.advance(60 * MINUTE);
    assert!(world.faults.times("start").len() > 100);
    assert!(!world.is("w", Type::Stalled));
}

#[test]
fn a_first_death_is_put_right_at_once() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w").expect("a container");
    world.meddle(|engine| engine.exit(&id, 137));
    assert!(world.is_ready("w"));
}

#[test]
fn stopping_and_starting_by_hand_is_no_crash_loop() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    for _ in 0..20 {
        world.restart("w");
        world.advance(SECOND);
        assert!(world.is_ready("w"));
    }
}

#[test]
fn a_container_made_anew_by_an_outsiders_doing_is_tried_anew_at_once() {
    let mut world = crashing(Duration::from_millis(10));
    world.until(|world| world.is("w", Type::Stalled));
    world.faults.heal();
    world.meddle(|engine| engine.containers.clear());
    assert!(world.is_ready("w"));
}
