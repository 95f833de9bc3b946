//! From apply to Ready, next to the same container made straight through the engine's API and asked every 2 ms for the
//! same things: the worker, sshd and dockerd inside answer.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;
#[path = "common/raw.rs"]
mod raw;
#[allow(dead_code, reason = "the tests of the worker use more of it")]
#[path = "../tests/worker_client/mod.rs"]
mod worker_client;

use std::collections::BTreeMap;
use std::time::Instant;

use common::agent::{Agent, Watcher};
use common::{begin, manifest, median, ms, quantile, ratio, tell};
use perry::model::{ConditionType, Name, View};
use raw::Raw;

const PAIRS: usize = 20;
/// Rounds of so many workspaces at once.
const CROWDS: usize = 5;
const CROWD: u16 = 10;

#[tokio::main]
async fn main() {
    begin("start");
    let agent = Agent::start("31100-31199");
    let mut watcher = Watcher::new(&agent.client);
    let (mut by_perry, mut straight, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut steps = BTreeMap::<String, Vec<f64>>::new();
    let mut made = None;
    for round in 0..=PAIRS {
        let name: Name = format!("w{round}").parse().expect("a name");
        let began = Instant::now();
        agent.apply(&manifest(name.as_str(), "")).await;
        let view = watcher.until(&name, |view| view.is_true(ConditionType::Ready)).await;
        let took = ms(began.elapsed());
        let raw = match made.take() {
            Some(raw) => raw,
            None => Raw::like(&agent, &view).await,
        };
        agent.delete(&mut watcher, &name).await;
        let (with_worker, by_shell) = (raw.time(round, true).await, raw.time(round, false).await);
        made = Some(raw);
        // The first round fills caches and makes the network; it does not count.
        if round > 0 {
            by_perry.push(took);
            straight.push(with_worker);
            plain.push(by_shell);
            note(&view, &mut steps);
        }
    }
    println!("  {PAIRS} rounds, interleaved, medians:");
    tell("perry: apply to Ready", median(&by_perry), "ms", None);
    tell("perry: the slowest", quantile(&by_perry, 1.0), "ms", None);
    tell("the same container, straight", median(&straight), "ms", None);
    tell("a shell that starts sshd and dockerd, no worker, straight", median(&plain), "ms", None);
    tell("ratio to the same container", ratio(&by_perry, &straight), "", Some(1.25));
    tell("ratio to the shell", ratio(&by_perry, &plain), "", None);
    println!("  startup.steps, medians; the last three begin together, when the container has started:");
    steps.iter().for_each(|(step, took)| tell(step, median(took), "ms", None));
    crowds(&agent, &mut watcher, &made.expect("a first round")).await;
}

/// Ten at once until all are ready, next to ten containers made straight at once.
async fn crowds(agent: &Agent, watcher: &mut Watcher, raw: &Raw) {
    let names: Vec<Name> = (0..CROWD).map(|number| format!("c{number}").parse().expect("a name")).collect();
    let (mut by_perry, mut straight) = (Vec::new(), Vec::new());
    for round in 0..CROWDS {
        let all: String = names.iter().map(|name| format!("---\n{}", manifest(name.as_str(), ""))).collect();
        let began = Instant::now();
        agent.apply(&all).await;
        for name in &names {
            watcher.until(name, |view| view.is_true(ConditionType::Ready)).await;
        }
        by_perry.push(ms(began.elapsed()));
        for name in &names {
            agent.delete(watcher, name).await;
        }
        straight.push(raw.time_many(round, CROWD).await);
    }
    println!("  {CROWDS} rounds of {CROWD} at once, interleaved, medians:");
    tell("perry: apply of all to the last one Ready", median(&by_perry), "ms", None);
    tell("the same containers at once, straight", median(&straight), "ms", None);
    tell("ratio", ratio(&by_perry, &straight), "", Some(1.25));
}

fn note(view: &View, steps: &mut BTreeMap<String, Vec<f64>>) {
    let startup = view.startup.as_ref().expect("steps");
    for (at, step) in startup.steps.iter().enumerate() {
        let took = u32::try_from(step.duration_ms.expect("it is done")).expect("less than a month");
        steps.entry(format!("{} {}", at + 1, step.name)).or_default().push(took.into());
    }
}
