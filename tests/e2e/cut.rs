//! An engine that goes away and comes back. Between the machine's engine, which is everybody's, and the agent is a
//! socket of the test's own that is closed and opened again. Real restarts are in `restart.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perry::client::{Goal, Wait};
use perry::contract::types::NoInput;
use perry::model::{ConditionStatus, ConditionType, Phase};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::agent::{Agent, Options, is_ready, of};
use crate::door::Door;

async fn behind(socket: &Path) -> Agent {
    Agent::start_with(Options { docker_host: Some(format!("unix://{}", socket.display())), ..Options::default() }).await
}

#[tokio::test]
async fn while_the_engine_is_away_nothing_is_known_intent_is_taken_and_afterwards_all_converges() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("engine.sock");
    let door = Door::open(&socket);
    let agent = behind(&socket).await;
    let before = agent.ready("a", "").await;
    let stops = agent.ready("stops", "").await;
    agent.ready("goes", "").await;
    let started_at = agent.engine.started_at(before.container_id.as_deref().expect("a container")).await;

    drop(door);
    let view = agent.until("a", "unknown", |view| view.status == Phase::Unknown).await;
    let ready = view.condition(ConditionType::Ready).expect("judged");
    assert_eq!(ready.status, ConditionStatus::Unknown);
    assert!(ready.message.contains("engine.sock"), "{ready:?}");
    assert!(agent.ok(&["why", "a"]).await.contains("engine.sock"));
    assert!(agent.ok(&["agent", "info"]).await.contains("does not answer"));
    let info = agent.client().agent_info(&NoInput {}).await.expect("an answer");
    assert_eq!((info.docker, info.orphans), (None, None));
    agent.fails(6, &["wait", "a", "--timeout", "300ms"]).await;

    // Behind the agent's back, and through it.
    agent.engine.remove_container(stops.container_id.as_deref().expect("a container")).await;
    agent.apply("new", "").await;
    agent.client().stop_workspace(&of("stops")).await.expect("accepted");
    agent.client().delete_workspace(&of("goes")).await.expect("accepted");
    agent.until("new", "unknown", |view| view.status == Phase::Unknown).await;
    // Not what would end work once the engine is back.
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, agent.manifest("a", "env: { VERSION: v2 }")).expect("written");
    let told = agent.fails(4, &["apply", "-f", file.to_str().expect("text")]).await;
    assert!(told.contains("the engine does not answer") && told.contains("engine.sock"), "{told}");

    let _door = Door::open(&socket);
    agent.until("new", "ready", is_ready).await;
    let after = agent.until("a", "ready", is_ready).await;
    agent.until("stops", "stopped", |view| view.status == Phase::Stopped).await;
    agent.reach(Wait::new(crate::agent::parse("goes"), Goal::Deleted)).await;
    assert_eq!(after.container_id, before.container_id);
    assert_eq!(agent.engine.started_at(&after.container_id.clone().expect("a container")).await, started_at);
    let named = |names: &[&str]| names.iter().map(|name| format!("{}{name}", agent.prefix)).collect::<Vec<_>>();
    let objects = agent.engine.objects().await;
    assert_eq!(objects.containers, named(&["a", "new"]));
    assert_eq!(objects.volumes, named(&["a-home", "new-home", "stops-home"]));
}

#[tokio::test]
async fn an_agent_that_starts_without_an_engine_takes_intent_and_works_when_the_engine_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("engine.sock");
    let agent = behind(&socket).await;
    agent.apply("a", "").await;
    agent.until("a", "unknown", |view| view.status == Phase::Unknown).await;
    let _door = Door::open(&socket);
    agent.until("a", "ready", is_ready).await;
}

/// A connection that is cut in a call is an error after the effect, or before it: nobody knows.
#[tokio::test]
async fn connections_that_are_cut_in_the_work_leave_nothing_twice_and_nothing_behind() {
    let seed = std::env::var("PERRY_E2E_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    eprintln!("PERRY_E2E_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("engine.sock");
    let mut door = Some(Door::open(&socket));
    let agent = Arc::new(behind(&socket).await);
    let names = ["a", "b", "c", "d"];
    let mut cut = async |times: u32| {
        for _ in 0..times {
            tokio::time::sleep(Duration::from_millis(random.random_range(5..250))).await;
            drop(door.take());
            door = Some(Door::open(&socket));
        }
    };
    for name in names {
        agent.apply(name, "").await;
    }
    cut(8).await;
    for name in names {
        agent.until(name, "ready", is_ready).await;
    }
    assert_eq!(agent.engine.objects().await.containers.len(), names.len());
    for name in names {
        agent.client().delete_workspace(&of(name)).await.expect("accepted");
    }
    cut(4).await;
    for name in names {
        agent.reach(Wait::new(crate::agent::parse(name), Goal::Deleted)).await;
    }
    let left = agent.engine.objects().await;
    assert!(left.containers.is_empty() && left.volumes.is_empty(), "{left:?}");
}
