//! Who may touch what on the fake engine, and whose it is.

use super::engine::Engine;
use crate::model::Action;
use crate::model::desired::Owner;
use crate::runtime::RuntimeError;

impl Engine {
    /// Whether the agent may touch what the action names: a container must bear its label or be adopted.
    pub(super) fn permits(
        &self,
        action: &Action,
        agent: &str,
        adopts: impl Fn(&str) -> bool,
    ) -> Result<(), RuntimeError> {
        let id = match action {
            Action::InstallWorker { id, .. }
            | Action::UpdateLimits { id, .. }
            | Action::StartContainer { id, .. }
            | Action::ReattachNetwork { id, .. }
            | Action::UnpauseContainer { id }
            | Action::StopContainer { id }
            | Action::RemoveContainer { id } => id,
            _ => return Ok(()),
        };
        let Some(container) = self.containers.get(id).filter(|_| !self.trusting) else { return Ok(()) };
        if container.owner.as_ref().is_some_and(|owner| owner.agent == agent) || adopts(id) {
            return Ok(());
        }
        Err(RuntimeError::Refused(format!("container {} is not this agent's", container.name)))
    }

    /// Whose workspace an action is for, where it is for one.
    pub(super) fn owner_of(&self, action: &Action) -> Option<Owner> {
        match action {
            Action::CreateVolume { owner, .. }
            | Action::CreateContainer { owner, .. }
            | Action::InstallWorker { owner, .. }
            | Action::StartContainer { owner, .. }
            | Action::ConfigureWorker { owner, .. }
            | Action::SyncFiles { owner, .. } => Some(owner.clone()),
            Action::RemoveVolume { owner, .. } => owner.clone(),
            Action::ReattachNetwork { id, .. }
            | Action::UpdateLimits { id, .. }
            | Action::UnpauseContainer { id }
            | Action::StopContainer { id }
            | Action::RemoveContainer { id } => self.containers.get(id)?.owner.clone(),
            Action::EnsureImage { .. } | Action::RefreshImage { .. } | Action::CreateNetwork { .. } => None,
        }
    }
}
