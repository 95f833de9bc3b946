//! What keeps an agent in order: orphans and settings.

use std::sync::PoisonError;

use super::Api;
use crate::contract::{ApiError, ConfigShown, Orphans, PruneInput, PruneOutput};
use crate::controller::{PruneError, Pruned};
use crate::model::Config;
use crate::store::{Disk, StoreError, client};

impl Api {
    pub(super) async fn orphans(&self) -> Result<Orphans, ApiError> {
        let orphans = self.parts.controller.orphans().await.map_err(ApiError::Unavailable)?;
        let (containers, volumes) = (orphans.containers.into_keys().collect(), orphans.volumes.into_keys().collect());
        Ok(Orphans { containers, volumes })
    }

    pub(super) async fn prune(&self, input: &PruneInput) -> Result<PruneOutput, ApiError> {
        if let Some(why) = self.parts.store.untrusted() {
            let message = format!("nothing is removed while it is not sure which workspaces there are: {why}");
            return Err(ApiError::Unavailable(message));
        }
        let pruned = self.parts.controller.prune(&input.volumes, input.dry_run).await.map_err(|error| match error {
            PruneError::NoOrphan(_) => ApiError::bad_request("volumes", error.to_string()),
            other => ApiError::Unavailable(other.to_string()),
        })?;
        let Pruned { containers, volumes, kept } = pruned;
        Ok(PruneOutput { removed: Orphans { containers, volumes }, kept })
    }

    pub(super) async fn config(&self) -> Result<ConfigShown, ApiError> {
        let worker = self.on_disk(client::worker).await?;
        Ok(ConfigShown { config: Config::clone(&self.parts.config.get()), worker })
    }

    pub(super) async fn set_worker(&self, worker: String) -> Result<ConfigShown, ApiError> {
        if worker.len() > 256 || worker.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ApiError::bad_request("worker", "is no address: write host:port, or nothing for this agent"));
        }
        let worker = (!worker.is_empty()).then_some(worker);
        self.on_disk(move |disk| client::set_worker(disk, worker)).await?;
        self.config().await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let disk = self.parts.disk.clone();
        let run = move || work(&**disk.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(run).await;
        let done = done.map_err(|error| ApiError::Internal(format!("work on a file ended early: {error}")))?;
        done.map_err(|error| ApiError::Unavailable(error.chain()))
    }
}
