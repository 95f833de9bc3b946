//! A real engine that is restarted behind the agent's back, killed, and cut from power with all that runs on it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use perry::client::{Goal, Wait};
use perry::contract::types::NoInput;
use perry::model::{ConditionType, Phase, Shown, View};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::agent::{Agent, is_ready, of, parse};
use crate::engine::Objects;
use crate::machine::{End, Lies, Machine};

/// Restarts in the work of one history.
const RESTARTS: u32 = 3;
/// Longer than a create takes as a rule, so that cuts fall into every part of one and beyond.
const MOMENT: std::ops::Range<u64> = 0..600;

/// By the engine's return, that is, not by a resync or the end of a long back-off.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// What there is before the engine goes away.
struct Before {
    agent: Agent,
    /// Runs, with a published port, a volume of its own and a note in its home.
    a: std::sync::Arc<Shown>,
    /// When the engine last started it.
    started_at: String,
    /// Name and date of birth.
    volumes: Vec<(String, String)>,
}

async fn volumes(agent: &Agent) -> Vec<(String, String)> {
    let all = agent.engine.volumes().await.into_iter();
    let mut all: Vec<_> = all.map(|one| (one.name, one.created_at.expect("a date").to_string())).collect();
    all.sort();
    all
}

fn container(view: &View) -> &str {
    view.container_id.as_deref().expect("a container")
}

fn port(view: &View) -> u16 {
    view.ports[&parse("web")]
}

async fn before(machine: &Machine) -> Before {
    let agent = machine.agent().await;
    let spec = "ports: [ { name: web, port: 8080 } ]\nvolumes: [ { name: cache, path: /cache } ]";
    for (name, spec) in [("a", spec), ("b", ""), ("goes", ""), ("stopped", "")] {
        agent.apply(name, spec).await;
    }
    let a = agent.until("a", "ready", is_ready).await;
    for name in ["b", "goes", "stopped"] {
        agent.until(name, "ready", is_ready).await;
    }
    agent.ok(&["stop", "stopped", "--wait"]).await;
    agent.ok(&["exec", "a", "--", "sh", "-c", "echo kept > /home/workspace/note"]).await;
    assert!(machine.listens(port(&a)).await, "a port that is published");
    let started_at = agent.engine.started_at(container(&a)).await;
    let volumes = volumes(&agent).await;
    assert_eq!(volumes.len(), 5);
    Before { agent, a, started_at, volumes }
}

/// While the engine is away nothing is known, and what is asked for is taken.
async fn meanwhile(agent: &Agent) {
    for name in ["a", "b", "goes", "stopped"] {
        agent.until(name, "unknown", |view| view.status == Phase::Unknown).await;
    }
    agent.apply("new", "").await;
    agent.client().delete_workspace(&of("goes")).await.expect("accepted");
    agent.client().stop_workspace(&of("b")).await.expect("accepted");
    agent.until("new", "unknown", |view| view.status == Phase::Unknown).await;
}

/// Everything is as if the engine had never been away, and what was asked for meanwhile is done.
async fn as_before(before: &Before, machine: &Machine) {
    let Before { agent, a, started_at, volumes: old } = before;
    let began = Instant::now();
    agent.until("new", "ready", is_ready).await;
    let after = agent.until("a", "ready", is_ready).await;
    for name in ["b", "stopped"] {
        agent.until(name, "stopped", |view| view.status == Phase::Stopped).await;
    }
    agent.reach(Wait::new(parse("goes"), Goal::Deleted)).await;
    let took = began.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");

    assert_eq!((&after.uid, after.generation), (&a.uid, a.generation));
    assert_eq!((container(&after), port(&after)), (container(a), port(a)), "the same container and port");
    assert_ne!(&agent.engine.started_at(container(a)).await, started_at, "its engine was restarted");
    assert_eq!(
        agent.ok(&["exec", "a", "--", "sh", "-c", "read -r note < /home/workspace/note; echo $note"]).await,
        "kept\n"
    );
    assert!(machine.listens(port(a)).await, "the port is published again");

    let named = |name: &str| format!("{}{name}", agent.prefix);
    assert_eq!(agent.engine.objects().await.containers, ["a", "b", "new", "stopped"].map(named));
    let stays = |(name, _): &&(String, String)| *name != named("goes-home");
    let now = volumes(agent).await;
    assert!(old.iter().filter(stays).all(|one| now.contains(one)), "{old:?}\n{now:?}");
    assert_eq!(now.len(), old.len(), "without one, with the new one: {now:?}");
    let info = agent.client().agent_info(&NoInput {}).await.expect("an answer");
    assert_eq!((info.orphans, info.docker_error), (Some(0), None));
}

#[tokio::test]
async fn an_engine_that_is_restarted_finds_its_workspaces_run_again() {
    let machine = Machine::start(Lies::Together).await;
    let before = before(&machine).await;
    machine.engine_down(End::Asked).await;
    meanwhile(&before.agent).await;
    machine.engine_up().await;
    as_before(&before, &machine).await;
}

#[tokio::test]
async fn an_engine_that_is_killed_finds_its_workspaces_run_again() {
    let machine = Machine::start(Lies::Apart).await;
    let before = before(&machine).await;
    machine.engine_down(End::Killed).await;
    meanwhile(&before.agent).await;
    machine.engine_up().await;
    as_before(&before, &machine).await;
}

#[tokio::test]
async fn a_machine_that_loses_power_with_its_agent_comes_back_as_it_was() {
    let machine = Machine::start(Lies::Together).await;
    let mut before = before(&machine).await;
    before.agent.sigkill().await;
    machine.power_off().await;
    machine.power_on().await;
    // Whichever is first, the agent or the engine.
    before.agent.resume().await;
    meanwhile(&before.agent).await;
    machine.engine_up().await;
    as_before(&before, &machine).await;
}

/// An engine that was killed in a start may keep the container's port for nobody, until it is restarted in order
/// (moby issues 25981 and 36591, seen here on 26.1). Nothing else frees it, and Perry says what the engine says, which
/// names the endpoint of this try.
fn lost_port(view: &View) -> Option<&str> {
    let message = &view.condition(ConditionType::Ready)?.message;
    message.contains("port is already allocated").then_some(message)
}

/// An engine that is restarted while agents work.
struct Restless {
    machine: Machine,
    agent: Agent,
    random: StdRng,
}

impl Restless {
    /// Ends the engine and starts it again, once the agent has noticed.
    async fn restart(&self, end: End) {
        self.machine.engine_down(end).await;
        self.agent.until("stays", "unknown", |view| view.status == Phase::Unknown).await;
        self.machine.engine_up().await;
    }

    async fn restart_at_random(&mut self, end: End) {
        let moment = Duration::from_millis(self.random.random_range(MOMENT));
        eprintln!("{end:?} after {moment:?}");
        tokio::time::sleep(moment).await;
        self.restart(end).await;
    }

    /// Waits until all are ready, and does what a person does where the engine has lost a port.
    async fn settle(&self, names: &[String]) {
        let mut told = BTreeSet::new();
        for _ in 0..=RESTARTS {
            let known = told.len();
            for name in names {
                let fresh = |view: &View| lost_port(view).is_some_and(|message| !told.contains(message));
                let view = self.agent.until(name, "ready", |view| is_ready(view) || fresh(view)).await;
                told.extend(lost_port(&view).map(str::to_owned));
            }
            if told.len() == known {
                return;
            }
            eprintln!("the engine has lost a port");
            self.restart(End::Asked).await;
        }
        panic!("the engine loses a port each time\n{}", self.agent.log());
    }
}

/// Where the engine ends in a call, nobody knows whether it had its effect.
#[tokio::test]
async fn an_engine_that_is_restarted_in_the_work_leaves_nothing_twice_and_nothing_behind() {
    let seed = std::env::var("PERRY_E2E_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    // Shown when the test fails.
    eprintln!("PERRY_E2E_SEED={seed}");
    let machine = Machine::start(Lies::Together).await;
    let agent = machine.agent().await;
    let mut restless = Restless { machine, agent, random: StdRng::seed_from_u64(seed) };
    let mut names = vec!["stays".to_owned()];
    restless.agent.ready("stays", "").await;
    // An end that is asked for takes the engine 5 s (it waits for whoever follows its events), and 10 s more where a
    // container is so young that it does not hear the signal.
    let asked = restless.random.random_range(0..RESTARTS);
    for round in 0..RESTARTS {
        for twin in ["a", "b"] {
            let name = format!("w{round}{twin}");
            restless.agent.apply(&name, "").await;
            names.push(name);
        }
        restless.restart_at_random(if round == asked { End::Asked } else { End::Killed }).await;
    }
    restless.settle(&names).await;
    let prefix = restless.agent.prefix.clone();
    let named = |names: &[String], end| names.iter().map(|name| format!("{prefix}{name}{end}")).collect::<Vec<_>>();
    let objects = restless.agent.engine.objects().await;
    assert_eq!(objects, Objects { containers: named(&names, ""), volumes: named(&names, "-home") });

    for name in &names[1..] {
        restless.agent.client().delete_workspace(&of(name)).await.expect("accepted");
    }
    let end = if restless.random.random() { End::Asked } else { End::Killed };
    restless.restart_at_random(end).await;
    for name in &names[1..] {
        restless.agent.reach(Wait::new(parse(name), Goal::Deleted)).await;
    }
    let left = restless.agent.engine.objects().await;
    assert_eq!(left, Objects { containers: named(&names[..1], ""), volumes: named(&names[..1], "-home") });
    restless.settle(&names[..1]).await;
    let info = restless.agent.client().agent_info(&NoInput {}).await.expect("an answer");
    assert_eq!((info.orphans, info.docker_error), (Some(0), None));
}
