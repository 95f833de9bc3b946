//! What the tests of planner, controller and others share: intent and observations to start from, strategies that make
//! any of them, and a loop on a fake engine that stands still until it is told to go on.

// Every test program takes what it needs of this.
#![allow(dead_code)]

pub(crate) mod arbitrary;
pub(crate) mod case;
pub(crate) mod fixture;
pub(crate) mod harness;
pub(crate) mod intent;
pub(crate) mod mess;
pub(crate) mod safety;
pub(crate) mod script;
