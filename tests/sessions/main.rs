//! Sessions of coding agents: what real agents wrote is listed and read as it should be, however it comes.

mod fixtures;
mod hostile;
mod replay;
mod states;
mod support;
