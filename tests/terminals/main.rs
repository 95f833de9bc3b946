//! The worker's terminals over their socket, with real programs and without a container.

mod flow;
mod host;
mod life;
mod restore;
