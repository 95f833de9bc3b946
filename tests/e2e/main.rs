//! The whole of Perry against a real engine: the real binary as agent and as command line, people who meddle with its
//! containers behind its back, and SIGKILL. Each test has agents of its own, and nothing else on the engine is touched.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where and why")]

mod agent;
mod change;
mod crash;
mod cut;
#[path = "../common/door.rs"]
mod door;
mod drift;
mod engine;
mod examples;
mod image;
mod life;
mod limits;
mod logs;
mod machine;
mod many;
#[path = "../common/node.rs"]
mod node;
mod ports;
mod repository;
mod restart;
mod sessions;
mod ssh;
mod states;
mod sync;
mod tasks;
mod terminals;
mod tools;
mod two;
mod verbs;

/// The image of workspaces that need more than a shell: the slim variant, which `make test` builds.
const BASE: &str = "workspace-base:slim";
/// The full variant, for what people use in it; `make test` builds it too.
const FULL: &str = "workspace-base:latest";

/// How long anything may take that is waited for. Only a failing test waits so long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);
