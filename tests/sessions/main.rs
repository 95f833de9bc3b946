//! Sessions of coding agents: what real agents wrote is listed and read as it should be, however it comes.

#[expect(unreachable_pub, reason = "the fuzz targets have it from a library")]
#[path = "../../fuzz/checks/sessions.rs"]
mod check;
mod counted;
mod fixtures;
mod hostile;
mod kin;
mod live;
mod mutated;
mod replay;
mod states;
mod support;
