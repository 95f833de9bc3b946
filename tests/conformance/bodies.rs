//! The bodies: each tells one thing that the controller relies on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use perry::model::desired::{AdoptedContainer, Goal, Limits, VolumePlan};
use perry::model::observed::{ContainerState, Isolation, Seen};
use perry::model::{Action, DiskUsage, Uid};
use perry::runtime::{Hint, OrphanedContainer, RuntimeError};

use super::world::{EXIT_WITH, Subject, World, labels, remove, stop};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn changed(result: Result<(), RuntimeError>) {
    assert!(matches!(result, Err(RuntimeError::Changed(_))), "{result:?}");
}

fn refused(result: Result<(), RuntimeError>) {
    assert!(matches!(result, Err(RuntimeError::Refused(_))), "{result:?}");
}

pub(crate) async fn an_absent_workspace_is_absent_and_not_unknown(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let look = subject.look().await;
    assert_eq!(look.containers, Seen::Present(Vec::new()));
    assert_eq!(look.network, Seen::Absent);
    assert_eq!(look.worker, Seen::Absent);
    assert!(look.image.present().is_some(), "{:?}", look.image);
    assert!(look.volumes_complete);
    assert_eq!(look.volumes.len(), 2);
    assert!(look.volumes.values().all(|volume| *volume == Seen::Absent), "{:?}", look.volumes);
    assert!(look.ports_taken.is_empty());
}

pub(crate) async fn everything_is_unknown_while_the_engine_does_not_answer(world: &dyn World) {
    let (subject, down) = (Subject::new(world, "demo"), world.unreachable());
    let look = down.observe(&subject.desired).await;
    assert!(look.engine.is_unknown() && look.image.is_unknown() && look.network.is_unknown());
    assert!(look.containers.is_unknown() && look.worker.is_unknown());
    assert!(!look.volumes_complete);
    assert!(look.volumes.values().all(Seen::is_unknown), "{:?}", look.volumes);
    assert!(down.engine().await.is_unknown());
    let result = down.apply(&subject.create_network(), &|_| ()).await;
    assert!(matches!(result, Err(RuntimeError::Unreachable(_))), "{result:?}");
    let result = down.orphans(&BTreeSet::new()).await;
    assert!(matches!(result, Err(RuntimeError::Unreachable(_))), "{result:?}");
}

pub(crate) async fn the_engine_says_what_it_is(world: &dyn World) {
    let Seen::Present(engine) = world.runtime().engine().await else { panic!("an engine") };
    assert!(!engine.version.is_empty() && engine.api_version.starts_with("1."), "{engine:?}");
    assert!(!engine.runtimes.is_empty(), "{engine:?}");
    assert_eq!(Subject::new(world, "demo").look().await.engine, Seen::Present(engine));
}

pub(crate) async fn the_life_of_a_container_is_seen_step_by_step(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.created().await;
    let look = subject.look().await;
    let network = look.network.present().expect("a network").clone();
    let made = subject.container().await;
    assert_eq!(made.name, subject.desired.container.name);
    assert_eq!(made.owner.as_ref(), Some(&subject.desired.owner));
    assert_eq!(made.fingerprint.as_deref(), Some("f-1"));
    assert_eq!((made.state, made.started_at), (ContainerState::Created, None));
    assert_eq!(made.network.as_ref(), Some(&network), "one that was never started goes by the network's name");
    assert!(look.volumes.values().all(|volume| volume.present().is_some_and(|seen| seen.owner == made.owner)));

    subject.done(subject.start(&id)).await;
    let running = subject.container().await;
    assert_eq!((&running.id, &running.state), (&id, &ContainerState::Running));
    assert!(running.started_at.is_some());
    assert_eq!(running.network.as_ref(), Some(&network));

    subject.done(stop(&id)).await;
    let stopped = subject.container().await;
    assert_eq!(stopped.state, ContainerState::Exited { code: 0, oom: false, error: String::new() });
    assert_eq!(stopped.network.as_ref(), Some(&network), "a stopped one is still attached");

    subject.done(remove(&id)).await;
    assert!(subject.containers().await.is_empty());
    assert!(
        subject.look().await.volumes.values().all(|volume| volume.present().is_some()),
        "volumes outlive containers"
    );
}

pub(crate) async fn a_container_is_created_only_once(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.created().await;
    changed(subject.apply(subject.create_container()).await);
    assert_eq!(subject.container().await.id, id);
}

pub(crate) async fn volumes_and_network_are_created_as_often_as_one_likes(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    for _ in 0..2 {
        subject.done(subject.create_network()).await;
        subject.done(subject.create_volume(0)).await;
    }
    assert_eq!(world.networks(&subject.desired.container.network).await.len(), 1);
    let made = subject.created_at(0).await;
    subject.done(subject.create_volume(0)).await;
    assert_eq!(subject.created_at(0).await, made, "the same volume");
}

pub(crate) async fn starting_and_stopping_twice_is_no_error(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    subject.done(subject.start(&id)).await;
    for _ in 0..2 {
        subject.done(stop(&id)).await;
    }
}

pub(crate) async fn a_stopped_container_starts_again(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    let first = subject.container().await.started_at;
    subject.done(stop(&id)).await;
    subject.done(subject.start(&id)).await;
    let again = subject.container().await;
    assert_eq!(again.state, ContainerState::Running);
    assert!(again.started_at > first, "{:?} {first:?}", again.started_at);
}

pub(crate) async fn removing_a_running_container_is_refused(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    changed(subject.apply(remove(&id)).await);
    assert_eq!(subject.container().await.state, ContainerState::Running);
}

pub(crate) async fn removing_what_is_gone_is_no_error(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.created().await;
    subject.done(remove(&id)).await;
    subject.done(remove(&id)).await;
    let volume = Action::RemoveVolume {
        name: subject.desired.volumes[0].name.clone(),
        created_at: subject.created_at(0).await,
        owner: Some(subject.desired.owner.clone()),
    };
    subject.done(volume.clone()).await;
    subject.done(volume).await;
    assert_eq!(subject.look().await.volumes[&subject.desired.volumes[0].name], Seen::Absent);
}

pub(crate) async fn touching_a_container_that_is_gone_says_changed(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.created().await;
    world.remove_container(&id).await;
    changed(subject.apply(subject.install(&id)).await);
    changed(subject.apply(subject.start(&id)).await);
    changed(subject.apply(stop(&id)).await);
    changed(subject.apply(Action::UnpauseContainer { id: id.clone() }).await);
    let network = subject.desired.container.network.clone();
    changed(subject.apply(Action::ReattachNetwork { id, network }).await);
}

pub(crate) async fn a_container_does_not_start_with_what_another_agent_owns(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let mut other = subject.desired.owner.clone();
    other.uid = Uid("another".to_owned());
    subject.done(subject.create_network()).await;
    world.foreign_volume(&subject.desired.volumes[0].name, labels(&other)).await;
    changed(subject.apply(subject.create_volume(0)).await);
    subject.done(subject.create_volume(1)).await;
    changed(subject.apply(subject.create_container()).await);
    assert!(subject.containers().await.is_empty());
    let look = subject.look().await;
    let volume = look.volumes[&subject.desired.volumes[0].name].present().expect("the other's volume");
    assert_eq!(volume.owner.as_ref(), Some(&other));
}

pub(crate) async fn a_container_is_not_created_without_its_volumes(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    subject.done(subject.create_network()).await;
    subject.done(subject.create_volume(0)).await;
    changed(subject.apply(subject.create_container()).await);
    let look = subject.look().await;
    assert_eq!(look.volumes[&subject.desired.volumes[1].name], Seen::Absent, "and none is made on the way");
    assert_eq!(look.containers, Seen::Present(Vec::new()));
}

pub(crate) async fn a_container_is_not_created_without_its_image(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    subject.desired.container.image = format!("{}:none", world.unique("image"));
    subject.done(subject.create_network()).await;
    for at in 0..2 {
        subject.done(subject.create_volume(at)).await;
    }
    changed(subject.apply(subject.create_container()).await);
}

pub(crate) async fn another_volume_of_the_same_name_is_not_removed(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    subject.done(subject.create_volume(0)).await;
    let (name, made) = (subject.desired.volumes[0].name.clone(), subject.created_at(0).await);
    let owner = Some(subject.desired.owner.clone());
    let mut other = subject.desired.owner.clone();
    other.uid = Uid("another".to_owned());

    let earlier = Action::RemoveVolume {
        name: name.clone(),
        created_at: "2001-01-01T00:00:00Z".to_owned(),
        owner: owner.clone(),
    };
    changed(subject.apply(earlier).await);
    let others = Action::RemoveVolume { name: name.clone(), created_at: made.clone(), owner: Some(other) };
    changed(subject.apply(others).await);
    let nobodys = Action::RemoveVolume { name: name.clone(), created_at: made.clone(), owner: None };
    changed(subject.apply(nobodys).await);
    assert_eq!(subject.created_at(0).await, made);
    subject.done(Action::RemoveVolume { name, created_at: made, owner }).await;
}

pub(crate) async fn a_volume_in_use_is_not_removed(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    subject.created().await;
    let (name, made) = (subject.desired.volumes[0].name.clone(), subject.created_at(0).await);
    let owner = Some(subject.desired.owner.clone());
    changed(subject.apply(Action::RemoveVolume { name, created_at: made.clone(), owner }).await);
    assert_eq!(subject.created_at(0).await, made);
}

pub(crate) async fn another_agents_container_is_seen_only_where_it_occupies_the_name(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let mut other = subject.desired.owner.clone();
    other.agent = world.unique("agent");
    world.foreign_container(&world.unique("elsewhere"), labels(&other)).await;
    assert!(subject.containers().await.is_empty());
    let id = world.foreign_container(&subject.desired.container.name, labels(&other)).await;
    let seen = subject.container().await;
    assert_eq!((seen.id, seen.owner), (id, Some(other)));
}

pub(crate) async fn another_agents_container_is_not_touched(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let mut other = subject.desired.owner.clone();
    other.agent = world.unique("agent");
    let id = world.foreign_container(&subject.desired.container.name, labels(&other)).await;
    subject.look().await;
    for action in [
        subject.install(&id),
        subject.start(&id),
        stop(&id),
        remove(&id),
        Action::UnpauseContainer { id: id.clone() },
        Action::ReattachNetwork { id: id.clone(), network: subject.desired.container.network.clone() },
    ] {
        let name = action.to_string();
        let result = subject.apply(action).await;
        assert!(matches!(result, Err(RuntimeError::Refused(_))), "{name}: {result:?}");
    }
    let seen = subject.container().await;
    assert_eq!((seen.id, seen.state), (id, ContainerState::Created));
}

pub(crate) async fn a_strangers_container_in_the_way_is_seen_without_an_owner(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = world.foreign_container(&subject.desired.container.name, [].into()).await;
    let seen = subject.container().await;
    assert_eq!((&seen.id, seen.owner), (&id, None));
    refused(subject.apply(remove(&id)).await);
}

pub(crate) async fn an_adopted_container_is_seen_and_may_be_touched(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    let id = world.foreign_container(&world.unique("older"), [].into()).await;
    assert!(subject.containers().await.is_empty());
    subject.desired.adopted = Some(AdoptedContainer { id: id.clone(), replace: false, pending: false });
    let seen = subject.container().await;
    assert_eq!((&seen.id, seen.owner, seen.prepared), (&id, None, None));
    subject.done(subject.start(&id)).await;
    assert_eq!(subject.container().await.state, ContainerState::Running);
    world.kill(&id).await; // its PID 1 does not listen to a stop
    subject.done(remove(&id)).await;
    assert!(subject.containers().await.is_empty());
}

pub(crate) async fn a_container_of_the_uid_under_another_name_is_seen(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let by_uid = world.foreign_container(&world.unique("a"), labels(&subject.desired.owner)).await;
    let mut earlier = subject.desired.owner.clone();
    earlier.uid = Uid("an-earlier-incarnation".to_owned());
    let by_name = world.foreign_container(&world.unique("b"), labels(&earlier)).await;
    let seen: BTreeSet<String> = subject.containers().await.into_iter().map(|one| one.id).collect();
    assert_eq!(seen, BTreeSet::from([by_uid, by_name]));
}

pub(crate) async fn a_volume_outside_the_plan_is_seen(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    let extra = VolumePlan { name: world.unique("extra"), path: "/data".to_owned(), adopted: false };
    subject.desired.volumes.push(extra.clone());
    subject.done(subject.create_volume(2)).await;
    subject.desired.volumes.pop();
    let look = subject.look().await;
    let seen = look.volumes.get(&extra.name).and_then(Seen::present).expect("the extra volume");
    assert_eq!(seen.owner.as_ref(), Some(&subject.desired.owner));
}

pub(crate) async fn a_killed_container_shows_its_code(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    world.kill(&id).await;
    assert_eq!(subject.container().await.state, ContainerState::Exited { code: 137, oom: false, error: String::new() });
}

pub(crate) async fn an_exit_code_is_seen(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    subject.desired.container.env.insert(EXIT_WITH.to_owned(), "3".to_owned());
    subject.started().await;
    let ended = async {
        loop {
            match subject.container().await.state {
                ContainerState::Running => tokio::time::sleep(Duration::from_millis(5)).await,
                state => break state,
            }
        }
    };
    let state = tokio::time::timeout(PATIENCE, ended).await.expect("an end");
    assert_eq!(state, ContainerState::Exited { code: 3, oom: false, error: String::new() });
}

pub(crate) async fn a_paused_container_is_resumed_and_can_be_stopped(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    world.pause(&id).await;
    assert_eq!(subject.container().await.state, ContainerState::Paused);
    let resume = Action::UnpauseContainer { id: id.clone() };
    subject.done(resume.clone()).await;
    assert_eq!(subject.container().await.state, ContainerState::Running);
    subject.done(resume).await;
    world.pause(&id).await;
    subject.done(stop(&id)).await;
    assert!(matches!(subject.container().await.state, ContainerState::Exited { .. }));
}

pub(crate) async fn a_stopped_container_follows_its_network(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    subject.done(stop(&id)).await;
    let network = subject.desired.container.network.clone();
    let before = subject.container().await.network;
    world.remove_network(&network).await;
    let look = subject.look().await;
    assert_eq!(look.network, Seen::Absent);
    subject.done(subject.create_network()).await;
    let look = subject.look().await;
    let now = look.network.present().cloned();
    assert!(now.is_some() && now != before);
    assert_eq!(subject.container().await.network, before, "it remembers the one that is gone");
    for _ in 0..2 {
        subject.done(Action::ReattachNetwork { id: id.clone(), network: network.clone() }).await;
    }
    assert_eq!(subject.container().await.network, now);
    subject.done(subject.start(&id)).await;
    let running = subject.container().await;
    assert_eq!((running.state, running.network), (ContainerState::Running, now));
}

pub(crate) async fn a_start_without_the_network_fails_and_leaves_the_container(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.created().await;
    world.remove_network(&subject.desired.container.network).await;
    let result = subject.apply(subject.start(&id)).await;
    assert!(matches!(result, Err(RuntimeError::Changed(_) | RuntimeError::Failed(_))), "{result:?}");
    assert_ne!(subject.container().await.state, ContainerState::Running);
    subject.done(subject.create_network()).await;
    subject.done(subject.start(&id)).await;
    assert_eq!(subject.container().await.state, ContainerState::Running);
}

pub(crate) async fn what_was_put_in_is_remembered_for_this_container_only(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    subject.done(subject.create_network()).await;
    for at in 0..2 {
        subject.done(subject.create_volume(at)).await;
    }
    subject.done(subject.create_container()).await;
    let made = subject.container().await;
    assert_eq!(made.prepared, None);
    subject.done(subject.install(&made.id)).await;
    let prepared = subject.container().await.prepared.expect("prepared");
    assert!(!prepared.worker.is_empty());
    assert_eq!(prepared.restarted_at, None);

    let asked = "2026-01-02T03:04:05Z".parse().ok();
    subject.desired.restarted_at = asked;
    subject.done(subject.start(&made.id)).await;
    let started = subject.container().await.prepared.expect("prepared");
    assert_eq!((&started.worker, started.restarted_at), (&prepared.worker, asked));
    subject.done(stop(&made.id)).await;
    subject.done(subject.install(&made.id)).await;
    assert_eq!(subject.container().await.prepared, Some(started), "putting the worker in keeps the restart");

    subject.done(remove(&made.id)).await;
    subject.done(subject.create_container()).await;
    assert_eq!(subject.container().await.prepared, None, "a new container has nothing in it");
}

pub(crate) async fn isolation_follows_the_plan(world: &dyn World) {
    let (plain, mut inside) = (Subject::new(world, "plain"), Subject::new(world, "inside"));
    inside.desired.container.docker = true;
    plain.created().await;
    inside.created().await;
    assert_eq!(plain.container().await.isolation, Isolation::Unprivileged);
    let Seen::Present(engine) = world.runtime().engine().await else { panic!("an engine") };
    let safer = engine.runtimes.iter().any(|runtime| runtime == "sysbox-runc");
    let expected = if safer { Isolation::Sysbox } else { Isolation::Privileged };
    assert_eq!(inside.container().await.isolation, expected);
}

pub(crate) async fn limits_are_changed_in_the_container_that_is_there(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let id = subject.started().await;
    let made = subject.container().await;
    assert_eq!(made.limits, subject.desired.container.limits);
    let wider = Limits { cpu_millis: Some(1_000), memory: Some(256 << 20), pids: Some(200) };
    let tighter = Limits { cpu_millis: Some(250), memory: Some(48 << 20), pids: None };
    for limits in [wider, tighter, wider] {
        subject.done(Action::UpdateLimits { id: id.clone(), limits }).await;
        let seen = subject.container().await;
        assert_eq!((seen.limits, &seen.id, &seen.state), (limits, &id, &ContainerState::Running));
    }
    // What only a new container can lose stays.
    subject.done(Action::UpdateLimits { id: id.clone(), limits: Limits::default() }).await;
    assert_eq!(subject.container().await.limits, Limits { pids: None, ..wider });
    subject.done(stop(&id)).await;
    subject.done(Action::UpdateLimits { id: id.clone(), limits: tighter }).await;
    assert_eq!(subject.container().await.limits, tighter, "also while it is down");
    changed(subject.apply(Action::UpdateLimits { id: "0".repeat(64), limits: wider }).await);
}

pub(crate) async fn an_image_is_absent_until_it_is_brought(world: &dyn World) {
    let mut subject = Subject::new(world, "demo");
    let present = subject.desired.container.image.clone();
    assert!(subject.look().await.image.present().is_some());
    subject.done(Action::EnsureImage { image: present, build: None }).await;
    let before = subject.look().await.image;
    subject.done(Action::RefreshImage { image: subject.desired.container.image.clone() }).await;
    assert_eq!(subject.look().await.image, before, "it came from no registry");
    // A port of this machine where nobody answers stands for a registry: nothing leaves the machine.
    let nowhere = format!("127.0.0.1:{}/none:1", world.free_port());
    for image in [nowhere, "no image".to_owned(), "UPPER".to_owned()] {
        subject.desired.container.image.clone_from(&image);
        assert_eq!(subject.look().await.image, Seen::Absent, "{image}");
        let result = subject.apply(Action::EnsureImage { image: image.clone(), build: None }).await;
        assert!(matches!(result, Err(RuntimeError::Refused(_) | RuntimeError::Failed(_))), "{image}: {result:?}");
    }
    refused(subject.apply(Action::EnsureImage { image: "no image".to_owned(), build: None }).await);
}

pub(crate) async fn a_taken_port_is_seen_until_the_container_runs(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let port = subject.desired.container.ports[0].host_port;
    let id = subject.started().await;
    assert!(subject.look().await.ports_taken.is_empty(), "its own port is not taken by somebody else");
    subject.done(stop(&id)).await;
    assert!(subject.look().await.ports_taken.is_empty());
    world.listen(port).await;
    assert_eq!(subject.look().await.ports_taken, BTreeSet::from([port]));
    let result = subject.apply(subject.start(&id)).await;
    assert!(matches!(result, Err(RuntimeError::Failed(_))), "{result:?}");
    assert_ne!(subject.container().await.state, ContainerState::Running);
}

pub(crate) async fn disk_usage_names_what_is_there(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let usage = async || world.runtime().disk(&subject.desired).await.expect("counted");
    assert_eq!(usage().await, DiskUsage::default());
    subject.done(subject.create_volume(0)).await;
    let home = &subject.desired.volumes[0];
    let counted = usage().await;
    assert_eq!((counted.volumes.len(), counted.container), (1, None));
    assert_eq!((&counted.volumes[0].name, &counted.volumes[0].path), (&home.name, &home.path));
    assert!(counted.volumes[0].bytes.is_some(), "{counted:?}");
    subject.created().await;
    let counted = usage().await;
    assert_eq!(counted.volumes.len(), subject.desired.volumes.len());
    assert!(counted.container.is_some_and(|bytes| bytes < 1 << 20), "next to nothing: {counted:?}");
}

/// Reads hints until this one comes.
async fn hint(events: &mut (impl futures::Stream<Item = Hint> + Unpin), wanted: &Hint, after: &str) {
    let found = async {
        while let Some(hint) = events.next().await {
            if hint == *wanted {
                return;
            }
        }
        panic!("the events ended");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {wanted:?} after {after}"));
}

pub(crate) async fn events_name_the_workspace(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let mut events = world.runtime().events();
    hint(&mut events, &Hint::Everything, "connecting").await;
    let mine = Hint::Workspace(subject.desired.owner.name.clone());
    let id = subject.created().await;
    hint(&mut events, &mine, "create").await;
    subject.done(subject.start(&id)).await;
    hint(&mut events, &mine, "start").await;
    world.pause(&id).await;
    hint(&mut events, &mine, "pause").await;
    subject.done(Action::UnpauseContainer { id: id.clone() }).await;
    hint(&mut events, &mine, "unpause").await;
    world.kill(&id).await;
    hint(&mut events, &mine, "die").await;
    world.remove_container(&id).await;
    hint(&mut events, &mine, "destroy").await;
}

pub(crate) async fn events_of_volumes_and_networks_cause_a_look(world: &dyn World) {
    let subject = Subject::new(world, "demo");
    let mut events = world.runtime().events();
    hint(&mut events, &Hint::Everything, "connecting").await;
    subject.done(subject.create_network()).await;
    subject.done(subject.create_volume(0)).await;
    subject.look().await;
    world.remove_volume(&subject.desired.volumes[0].name).await;
    hint(&mut events, &Hint::Workspace(subject.desired.owner.name.clone()), "removing a volume").await;
    subject.done(subject.create_volume(0)).await;
    subject.look().await;
    world.remove_network(&subject.desired.container.network).await;
    hint(&mut events, &Hint::Everything, "removing the network").await;
}

pub(crate) async fn orphans_are_what_no_known_workspace_owns(world: &dyn World) {
    let (known, mut gone) = (Subject::new(world, "known"), Subject::new(world, "gone"));
    known.created().await;
    gone.created().await;
    gone.desired.goal = Goal::Gone;
    let uid = |subject: &Subject<'_>| subject.desired.owner.uid.clone();
    let orphans = world.runtime().orphans(&[uid(&known)].into()).await.expect("a look");
    let made = gone.container().await;
    let expected = OrphanedContainer { id: made.id.clone(), uid: Some(uid(&gone)) };
    assert_eq!(orphans.containers, [(gone.desired.container.name.clone(), expected)].into());
    let look = gone.look().await;
    let volumes = look.volumes.iter().map(|(name, seen)| (name.clone(), seen.present().expect("there").clone()));
    assert_eq!(orphans.volumes, volumes.collect());
    let orphans = world.runtime().orphans(&[uid(&known), uid(&gone)].into()).await.expect("a look");
    assert!(orphans.containers.is_empty() && orphans.volumes.is_empty(), "{orphans:?}");
}
