//! The pure heart: what must exist, what is to be done, what is said of it. Unit tests are sentences; properties run
//! over any intent, anything seen, and any mess on a fake engine.

#[path = "../common/mod.rs"]
mod common;

mod adopted;
mod create;
mod derive;
mod fake;
mod gone;
mod limits;
mod project;
mod project_properties;
mod properties;
mod running;
mod stopped;
mod tasks;
