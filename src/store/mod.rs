//! The store: every file of the agent. Intent is in `state.json`; the controller knows it only by [`Intent`].

mod commit;
pub mod core;
pub mod disk;
pub mod document;
mod error;
mod intent;
pub mod migrate;
pub mod outside;
pub mod sim_disk;

pub use core::{Core, Edit};
pub use disk::{Disk, OsDisk};
pub use error::{CommitError, Rejected, StoreError, Warning};
pub use intent::{Intent, IntentError};
pub use outside::Admit;
pub use sim_disk::SimDisk;
