//! The agent without an engine's time: a settled pass, a burst of applies, and idling.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;
#[path = "../tests/common/mod.rs"]
mod fixtures;

use std::time::{Duration, Instant};

use common::{begin, ms, tell};
use fixtures::fixture::{AGENT, EXECUTABLE, desired_of, numbered};
use fixtures::harness::{Loop, MINUTE};
use futures::FutureExt as _;
use perry::client::Client;
use perry::contract::ApplyInput;
use perry::runtime::Runtime as _;
use perry::runtime::fake::Smooth;

const WORKSPACES: u16 = 1_000;
const ROUNDS: u32 = 50;
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    common::fake::serve_if_told();
    begin("fake");
    settled_pass();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        burst().await;
        idle().await;
    });
}

/// Every workspace is looked at once, and nothing has changed.
fn settled_pass() {
    let mut world = Loop::just_started(|intent| (1..=WORKSPACES).for_each(|n| intent.put(numbered(n))));
    world.advance(2 * MINUTE);
    let (version, calls) = (world.version(), world.faults.calls());
    let mut took = Duration::ZERO;
    for round in 0..ROUNDS {
        let looks = world.faults.looks();
        // Another network is a reason to look at everything.
        world.world.meddle(|engine| engine.networks.insert(format!("other-{round}"), format!("{round}")));
        let before = thread_cpu();
        world.settle();
        took += thread_cpu() - before;
        assert_eq!(world.faults.looks() - looks, usize::from(WORKSPACES), "each was looked at once");
    }
    let done = world.faults.calls() - calls;
    println!("  a settled pass of {WORKSPACES} workspaces, {ROUNDS} rounds:");
    tell("CPU", ms(took) / f64::from(ROUNDS), "ms", Some(50.0));
    tell("of which the fake engine's own", looks_alone(&world), "ms", None);
    #[allow(clippy::cast_precision_loss)]
    tell("versions published and actions done", ((world.version() - version) as usize + done) as f64, "", Some(0.0));
}

/// The looks of such a pass without the loop, in milliseconds.
fn looks_alone(world: &Loop) -> f64 {
    let desired: Vec<_> = (1..=WORKSPACES).map(|n| desired_of(&numbered(n))).collect();
    let runtime = world.world.runtime(AGENT, EXECUTABLE);
    // The tests' script takes so many looks at one moment for a loop that runs in circles.
    world.world.set_script(Smooth);
    let before = thread_cpu();
    for desired in desired.iter().cycle().take(desired.len() * ROUNDS as usize) {
        assert!(runtime.observe(desired).now_or_never().is_some_and(|seen| seen.volumes.len() == 2));
    }
    ms(thread_cpu() - before) / f64::from(ROUNDS)
}

/// CPU time of this thread. The kernel counts it at its ticks, so that only a sum of many is exact.
fn thread_cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(schedstat.split(' ').next().and_then(|text| text.parse().ok()).expect("a count"))
}

/// As many applies at once, each a request on a connection of its own, through admission and store to the disk.
async fn burst() {
    let folder = tempfile::tempdir().expect("a folder");
    let (address, token, store) = common::fake::serve(folder.path()).await;
    let before = store.stats();
    let began = Instant::now();
    let apply = |n| {
        let input = ApplyInput { manifest: Some(common::manifest(&format!("w{n}"), "")), ..ApplyInput::default() };
        let client = Client::new(&address.to_string()).with_token(token.clone());
        async move { client.apply_workspaces(&input).await.expect("accepted") }
    };
    futures::future::join_all((0..WORKSPACES).map(apply)).await;
    let took = began.elapsed();
    let stats = store.stats();
    assert_eq!(store.snapshot().workspaces.len(), usize::from(WORKSPACES));
    println!("  {WORKSPACES} applies at once over HTTP, as many connections:");
    tell("until all are accepted", ms(took), "ms", Some(1_000.0));
    #[allow(clippy::cast_precision_loss)]
    tell("syncs of files and folder", (stats.syncs - before.syncs) as f64, "", Some(99.0));
    #[allow(clippy::cast_precision_loss)]
    tell("commits", (stats.commits - before.commits) as f64, "", None);
}

async fn idle() {
    let agent = common::fake::Agent::with(100).await;
    let before = agent.cpu();
    tokio::time::sleep(IDLE).await;
    let share = (agent.cpu() - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    println!("  idle with 100 workspaces, {} s, a process of its own:", IDLE.as_secs());
    tell("CPU, share of a core", share, "%", Some(0.5));
    tell("resident memory", agent.resident(), "MiB", Some(30.0));
}
