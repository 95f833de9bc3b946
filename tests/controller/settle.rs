//! What goes well.

use futures::FutureExt;
use perry::clock::Clock as _;
use perry::model::condition::ConditionType as Type;
use perry::model::observed::ContainerState;
use perry::model::{Phase, Run};
use perry::runtime::fake::Life;
use perry::watch::FrameKind;

use crate::common::fixture::{numbered, workspace};
use crate::common::harness::{Loop, MINUTE, SECOND};

#[test]
fn an_upgrade_pulls_once_and_makes_the_container_anew() {
    let mut world = Loop::new();
    world.meddle(|engine| engine.registry.insert("debian:trixie".to_owned()));
    let mut pulled = workspace("w");
    pulled.spec.image = Some("debian:trixie".to_owned());
    world.put(pulled);
    let before = (world.container("w"), world.meddle(|engine| engine.images["debian:trixie"].clone()));
    let now = world.clock.wall();
    world.edit("w", |workspace| workspace.metadata.upgraded_at = Some(now));
    let after = (world.container("w"), world.meddle(|engine| engine.images["debian:trixie"].clone()));
    assert!(world.is_ready("w"), "{:#?}", world.view("w"));
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    world.advance(10 * MINUTE);
    assert_eq!(world.meddle(|engine| engine.images["debian:trixie"].clone()), after.1, "and no more");
}

#[test]
fn a_new_workspace_is_brought_up_until_it_is_ready_and_says_what_was_done() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let view = world.view("w");
    assert!(world.is_ready("w"), "{view:#?}");
    assert_eq!((view.status, view.observed_generation), (Phase::Running, 1));
    assert_eq!(view.container_id, world.container("w"));
    let events = [
        "NetworkCreated",
        "VolumeCreated",
        "VolumeCreated",
        "ImageReady",
        "Created",
        "WorkerInstalled",
        "Started",
        "Ready",
    ];
    assert_eq!(world.events("w"), events);
}

#[test]
fn a_watcher_is_shown_the_way_and_the_version_never_goes_back() {
    let mut world = Loop::new();
    let mut watcher = world.hub.subscribe(None);
    world.put(workspace("w"));
    world.delete("w");
    let mut phases = Vec::new();
    let mut kinds = Vec::new();
    while let Some(Ok(frame)) = watcher.next().now_or_never() {
        if let Some(view) = &frame.object {
            phases.push(view.status);
            kinds.push(frame.kind);
            assert!(view.observed_generation <= view.generation, "S5");
        }
    }
    phases.dedup();
    kinds.dedup();
    assert_eq!(phases, [Phase::Unknown, Phase::Creating, Phase::Running, Phase::Deleting]);
    assert_eq!(kinds, [FrameKind::Added, FrameKind::Modified, FrameKind::Deleted]);
}

#[test]
fn a_settled_workspace_is_looked_at_now_and_then_and_nothing_is_said_or_done() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let before = (world.version(), world.faults.calls(), world.events("w"), world.faults.looks());
    let seen = world.view("w").observed_at;
    world.advance(10 * MINUTE);
    let looks = world.faults.looks() - before.3;
    assert!((8..=13).contains(&looks), "{looks} looks in ten minutes, about one in 48 to 72 s");
    assert_eq!((world.version(), world.faults.calls(), world.events("w")), (before.0, before.1, before.2));
    assert!(world.view("w").observed_at > seen, "who lists is told how fresh it is");
}

#[test]
fn stop_keeps_everything_and_start_takes_it_up_again() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    assert_eq!(world.view("w").status, Phase::Stopped);
    assert_eq!(world.container("w"), id);
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Running));
    assert!(world.is_ready("w"));
    assert_eq!(world.container("w"), id);
}

#[test]
fn a_restart_is_answered_once() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.advance(MINUTE);
    let (stops, starts) = (world.faults.times("stop").len(), world.faults.times("start").len());
    world.restart("w");
    world.advance(10 * MINUTE);
    assert!(world.is_ready("w"));
    assert_eq!((world.faults.times("stop").len(), world.faults.times("start").len()), (stops + 1, starts + 1));
}

#[test]
fn a_changed_spec_replaces_the_container_and_keeps_the_volumes() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let (id, volumes) = (world.container("w"), world.world.with(|engine| engine.volumes.clone()));
    world.edit("w", |workspace| workspace.spec.docker = false);
    assert!(world.is_ready("w"));
    assert_ne!(world.container("w"), id);
    assert_eq!(world.world.with(|engine| engine.volumes.clone()), volumes);
}

#[test]
fn changed_keys_reach_the_worker_and_disturb_nothing() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let id = world.container("w");
    world.edit("w", |workspace| workspace.spec.ssh.authorized_keys = vec!["ssh-ed25519 K".to_owned()]);
    assert!(world.is_ready("w"));
    assert_eq!((world.container("w"), world.faults.times("start").len()), (id, 1));
    assert_eq!(world.faults.times("configure-worker").len(), 1);
}

#[test]
fn what_outsiders_do_is_seen_by_a_hint_and_put_right_at_once() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.advance(MINUTE);
    let id = world.container("w").expect("a container");
    world.meddle(|engine| engine.exit(&id, 137));
    assert!(world.is_ready("w"), "killed");
    world.meddle(|engine| engine.containers.get_mut(&id).expect("there").state = ContainerState::Paused);
    assert!(world.is_ready("w"), "paused");
    world.meddle(|engine| engine.networks.clear());
    assert!(world.is_ready("w"), "network removed");
    world.advance(MINUTE);
    world.meddle(|engine| engine.containers.clear());
    assert!(world.is_ready("w"), "removed");
    world.advance(MINUTE);
    world.meddle(|engine| {
        engine.containers.clear();
        engine.volumes.clear();
        engine.images.clear();
    });
    assert!(world.is_ready("w"), "all of it");
}

#[test]
fn without_any_hint_a_resync_sees_it_all_the_same() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.advance(MINUTE);
    world.faults.drop_hints();
    let id = world.container("w").expect("a container");
    world.meddle(|engine| engine.exit(&id, 137));
    let before = world.faults.times("start").len();
    let took = world.until(|world| world.faults.times("start").len() > before);
    assert!(took <= 72 * SECOND, "{took:?}");
    assert!(world.is_ready("w"));
}

#[test]
fn stop_and_delete_are_taken_while_it_is_being_created() {
    for delete in [false, true] {
        let mut world = Loop::new();
        world.faults.slow("create", 20 * SECOND);
        world.put(workspace("w"));
        world.advance(SECOND);
        assert_eq!(world.view("w").status, Phase::Creating);
        if delete {
            world.delete("w");
            world.until(|world| world.try_view("w").is_none());
            assert!(world.world.with(|engine| engine.containers.is_empty() && engine.volumes.is_empty()));
        } else {
            world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
            world.until(|world| world.view("w").status == Phase::Stopped && !world.is("w", Type::Reconciling));
            assert_eq!(world.faults.times("start").len(), 0);
        }
    }
}

#[test]
fn an_agent_that_starts_finds_everything_as_it_is_and_restarts_nothing() {
    let mut world = Loop::new();
    world.put(numbered(1));
    world.put(numbered(2));
    let engine = world.world.with(Clone::clone);
    let stored = [numbered(1), numbered(2)];
    let mut again = Loop::just_started_on(&engine, |intent| stored.into_iter().for_each(|one| intent.put(one)));
    again.advance(10 * MINUTE);
    assert!(again.is_ready("w1") && again.is_ready("w2"));
    assert_eq!(again.faults.calls(), 0);
    assert_eq!(again.world.with(Clone::clone), engine);
}

#[test]
fn servers_that_come_up_late_are_waited_for_and_ready_follows_their_hint() {
    let mut world = Loop::new();
    world.faults.on_start(|_| Some(Life { worker: SECOND, ssh: 2 * SECOND, docker: 9 * SECOND, exits: None }));
    world.put(workspace("w"));
    assert_eq!(world.says("w", Type::Ready).0, "WorkerStarting");
    world.advance(SECOND);
    assert_eq!(world.says("w", Type::Ready).0, "SshStarting");
    world.advance(SECOND);
    assert_eq!(world.says("w", Type::Ready).0, "DockerStarting");
    let took = world.until(|world| world.is_ready("w"));
    assert_eq!(took, 7 * SECOND, "with the hint, not with the next poll");
}

#[test]
fn after_a_shutdown_the_loop_ends_and_breaks_off_what_it_can() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.faults.slow("image", 30 * MINUTE);
    world.edit("w", |workspace| workspace.spec.image = Some("debian".to_owned()));
    assert_eq!(world.faults.times("image").len(), 2, "it is being fetched");
    world.controller.shutdown();
    world.settle();
    assert!(world.has_ended());
}
