//! What fails is tried again, ever later, and given up with a reason and a hint; and taken up again.

use std::time::Duration;

use perry::model::condition::ConditionType as Type;
use perry::model::observed::ContainerState;
use perry::model::{Phase, Run};
use perry::queue::{BACKOFF_CEILING, BACKOFF_FLOOR};
use perry::runtime::RuntimeError;
use perry::store::Intent;

use crate::common::fixture::{desired_of, name, workspace};
use crate::common::harness::{Loop, MINUTE, SECOND};

fn no_space() -> RuntimeError {
    RuntimeError::Failed("no space left on device".to_owned())
}

/// A loop with a workspace that was given up because its start fails.
fn parked() -> Loop {
    let mut world = Loop::new();
    world.faults.fail("start", no_space());
    world.put(workspace("w"));
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(3 * MINUTE);
    world
}

#[test]
fn a_failure_is_shown_at_once_with_when_it_is_tried_again_and_as_an_error_from_the_second_on() {
    let mut world = Loop::new();
    world.faults.fail("start", no_space());
    world.put(workspace("w"));
    assert_eq!(world.view("w").status, Phase::Creating, "the first one may be an accident");
    let (reason, message) = world.says("w", Type::Reconciling);
    assert_eq!(reason, "BackOff");
    let id = world.container("w").expect("made");
    let tried = format!("try 1 failed: start container {id}: no space left on device; next try at ");
    assert!(message.starts_with(&tried), "{message}");
    let (reason, message) = world.says("w", Type::Ready);
    assert_eq!(reason, "ActionFailed");
    assert!(message.ends_with("; perry restart w tries again"), "{message}");
    world.until(|world| world.faults.times("start").len() == 2);
    assert_eq!(world.view("w").status, Phase::Error);
}

#[test]
fn tries_are_spaced_out_ever_more_and_given_up_after_eight() {
    let world = parked();
    let times = world.faults.times("start");
    assert_eq!(times.len(), 8);
    let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (n, wait) in (0..).zip(&waits) {
        let least = BACKOFF_FLOOR * 2_u32.pow(n);
        assert!((least..=2 * least).contains(wait) && *wait <= BACKOFF_CEILING, "wait {n}: {waits:?}");
    }
    assert_eq!(world.view("w").status, Phase::Error);
    let (reason, message) = world.says("w", Type::Stalled);
    assert_eq!(reason, "ActionFailed");
    assert!(message.contains("no space left on device") && message.contains("perry restart w"), "{message}");
    assert!(!world.is("w", Type::Reconciling));
}

#[test]
fn being_told_to_look_does_not_shorten_the_wait() {
    let mut world = parked();
    world.restart("w");
    let id = world.container("w").expect("made");
    let mut last = world.faults.times("start").len();
    while !world.is("w", Type::Stalled) {
        world.advance(BACKOFF_FLOOR / 5);
        world.meddle(|engine| engine.containers.get_mut(&id).expect("there").config.push('x'));
        assert!(world.faults.times("start").len() <= last + 1);
        last = world.faults.times("start").len();
    }
    let times = &world.faults.times("start")[8..];
    assert_eq!(times.len(), 8);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= BACKOFF_FLOOR), "{times:?}");
}

#[test]
fn what_was_given_up_is_left_alone_and_nothing_more_is_written() {
    let mut world = parked();
    let before = (world.faults.calls(), world.version(), world.events("w"));
    world.advance(60 * MINUTE);
    assert_eq!((world.faults.calls(), world.version(), world.events("w")), before);
}

#[test]
fn what_was_given_up_is_taken_up_again_by_a_restart_and_by_any_other_new_generation() {
    for edit in [|world: &mut Loop| world.restart("w"), |world: &mut Loop| world.edit("w", |_| {})] {
        let mut world = parked();
        world.faults.heal();
        edit(&mut world);
        assert!(world.is_ready("w") && !world.is("w", Type::Stalled));
        assert_eq!(world.events("w").last().map(String::as_str), Some("Ready"));
    }
}

#[test]
fn a_new_generation_begins_with_the_shortest_wait() {
    let mut world = parked();
    world.restart("w");
    let tries = world.faults.times("start").len();
    let took = world.until(|world| world.faults.times("start").len() > tries);
    assert!(took <= 2 * BACKOFF_FLOOR, "{took:?}");
}

#[test]
fn what_was_given_up_can_be_stopped_and_deleted() {
    let mut world = parked();
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    assert_eq!(world.view("w").status, Phase::Stopped);
    let mut world = parked();
    world.delete("w");
    world.until(|world| world.try_view("w").is_none());
}

#[test]
fn what_was_given_up_is_tried_again_when_what_is_seen_has_changed() {
    let mut world = parked();
    world.faults.heal();
    let id = world.container("w").expect("made");
    // A hint alone is none: the world must look different.
    world.meddle(|engine| {
        engine.containers.get_mut(&id).expect("there").isolation = perry::model::observed::Isolation::Sysbox
    });
    assert!(!world.is_ready("w"));
    world.meddle(|engine| engine.containers.clear());
    assert!(world.is_ready("w"));
}

#[test]
fn what_waits_for_its_next_try_is_tried_at_once_when_the_engine_was_away() {
    let mut world = Loop::new();
    world.faults.fail("start", no_space());
    world.put(workspace("w"));
    world.until(|world| world.faults.times("start").len() == 7);
    let id = world.container("w").expect("made");
    world.faults.heal();
    // A change is told, so that somebody looks.
    world.meddle(|engine| {
        engine.containers.get_mut(&id).expect("there").config.push('x');
        engine.up = false;
    });
    world.advance(SECOND);
    assert_eq!(world.view("w").status, Phase::Unknown);
    world.meddle(|engine| engine.up = true);
    assert!(world.is_ready("w"), "{:#?}", world.view("w"));
}

#[test]
fn what_was_given_up_is_tried_again_when_the_engine_was_away() {
    let mut world = parked();
    world.faults.heal();
    world.advance(10 * MINUTE);
    world.meddle(|engine| engine.up = false);
    world.advance(2 * MINUTE);
    assert_eq!(world.view("w").status, Phase::Unknown);
    world.meddle(|engine| engine.up = true);
    assert!(world.is_ready("w") && !world.is("w", Type::Stalled), "{:#?}", world.view("w"));
}

#[test]
fn each_time_it_is_given_up_it_stays_so() {
    let mut world = parked();
    world.meddle(|engine| engine.containers.clear());
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(3 * MINUTE);
    assert_eq!(world.faults.times("start").len(), 16, "eight more");
}

#[test]
fn what_was_given_up_put_right_by_somebody_and_broken_in_another_way_is_given_up_again_for_good() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.faults.fail("configure-worker", no_space());
    world.edit("w", |workspace| workspace.spec.ssh.authorized_keys = vec!["ssh-ed25519 K".to_owned()]);
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(3 * MINUTE);
    let hash = desired_of(&world.intent.get(&name("w")).expect("stored")).worker.hash;
    let id = world.container("w").expect("made");
    world.meddle(|engine| engine.containers.get_mut(&id).expect("there").config = hash);
    assert!(world.is_ready("w"));
    world.faults.fail("start", no_space());
    world.meddle(|engine| engine.exit(&id, 1));
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(20 * MINUTE);
    assert_eq!(world.faults.times("start").len(), 1 + 8);
}

#[test]
fn what_the_engine_refuses_as_it_stands_is_given_up_after_three() {
    let mut world = Loop::new();
    world.faults.fail("create", RuntimeError::Refused("invalid mount path".to_owned()));
    world.put(workspace("w"));
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(20 * MINUTE);
    assert_eq!(world.faults.times("create").len(), 3);
    assert_eq!(world.says("w", Type::Stalled).0, "Refused");
}

#[test]
fn an_engine_that_does_not_answer_is_never_given_up() {
    let mut world = Loop::new();
    world.faults.fail("start", RuntimeError::Unreachable("connection refused".to_owned()));
    world.put(workspace("w"));
    world.advance(60 * MINUTE);
    let tries = world.faults.times("start").len();
    assert!(tries > 25, "{tries}");
    let (_, message) = world.says("w", Type::Reconciling);
    assert!(message.starts_with(&format!("try {tries} failed: ")), "{message}");
    assert!(!world.is("w", Type::Stalled));
    assert_eq!(world.says("w", Type::Ready).0, "EngineUnreachable");
    world.faults.heal();
    let took = world.until(|world| world.is_ready("w"));
    assert!(took <= BACKOFF_CEILING, "{took:?}");
}

#[test]
fn an_engine_that_answers_again_is_not_kept_waiting_by_the_failures_of_when_it_did_not() {
    let mut world = Loop::new();
    world.faults.fail("start", RuntimeError::Unreachable("connection refused".to_owned()));
    world.put(workspace("w"));
    world.advance(30 * MINUTE);
    world.faults.heal();
    world.meddle(|engine| engine.up = false);
    world.meddle(|engine| engine.up = true);
    assert!(world.is_ready("w"), "by its hint, not by the back-off");
}

#[test]
fn looks_that_saw_no_engine_do_not_space_out_the_tries_after_it_came_back() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w").expect("made");
    world.meddle(|engine| engine.up = false);
    world.advance(30 * MINUTE);
    world.faults.fail("start", no_space());
    let before = world.faults.times("start").len();
    world.meddle(|engine| {
        engine.exit(&id, 1);
        engine.up = true;
    });
    world.until(|world| world.faults.times("start").len() == before + 2);
    let times = &world.faults.times("start")[before..];
    assert!(times[1] - times[0] <= 2 * BACKOFF_FLOOR, "the shortest wait first: {times:?}");
}

#[test]
fn while_the_engine_is_away_the_status_is_unknown_and_right_again_as_soon_as_it_is_back() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.meddle(|engine| engine.up = false);
    world.advance(2 * MINUTE);
    assert_eq!(world.view("w").status, Phase::Unknown);
    assert!(!world.is_ready("w"));
    world.advance(30 * MINUTE);
    world.meddle(|engine| engine.up = true);
    assert!(world.is_ready("w"), "by its hint, not by the back-off");
    assert_eq!(world.faults.times("start").len(), 1, "nothing was done to it");
}

#[test]
fn success_ends_the_counting() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w").expect("made");
    for _ in 0..5 {
        world.advance(MINUTE);
        let before = world.faults.times("start").len();
        world.faults.fail("start", no_space());
        world.meddle(|engine| engine.exit(&id, 1));
        world.until(|world| world.faults.times("start").len() == before + 4);
        let times = &world.faults.times("start")[before..];
        assert!(times[1] - times[0] <= 2 * BACKOFF_FLOOR, "the shortest wait first: {times:?}");
        world.faults.heal();
        world.until(|world| world.is_ready("w"));
    }
    assert!(!world.events("w").iter().any(|event| event.contains("Stalled")));
    assert!(!world.is("w", Type::Stalled), "four failures in a row at most, five times");
}

#[test]
fn actions_that_succeed_and_change_nothing_are_spaced_out_and_given_up() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.tamper.with(|_, observed| {
        if let perry::model::Seen::Present(worker) = &mut observed.worker {
            worker.config = "never right".to_owned();
        }
    });
    world.edit("w", |_| {});
    let told = |world: &Loop| world.faults.times("configure-worker").len();
    assert!(told(&world) <= 4, "{} at once", told(&world));
    assert_eq!(world.says("w", Type::Reconciling).0, "BackOff");
    world.until(|world| world.is("w", Type::Stalled));
    world.advance(30 * MINUTE);
    assert!(told(&world) <= 4 + 7, "{} in all", told(&world));
    let (reason, message) = world.says("w", Type::Stalled);
    assert_eq!(reason, "NoProgress");
    assert!(message.contains("configure the worker of container"), "{message}");
    world.tamper.stop();
    world.restart("w");
    assert!(world.is_ready("w"));
}

#[test]
fn what_somebody_else_blocks_is_stalled_with_the_way_out_and_goes_on_soon_after_it_is_free() {
    let mut world = Loop::new();
    world.meddle(|engine| engine.put_volume("workspace-w-home", None));
    world.put(workspace("w"));
    let (reason, message) = world.says("w", Type::Stalled);
    assert_eq!(reason, "VolumeTaken");
    assert!(message.contains("docker volume rm workspace-w-home"), "{message}");
    assert_eq!(world.view("w").status, Phase::Error);
    let before = world.version();
    world.advance(10 * MINUTE);
    assert_eq!(world.version(), before, "said once");
    world.meddle(|engine| engine.volumes.clear());
    let took = world.until(|world| world.is_ready("w"));
    assert!(took <= 10 * SECOND, "nobody tells of a stranger's volume: {took:?}");
    assert_eq!(world.view("w").name, name("w"));
}

#[test]
fn each_plan_that_gets_done_begins_the_count_anew() {
    let mut world = Loop::new();
    world.faults.fail("create", no_space());
    world.put(workspace("w"));
    world.until(|world| world.faults.times("create").len() == 6);
    world.faults.fail("start", no_space());
    world.until(|world| world.is("w", Type::Stalled));
    assert_eq!(world.faults.times("start").len(), 8, "not two");
}

#[test]
fn a_failure_is_forgotten_when_what_is_seen_is_another_matter() {
    let mut world = Loop::new();
    world.faults.fail("start", no_space());
    world.put(workspace("w"));
    world.until(|world| world.faults.times("start").len() == 3);
    world.meddle(|engine| engine.taken.insert(22_000));
    world.advance(10 * SECOND);
    assert_eq!(world.says("w", Type::Ready).0, "PortTaken", "blocked by somebody");
    world.meddle(|engine| engine.taken.clear());
    world.advance(10 * SECOND);
    assert_eq!(world.says("w", Type::Ready).0, "ActionFailed");
    let id = world.container("w").expect("made");
    world.meddle(|engine| engine.containers.get_mut(&id).expect("there").state = ContainerState::Running);
    assert_eq!(world.says("w", Type::Ready).0, "WorkerStarting", "started by somebody");
    assert_eq!(world.view("w").status, Phase::Creating);
}
