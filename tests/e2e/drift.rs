//! People who meddle with the engine behind the agent's back.

use std::time::{Duration, Instant};

use bollard::models::NetworkDisconnectRequest;
use perry::client::{Goal, Wait};
use perry::model::{ConditionStatus, ConditionType, Phase, Shown, View};

use crate::agent::{Agent, is_ready, of, parse};

/// A change on the engine is with a watcher within half a second as a rule, which `make bench` measures; here other
/// tests load the machine.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

const WRITE: [&str; 6] = ["exec", "a", "--", "sh", "-c", "echo kept > /home/workspace/note"];
const READ: [&str; 6] = ["exec", "a", "--", "sh", "-c", "read -r note < /home/workspace/note; echo $note"];

fn id(view: &View) -> String {
    view.container_id.clone().expect("a container")
}

async fn stopped(agent: &Agent) -> std::sync::Arc<Shown> {
    let view = agent.client().stop_workspace(&of("a")).await.expect("accepted");
    agent.reach(Wait::since(&view, Goal::Stopped)).await.expect("a workspace")
}

async fn started(agent: &Agent) -> std::sync::Arc<Shown> {
    let view = agent.client().start_workspace(&perry::contract::types::StartInput::of(parse("a"))).await;
    agent.reach(Wait::since(&view.expect("accepted"), Goal::Ready)).await.expect("a workspace")
}

#[tokio::test]
async fn a_container_that_is_killed_is_seen_at_once_and_started_again() {
    let agent = Agent::start().await;
    let before = agent.ready("a", "").await;
    agent.ok(&WRITE).await;
    let mut seen = agent.watch("a").await;
    seen.until(&agent, "ready", is_ready).await;
    agent.engine.client().kill_container(&id(&before), None).await.expect("killed");
    let began = Instant::now();
    seen.until(&agent, "not ready", |view| !is_ready(view)).await;
    let took = began.elapsed();
    eprintln!("a kill was seen after {took:?}");
    assert!(took < SEEN_WITHIN, "{took:?}");
    let after = seen.until(&agent, "ready again", is_ready).await;
    assert_eq!(id(&after), id(&before), "the same container");
    assert_eq!(agent.ok(&READ).await, "kept\n");
}

#[tokio::test]
async fn a_container_that_is_removed_is_made_again_with_the_same_home() {
    let agent = Agent::start().await;
    let before = agent.ready("a", "").await;
    agent.ok(&WRITE).await;
    let mut seen = agent.watch("a").await;
    agent.engine.remove_container(&id(&before)).await;
    let after = seen.until(&agent, "another", |view| is_ready(view) && view.container_id != before.container_id).await;
    assert_eq!((after.uid.clone(), after.generation), (before.uid.clone(), before.generation));
    assert_eq!(agent.ok(&READ).await, "kept\n");
    assert_eq!(agent.engine.objects().await.containers.len(), 1);
}

#[tokio::test]
async fn a_container_that_is_paused_goes_on() {
    let agent = Agent::start().await;
    let before = agent.ready("a", "").await;
    let started_at = agent.engine.started_at(&id(&before)).await;
    let mut seen = agent.watch("a").await;
    agent.engine.client().pause_container(&id(&before)).await.expect("paused");
    seen.until(&agent, "not ready", |view| !is_ready(view)).await;
    seen.until(&agent, "ready again", is_ready).await;
    assert_eq!(agent.engine.started_at(&id(&before)).await, started_at, "without a restart");
}

#[tokio::test]
async fn a_volume_that_is_removed_while_nobody_uses_it_is_made_again() {
    let agent = Agent::start().await;
    agent.ready("a", "volumes: [ { name: cache, path: /cache } ]").await;
    let down = stopped(&agent).await;
    // An engine removes no volume that a container has, stopped or not.
    agent.engine.remove_container(&id(&down)).await;
    let volume = format!("{}a.cache", agent.prefix);
    agent.engine.remove_volume(&volume).await;
    agent.until("a", "still stopped", |view| view.status == Phase::Stopped && view.container_id.is_none()).await;
    started(&agent).await;
    let objects = agent.engine.objects().await;
    assert_eq!(objects.volumes, [format!("{}a-home", agent.prefix), volume]);
    agent.ok(&["exec", "a", "--", "sh", "-c", "echo x > /cache/x"]).await;
}

#[tokio::test]
async fn a_network_that_is_removed_is_made_again_for_a_stopped_workspace_and_for_a_running_one() {
    let agent = Agent::start().await;
    let before = agent.ready("a", "").await;
    stopped(&agent).await;
    let network = async || agent.engine.networks().await.pop().and_then(|one| one.id).expect("a network");
    let first = network().await;
    agent.engine.client().remove_network(&first).await.expect("removed");
    let after = started(&agent).await;
    assert_eq!(id(&after), id(&before), "the same container");
    let second = network().await;
    assert_ne!(first, second);

    let started_at = agent.engine.started_at(&id(&before)).await;
    let request = NetworkDisconnectRequest { container: id(&before), force: Some(true) };
    agent.engine.client().disconnect_network(&second, request).await.expect("taken off");
    // The agent may be quicker than the meddler, who then finds the network in use.
    let removed = agent.engine.client().remove_network(&second).await.is_ok();
    let attached = async || {
        let found = agent.engine.inspect(&id(&before)).await;
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        networks.into_values().filter_map(|endpoint| endpoint.network_id).find(|id| !id.is_empty())
    };
    let began = Instant::now();
    while attached().await.is_none_or(|id| removed && id == second) {
        assert!(began.elapsed() < crate::PATIENCE, "never attached again\n{}", agent.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    agent.until("a", "ready", is_ready).await;
    assert_eq!(agent.engine.started_at(&id(&before)).await, started_at, "without a restart");
    assert_eq!(agent.engine.networks().await.len(), 1);
}

#[tokio::test]
async fn a_volume_of_somebody_elses_in_the_way_blocks_and_is_not_touched_and_a_restart_is_the_next_try() {
    let agent = Agent::start().await;
    let name = format!("{}a-home", agent.prefix);
    let label = format!("dev.perry.e2e={}", agent.prefix);
    let strangers = crate::engine::Engine::labelled(label.clone());
    strangers.make_volume(&name).await;
    agent.apply("a", "").await;
    let view = agent.until("a", "stalled", |view| view.is_true(ConditionType::Stalled)).await;
    assert_eq!(view.condition(ConditionType::Stalled).expect("judged").reason, "VolumeTaken");
    assert!(agent.fails(1, &["wait", "a"]).await.contains(&format!("docker volume rm {name}")));
    assert!(agent.ok(&["why", "a"]).await.contains(&name));
    assert_eq!(agent.engine.objects().await.containers.len(), 0);
    strangers.remove_volume(&name).await;
    agent.ok(&["restart", "a", "--wait"]).await;
    let ready = agent.until("a", "ready", is_ready).await;
    assert_eq!(ready.condition(ConditionType::Stalled).expect("judged").status, ConditionStatus::False);
    assert_eq!(agent.engine.objects().await.volumes, [name]);
}
