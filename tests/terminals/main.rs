//! The worker's terminals over their socket, with real programs and without a container.

mod conformance;
mod exec;
mod flow;
mod host;
mod life;
mod many;
#[path = "../common/node.rs"]
mod node;
mod restore;
mod typescript;
