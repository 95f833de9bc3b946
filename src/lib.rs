//! Perry: isolated Docker-in-Docker workspaces on a machine of your own.

pub mod agent;
pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod contract;
pub mod controller;
pub mod model;
pub mod plan;
pub mod queue;
pub mod runtime;
pub mod store;
pub mod watch;
pub mod worker;
