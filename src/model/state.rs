//! The document that `state.json` holds: the intent of all workspaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, Workspace};

/// The version of the document's form that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The intent of all workspaces of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// The form of the document.
    pub schema_version: u32,
    /// Counts the commits.
    pub revision: u64,
    /// Every workspace by its name. Shared, so that a commit copies only what it changes.
    pub workspaces: BTreeMap<Name, Arc<Workspace>>,
}

impl Default for State {
    fn default() -> Self {
        Self { schema_version: SCHEMA_VERSION, revision: 0, workspaces: BTreeMap::new() }
    }
}
