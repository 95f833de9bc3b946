//! SIGKILL at random moments. `PERRY_E2E_SEED` replays the moments of a run; what the engine does in them it cannot.

use std::time::{Duration, Instant};

use perry::client::{Goal, Wait};
use perry::contract::Code;
use perry::contract::types::{ApplyInput, NoInput};
use perry::model::Phase;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::agent::{Agent, is_ready, of, parse};
use crate::engine::Objects;

/// Histories of each kind. In each the agent is killed twice: in the work, and in what it does after it came back.
const HISTORIES: u32 = 10;

fn seeded() -> StdRng {
    let seed = std::env::var("PERRY_E2E_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    // Shown when the test fails.
    eprintln!("PERRY_E2E_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A moment in the given part of a duration.
fn moment(random: &mut StdRng, part: u32, whole: Duration) -> Duration {
    whole.mul_f64((f64::from(part) + random.random::<f64>()) / f64::from(HISTORIES))
}

/// The moments of all histories: each part of the duration gets one, in the work and after it.
fn moments(random: &mut StdRng, whole: Duration) -> Vec<[Duration; 2]> {
    (0..HISTORIES)
        .map(|part| [moment(random, part, whole), moment(random, HISTORIES - 1 - part, whole)])
        .inspect(|moments| eprintln!("killed after {moments:?} of {whole:?}"))
        .collect()
}

/// Kills the agent twice while it works, and lets it come back.
async fn killed_twice(agent: &mut Agent, work: impl Future, moments: [Duration; 2]) {
    // The call may be cut as well.
    let _ = tokio::time::timeout(moments[0], async {
        work.await;
        std::future::pending::<()>().await;
    })
    .await;
    agent.sigkill().await;
    agent.resume().await;
    tokio::time::sleep(moments[1]).await;
    agent.sigkill().await;
    agent.resume().await;
}

/// What one workspace is made of.
fn one(agent: &Agent) -> Objects {
    Objects { containers: vec![format!("{}a", agent.prefix)], volumes: vec![format!("{}a-home", agent.prefix)] }
}

async fn has(agent: &Agent, name: &str) -> bool {
    match agent.client().get_workspace(&of(name)).await {
        Err(error) if error.is(Code::NotFound) => false,
        found => found.is_ok_and(|view| view.name == parse(name)),
    }
}

async fn no_orphan(agent: &Agent) {
    let info = agent.client().agent_info(&NoInput {}).await.expect("an answer");
    assert_eq!((info.orphans, info.docker_error), (Some(0), None));
}

#[tokio::test]
async fn an_agent_that_is_killed_in_a_create_comes_back_and_ends_with_one_ready_container() {
    let mut random = seeded();
    let measured = Agent::start().await;
    let began = Instant::now();
    measured.ready("a", "").await;
    let whole = began.elapsed();
    drop(measured);

    let mut agents = Vec::new();
    for moments in moments(&mut random, whole) {
        let mut agent = Agent::start().await;
        let (client, manifest) = (agent.client().clone(), agent.manifest("a", ""));
        let input = ApplyInput { manifest: Some(manifest), ..ApplyInput::default() };
        killed_twice(&mut agent, async move { client.apply_workspaces(&input).await }, moments).await;
        agents.push(agent);
    }
    for agent in &agents {
        // A person whose call was cut before it was stored makes it again. Where it was, nobody needs to.
        if !has(agent, "a").await {
            agent.apply("a", "").await;
        }
        agent.until("a", "ready", is_ready).await;
        assert_eq!(agent.engine.objects().await, one(agent));
        no_orphan(agent).await;
        assert_eq!(agent.ok(&["exec", "a", "--", "sh", "-c", "echo works"]).await, "works\n");
    }
    for agent in &agents {
        agent.client().delete_workspace(&of("a")).await.expect("accepted");
    }
    for agent in &agents {
        agent.reach(Wait::new(parse("a"), Goal::Deleted)).await;
        assert_eq!(agent.engine.objects().await, Objects { containers: vec![], volumes: vec![] });
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_in_a_delete_comes_back_and_leaves_nothing() {
    let mut random = seeded();
    let measured = Agent::start().await;
    measured.ready("a", "").await;
    let began = Instant::now();
    measured.delete("a").await;
    let whole = began.elapsed();
    drop(measured);

    let mut agents = Vec::new();
    for moments in moments(&mut random, whole) {
        let mut agent = Agent::start().await;
        agent.ready("a", "").await;
        agent.ready("bystander", "").await;
        let client = agent.client().clone();
        killed_twice(&mut agent, async move { client.delete_workspace(&of("a")).await }, moments).await;
        agents.push(agent);
    }
    for agent in &agents {
        // As above: again only where it was not stored.
        let found = agent.client().get_workspace(&of("a")).await;
        if found.is_ok_and(|view| view.status != Phase::Deleting) {
            agent.client().delete_workspace(&of("a")).await.expect("accepted");
        }
        agent.reach(Wait::new(parse("a"), Goal::Deleted)).await;
        agent.until("bystander", "the other one is ready", is_ready).await;
        let left = Objects {
            containers: vec![format!("{}bystander", agent.prefix)],
            volumes: vec![format!("{}bystander-home", agent.prefix)],
        };
        assert_eq!(agent.engine.objects().await, left);
        no_orphan(agent).await;
    }
}
