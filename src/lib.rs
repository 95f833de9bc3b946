//! Perry: isolated Docker-in-Docker workspaces on a machine of your own. A tour of five minutes.
//!
//! 1. [`model`] has the nouns. A person writes a [`Workspace`](model::Workspace), that is intent; what must then exist is
//!    [`Desired`](model::Desired), what a look at the engine showed is [`Observed`](model::Observed), what is done about the
//!    difference is a list of [`Action`](model::Action)s, and what is said of it all is a [`View`](model::View).
//! 2. [`plan`] has the decisions, pure functions all: intent to desired, desired and observed to a plan, all of it to a view.
//! 3. [`controller`] is the loop: a key comes out of the [`queue`], a pass loads, looks, plans, acts behind a fence and looks
//!    again. Start with `controller/pass.rs`; it is the heart of the house.
//! 4. The doors are the only ways out: [`store`] (every file of the agent), [`runtime`] (the engine, real or fake), [`api`]
//!    (HTTP in), [`client`] (HTTP out), [`worker`] (the inside of a container), [`clock`] (the time).
//! 5. [`watch`] is how clients learn: a cache, a bounded journal, subscriptions that resume. [`contract`] is what crosses
//!    a wire, [`cli`] the verbs, one file each.
//! 6. [`sessions`] knows what coding agents do in all workspaces, as the index in each worker tells it
//!    (`worker/sessions`, a tour of its own); [`shown`] is text for people.
//! 7. [`agent`] puts it together, and is the only place that names concrete types together.
//!
//! What must always hold is in `specs/invariants.md`; `tests/sim` checks it in thousands of seeded worlds.

pub mod agent;
pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod contract;
pub mod controller;
pub mod listening;
pub mod model;
pub mod nofollow;
pub mod plan;
pub mod queue;
pub mod quiet;
pub mod runtime;
pub mod sessions;
pub mod shown;
pub mod store;
pub mod watch;
pub mod worker;
