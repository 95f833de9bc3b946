//! The loop: on a fake engine, with intent in memory, on a clock that is moved by hand. No test sleeps.

#[path = "../common/mod.rs"]
mod common;

mod crash_loop;
mod deletion;
mod events;
mod failure;
mod fence;
mod files;
mod many;
mod preview;
mod settle;
mod startup;
mod trouble;
