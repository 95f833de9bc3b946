//! The steps of a start: names, order, times.

use perry::model::Run;
use perry::model::view::{Step, StepState};
use perry::runtime::RuntimeError;
use perry::runtime::fake::Life;

use crate::common::fixture::workspace;
use crate::common::harness::{Loop, MINUTE, SECOND};

fn steps(world: &Loop) -> Vec<Step> {
    world.view("w").startup.as_ref().map(|startup| startup.steps.clone()).unwrap_or_default()
}

/// Name, state and seconds of each step.
fn short(world: &Loop) -> Vec<String> {
    let one = |step: Step| match step.duration_ms {
        Some(millis) => format!("{} {:?} {}", step.name, step.state, millis as f64 / 1_000.0),
        None => format!("{} {:?}", step.name, step.state),
    };
    steps(world).into_iter().map(one).collect()
}

fn slow_start(world: &Loop) {
    world.faults.on_start(|_| Some(Life { worker: SECOND, ssh: 2 * SECOND, docker: 4 * SECOND, exits: None }));
}

#[test]
fn every_step_of_a_first_start_is_shown_in_order_with_its_time() {
    let mut world = Loop::new();
    slow_start(&world);
    world.faults.slow("volumes", 3 * SECOND);
    world.put(workspace("w"));
    world.until(|world| world.is_ready("w"));
    let expected = [
        "network Done 0",
        "volumes Done 6",
        "image Done 0",
        "create Done 0",
        "install-worker Done 0",
        "start Done 0",
        "worker Done 1",
        "ssh Done 2",
        "docker Done 4",
    ];
    assert_eq!(short(&world), expected);
    let steps = steps(&world);
    assert!(steps.windows(2).all(|pair| pair[0].started_at <= pair[1].started_at));
    assert!(steps.iter().all(|step| step.message.is_none()));
}

#[test]
fn the_step_that_runs_shows_its_progress() {
    let mut world = Loop::new();
    world.faults.slow("image", 10 * SECOND);
    world.put(workspace("w"));
    world.advance(SECOND);
    let steps = steps(&world);
    let last = steps.last().expect("steps");
    assert_eq!((last.name.as_str(), last.state), ("image", StepState::Running));
    assert_eq!(last.message.as_deref(), Some("step 1 of 2"));
    world.until(|world| world.is_ready("w"));
    assert!(short(&world).contains(&"image Done 10".to_owned()));
}

#[test]
fn a_step_that_failed_says_why_and_the_next_try_takes_its_place() {
    let mut world = Loop::new();
    world.faults.fail("start", RuntimeError::Failed("no space".to_owned()));
    world.put(workspace("w"));
    let last = steps(&world).pop().expect("steps");
    assert_eq!((last.name.as_str(), last.state), ("start", StepState::Failed));
    assert_eq!(last.message.as_deref(), Some("no space"));
    world.faults.heal();
    world.until(|world| world.is_ready("w"));
    let names: Vec<String> = steps(&world).into_iter().map(|step| step.name).collect();
    let all = ["network", "volumes", "image", "create", "install-worker", "start", "worker", "ssh", "docker"];
    assert_eq!(names, all);
}

#[test]
fn the_next_start_begins_a_new_list() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    slow_start(&world);
    let expected = ["start Done 0", "worker Done 1", "ssh Done 2", "docker Done 4"];
    world.restart("w");
    world.until(|world| world.is_ready("w"));
    assert_eq!(short(&world), expected, "after a restart");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    assert_eq!(short(&world), expected, "while it is stopped");
    world.advance(MINUTE);
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Running));
    world.until(|world| world.is_ready("w"));
    assert_eq!(short(&world), expected, "after a stop");
    let id = world.container("w").expect("a container");
    world.advance(MINUTE);
    world.meddle(|engine| engine.exit(&id, 1));
    world.until(|world| world.is_ready("w"));
    assert_eq!(short(&world), expected, "after its end");
}

#[test]
fn a_start_that_was_broken_off_leaves_no_step_running() {
    let mut world = Loop::new();
    world.faults.slow("image", 20 * MINUTE);
    world.put(workspace("w"));
    world.advance(SECOND);
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    assert_eq!(short(&world), ["network Done 0", "volumes Done 0"]);
}

#[test]
fn what_the_image_has_not_or_nobody_wants_is_no_step() {
    let mut world = Loop::new();
    let mut plain = workspace("w");
    plain.spec.docker = false;
    world.put(plain);
    assert!(world.is_ready("w"));
    assert!(!short(&world).iter().any(|step| step.starts_with("docker")), "{:?}", short(&world));
}

#[test]
fn what_changes_a_workspace_that_has_started_is_no_step_of_its_start() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let before = short(&world);
    world.edit("w", |workspace| workspace.spec.ssh.authorized_keys = vec!["ssh-ed25519 K".to_owned()]);
    world.meddle(|engine| engine.networks.clear());
    assert!(world.is_ready("w") && world.faults.times("reattach-network").len() == 1);
    assert_eq!(short(&world), before);
}

#[test]
fn each_try_of_a_container_that_keeps_ending_is_measured_from_its_own_start() {
    let mut world = Loop::new();
    let mut lives = 3;
    world.faults.on_start(move |_| {
        lives -= 1;
        let exits = (lives > 0).then_some((2 * SECOND, 1));
        Some(Life { worker: SECOND, ssh: SECOND, docker: 3 * SECOND, exits })
    });
    world.put(workspace("w"));
    world.until(|world| world.is_ready("w"));
    let expected = ["start Done 0", "worker Done 1", "ssh Done 1", "docker Done 3"];
    assert_eq!(short(&world)[5..], expected);
}
