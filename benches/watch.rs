//! From a change in Docker to a watcher over the API.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;

use std::time::Instant;

use bollard::Docker;
use bollard::query_parameters::{KillContainerOptions, WaitContainerOptions};
use common::agent::{Agent, Watcher};
use common::{begin, manifest, median, ms, quantile, tell};
use futures::StreamExt as _;
use perry::model::Name;
use perry::model::condition::ConditionType;

/// Each is killed this often: one more, and the agent would take it for a crash loop.
const KILLS: usize = 4;
const WORKSPACES: usize = 25;

#[tokio::main]
async fn main() {
    begin("watch");
    let agent = Agent::start("31000-31099");
    let engine = Docker::connect_with_defaults().expect("an engine");
    let names: Vec<String> = (0..WORKSPACES).map(|n| format!("w{n:02}")).collect();
    let manifests: Vec<String> = names.iter().map(|name| manifest(name, "docker: false")).collect();
    agent.apply(&manifests.join("---\n")).await;
    let mut watcher = Watcher::new(&agent.client);
    let (mut took, mut engine_took) = (Vec::new(), Vec::new());
    for round in 0..=KILLS {
        for name in &names {
            let name: Name = name.parse().expect("a name");
            let ready = watcher.until(&name, |view| view.is_true(ConditionType::Ready)).await;
            let id = ready.container_id.clone().expect("a container");
            if round == KILLS {
                continue;
            }
            let began = Instant::now();
            let killed = engine.kill_container(&id, None::<KillContainerOptions>);
            let told = async {
                // The code that it ended with is an error of the client's.
                let _ = engine.wait_container(&id, None::<WaitContainerOptions>).next().await;
                began.elapsed()
            };
            let seen = async {
                watcher.until(&name, |view| !view.is_true(ConditionType::ContainerRunning)).await;
                began.elapsed()
            };
            let (killed, told, seen) = tokio::join!(killed, told, seen);
            killed.expect("killed");
            engine_took.push(ms(told));
            took.push(ms(seen));
        }
    }
    println!("  docker kill until a watcher sees it, the engine's own time included, {} kills:", took.len());
    tell("median", median(&took), "ms", None);
    tell("median until the engine says so to who waits for it there", median(&engine_took), "ms", None);
    tell("99 of 100", quantile(&took, 0.99), "ms", Some(500.0));
    tell("most", quantile(&took, 1.0), "ms", None);
}
