//! The nouns: what people write ([`Workspace`]), what must then exist ([`Desired`]), what is there ([`Observed`]),
//! what is done about it ([`Action`]) and what is said of it ([`View`]). Pure: no tokio, no I/O, no clock, no randomness.

pub mod action;
pub mod admission;
pub mod condition;
pub mod config;
pub mod desired;
pub mod event;
pub mod explain;
pub mod files;
pub mod issue;
pub mod manifest;
pub mod name;
pub mod nearest;
pub mod observed;
pub mod quantity;
pub mod repository;
pub mod schema;
pub mod shown;
pub mod state;
pub mod sync;
pub mod task;
pub mod tool;
pub mod usage;
pub mod variables;
pub mod variant;
pub mod verdict;
pub mod view;
pub mod workspace;

pub use action::Action;
pub use condition::{Condition, ConditionStatus, ConditionType};
pub use config::{Config, LiveConfig};
pub use desired::Desired;
pub use event::{Event, Severity};
pub use issue::{Issue, Issues};
pub use manifest::Document;
pub use name::{Name, Uid};
pub use observed::{Observed, Seen};
pub use shown::Shown;
pub use state::State;
pub use task::{TaskName, TaskSeen, TaskState};
pub use usage::{DiskUsage, VolumeUsage};
pub use variables::Variables;
pub use variant::Variant;
pub use verdict::{Plan, Reason, Verdict};
pub use view::{Phase, View};
pub use workspace::{FileSpec, Metadata, Run, Spec, Workspace};
