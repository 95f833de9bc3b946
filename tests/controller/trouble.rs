//! Calls and looks that never end, passes that panic, workspaces that never get ready.

use perry::model::Phase;
use perry::model::condition::ConditionType as Type;
use perry::model::observed::{Seen, Service};
use perry::runtime::fake::{Fate, Life, Reply, Sight};

use crate::common::fixture::workspace;
use crate::common::harness::{Loop, MINUTE, SECOND};

#[test]
fn a_call_that_never_returns_is_given_up_at_its_deadline_and_the_next_look_decides() {
    for happens in [false, true] {
        let mut world = Loop::new();
        let fate = Fate { effect: happens.then_some(SECOND), reply: Reply::Never };
        let mut first = true;
        world
            .faults
            .on_call(move |action| (action.step() == "create" && std::mem::take(&mut first)).then(|| fate.clone()));
        world.put(workspace("w"));
        let took = world.until(|world| world.is_ready("w"));
        assert!(took >= MINUTE && took <= MINUTE + SECOND, "{took:?}");
        assert_eq!(world.faults.times("create").len(), if happens { 1 } else { 2 });
        assert!(world.events("w").contains(&"Timeout".to_owned()));
        assert_eq!(world.world.with(|engine| engine.containers.len()), 1);
    }
}

#[test]
fn a_look_that_never_ends_is_given_up_and_counts_as_unknown() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.faults.on_look(|_| Some(Sight::Never));
    world.edit("w", |_| {});
    world.advance(31 * SECOND);
    assert_eq!(world.view("w").status, Phase::Unknown);
    assert_eq!(world.says("w", Type::Ready).1, "the engine did not answer in time");
    world.faults.heal();
    world.until(|world| world.is_ready("w"));
    assert_eq!(world.faults.times("start").len(), 1, "nothing was done on it");
}

#[test]
fn a_panic_is_an_event_a_failure_and_a_back_off_and_the_loop_lives_on() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.put(crate::common::fixture::numbered(1));
    world.tamper.with(|desired, _| assert!(desired.owner.name.as_str() != "w", "on purpose"));
    world.edit("w", |_| {});
    assert_eq!(world.says("w", Type::Ready).0, "Panic");
    assert!(!world.is_ready("w"), "what it was before is not claimed any more");
    world.edit("w1", |workspace| workspace.spec.docker = false);
    assert!(world.is_ready("w1"));
    world.advance(10 * MINUTE);
    let panics = world.events("w").into_iter().find(|event| event.starts_with("Panic"));
    assert!(panics.as_deref().is_some_and(|panics| panics != "Panic x1000"), "{panics:?}");
    world.tamper.stop();
    world.until(|world| world.is_ready("w"));
}

#[test]
fn a_panic_in_an_action_is_the_same() {
    let mut world = Loop::new();
    let mut panics = 2;
    world.faults.on_call(move |action| {
        assert!(
            action.step() != "create" || panics == 0 || {
                panics -= 1;
                false
            },
            "on purpose"
        );
        None
    });
    world.put(workspace("w"));
    assert_eq!(world.says("w", Type::Ready).0, "Panic");
    world.until(|world| world.is_ready("w"));
    assert!(world.events("w").contains(&"Panic x2".to_owned()), "{:?}", world.events("w"));
}

#[test]
fn what_waits_too_long_for_itself_is_stalled_and_recovers_by_itself() {
    let mut world = Loop::new();
    let slow = Life { worker: SECOND, ssh: 2 * SECOND, docker: 10 * MINUTE, exits: None };
    world.faults.on_start(move |_| Some(slow.clone()));
    world.put(workspace("w"));
    world.advance(119 * SECOND);
    assert!(!world.is("w", Type::Stalled));
    assert_eq!(world.view("w").status, Phase::Creating);
    world.advance(3 * SECOND);
    assert_eq!(world.says("w", Type::Stalled), ("DockerStarting".to_owned(), "dockerd does not answer yet".to_owned()));
    assert_eq!(world.view("w").status, Phase::Error);
    let version = world.version();
    world.advance(5 * MINUTE);
    assert_eq!(world.version(), version, "said once");
    world.until(|world| world.is_ready("w"));
    assert_eq!((world.view("w").status, world.faults.times("start").len()), (Phase::Running, 1));
}

#[test]
fn a_new_generation_that_has_to_wait_is_given_its_own_time() {
    let mut world = Loop::new();
    let slow = Life { worker: SECOND, ssh: 2 * SECOND, docker: 10 * MINUTE, exits: None };
    world.faults.on_start(move |_| Some(slow.clone()));
    world.put(workspace("w"));
    world.advance(110 * SECOND);
    world.edit("w", |workspace| workspace.spec.tools = vec!["claude".to_owned()]);
    world.advance(110 * SECOND);
    assert!(!world.is("w", Type::Stalled));
    world.advance(20 * SECOND);
    assert!(world.is("w", Type::Stalled));
}

#[test]
fn a_worker_that_ends_later_makes_it_not_ready_and_that_is_measured_anew() {
    let mut world = Loop::new();
    let life = Life { worker: SECOND, ssh: 30 * SECOND, docker: 30 * SECOND, exits: None };
    world.faults.on_start(move |_| Some(life.clone()));
    world.put(workspace("w"));
    world.advance(60 * MINUTE);
    world.tamper.with(|_, observed| {
        if let Seen::Present(worker) = &mut observed.worker {
            worker.ssh = Service::Failed { message: "port in use".to_owned() };
        }
    });
    world.advance(2 * MINUTE - SECOND);
    assert_eq!(world.says("w", Type::Ready).0, "SshFailed");
    assert!(!world.is("w", Type::Stalled), "its two minutes begin when it was seen");
    world.advance(2 * MINUTE);
    assert!(world.is("w", Type::Stalled));
    world.tamper.stop();
    world.advance(3 * SECOND);
    assert!(world.is_ready("w"));
}
