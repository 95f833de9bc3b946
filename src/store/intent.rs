//! What the controller knows of the store.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Stream;

use crate::model::{Name, Uid, Workspace};

/// What the controller knows of the store.
#[async_trait]
pub trait Intent: Send + Sync {
    /// The latest committed intent of a workspace.
    fn get(&self, name: &Name) -> Option<Arc<Workspace>>;

    /// The latest committed intent of all workspaces.
    fn list(&self) -> BTreeMap<Name, Arc<Workspace>>;

    /// Removes a workspace whose deletion is finished. Nothing happens where the name has another uid, is not being
    /// deleted or is gone already.
    ///
    /// # Errors
    /// The commit failed; the workspace is still there.
    async fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError>;

    /// The names whose intent changed, without end; one that fell behind yields every name. May be called once.
    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>>;
}

/// Why intent could not be written, in a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IntentError(pub String);
