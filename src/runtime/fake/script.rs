//! What goes wrong on the fake engine, and how long things take.

use std::time::Duration;

use crate::model::desired::Owner;
use crate::model::{Action, Desired};
use crate::runtime::RuntimeError;

/// Decides what goes wrong.
pub trait Script: Send {
    /// What becomes of a call.
    fn call(&mut self, action: &Action) -> Fate;
    /// How a look goes.
    fn look(&mut self, desired: &Desired) -> Sight;
    /// How a hint arrives.
    fn hint(&mut self) -> Delivery;
    /// How a container lives after its start.
    fn started(&mut self, owner: &Owner) -> Life;
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// After how long it takes effect; `None`: never.
    pub effect: Option<Duration>,
    /// What the caller hears.
    pub reply: Reply,
}

/// What the caller of an action hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What became of it, after this time.
    After(Duration),
    /// An error after this time, whatever became of it.
    Error(Duration, RuntimeError),
    /// Nothing, ever.
    Never,
}

/// How a look goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It never ends.
    Never,
    /// It ends after this time, blind in some respects.
    Partial {
        /// How long it takes.
        after: Duration,
        /// What it does not see.
        blind: Blind,
    },
}

/// What a look does not see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blind {
    /// The image is unknown.
    pub image: bool,
    /// The network is unknown.
    pub network: bool,
    /// The containers are unknown.
    pub containers: bool,
    /// The volumes are unknown.
    pub volumes: bool,
    /// The worker does not answer.
    pub worker: bool,
    /// Lists lack everything but what is asked for by name, and say so where they can.
    pub lists: bool,
}

/// How a hint arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Once,
    /// At once, and again.
    Twice,
    /// After this time.
    Late(Duration),
    /// Never.
    Dropped,
}

/// How a container lives after its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// When the worker answers.
    pub worker: Duration,
    /// When sshd answers.
    pub ssh: Duration,
    /// When dockerd answers.
    pub docker: Duration,
    /// When it ends by itself, with which code.
    pub exits: Option<(Duration, i64)>,
}

/// Nothing goes wrong and nothing takes time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Smooth;

impl Script for Smooth {
    fn call(&mut self, _: &Action) -> Fate {
        Fate { effect: Some(Duration::ZERO), reply: Reply::After(Duration::ZERO) }
    }
    fn look(&mut self, _: &Desired) -> Sight {
        Sight::Partial { after: Duration::ZERO, blind: Blind::default() }
    }
    fn hint(&mut self) -> Delivery {
        Delivery::Once
    }
    fn started(&mut self, _: &Owner) -> Life {
        Life::default()
    }
}
