//! Removing what belongs to no workspace, when somebody asks for it. Not a part of the loop, which only counts it.

use std::collections::BTreeSet;

use super::Controller;
use crate::model::{Action, Uid};
use crate::runtime::{Orphans, RuntimeError};

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Containers, by name.
    pub containers: BTreeSet<String>,
    /// Volumes, by name.
    pub volumes: BTreeSet<String>,
    /// Orphaned volumes that were not named, and stay.
    pub kept: BTreeSet<String>,
}

/// Why nothing more was removed. What was removed before stays so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PruneError {
    /// A volume was named that is no orphan of this agent.
    #[error("{0} is no volume of this agent that belongs to no workspace")]
    NoOrphan(String),
    /// The engine did not do it.
    #[error("{what} was not removed: {why}")]
    Failed {
        /// What was to be removed.
        what: String,
        /// What the engine said.
        why: RuntimeError,
    },
    /// Nobody could look.
    #[error("{0}")]
    Unseen(RuntimeError),
}

impl Controller {
    /// Removes orphaned containers, and the orphaned volumes that are named; with `dry_run` only says which.
    pub(super) async fn prune_orphans(&self, volumes: &BTreeSet<String>, dry_run: bool) -> Result<Pruned, PruneError> {
        let orphans = self.all_orphans().await.map_err(PruneError::Unseen)?;
        if let Some(other) = volumes.iter().find(|name| !orphans.volumes.contains_key(*name)) {
            return Err(PruneError::NoOrphan(other.clone()));
        }
        let kept = orphans.volumes.keys().filter(|name| !volumes.contains(*name)).cloned().collect();
        let pruned =
            Pruned { containers: orphans.containers.keys().cloned().collect(), volumes: volumes.clone(), kept };
        if dry_run {
            return Ok(pruned);
        }
        for (name, container) in orphans.containers {
            self.remove(format!("container {name}"), Action::RemoveContainer { id: container.id }).await?;
        }
        for (name, volume) in orphans.volumes.into_iter().filter(|(name, _)| volumes.contains(name)) {
            let what = format!("volume {name}");
            let action = Action::RemoveVolume { name, created_at: volume.created_at, owner: volume.owner };
            self.remove(what, action).await?;
        }
        Ok(pruned)
    }

    /// Orphans by the intent of before and after the look: a workspace that was made meanwhile has none.
    pub(super) async fn all_orphans(&self) -> Result<Orphans, RuntimeError> {
        let known = || self.parts.intent.list().values().map(|workspace| workspace.metadata.uid.clone()).collect();
        let mut orphans = self.parts.runtime.orphans(&known()).await?;
        let known: BTreeSet<Uid> = known();
        orphans.containers.retain(|_, container| container.uid.as_ref().is_none_or(|uid| !known.contains(uid)));
        orphans.volumes.retain(|_, volume| volume.owner.as_ref().is_none_or(|owner| !known.contains(&owner.uid)));
        Ok(orphans)
    }

    async fn remove(&self, what: String, action: Action) -> Result<(), PruneError> {
        let done = self.parts.runtime.apply(&action, &|_| ()).await;
        done.map_err(|why| PruneError::Failed { what: what.clone(), why })?;
        tracing::info!("{what} belonged to no workspace and was removed");
        Ok(())
    }
}
