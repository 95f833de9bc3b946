//! The API over real sockets: recorded exchanges of the reference implementation, every rule of ours, streams, the
//! client of this crate and the stock client under node.

mod agent;
mod apply;
mod attacks;
mod client;
mod host_right;
#[path = "../common/node.rs"]
mod node;
mod openapi;
mod procedures;
mod raw;
mod reference;
mod rules;
mod session_stream;
mod sessions;
mod socket;
mod stall;
mod stock_client;
mod streams;
mod terminal;
#[path = "../common/sessions.rs"]
mod told;
mod typescript;
mod vectors;
mod wire;
mod world;
