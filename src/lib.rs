//! Perry: isolated Docker-in-Docker workspaces on a machine of your own.

pub mod clock;
pub mod queue;
pub mod watch;
