//! What others may ask of the controller.

use async_trait::async_trait;

use super::Controller;
use crate::model::desired::Goal;
use crate::model::observed::{ContainerSeen, ContainerState, EngineSeen, Seen};
use crate::model::{Action, DiskUsage, Event, Name, Reason, Verdict, Workspace};
use crate::plan;
use crate::runtime::Progress;

/// What others may ask of the controller. None of it changes what is wanted: that is written to the store.
#[async_trait]
pub trait Handle: Send + Sync {
    /// The intent of a workspace was committed: shows it to watchers at once, with what is known so far, and wakes the
    /// loop.
    fn changed(&self, name: &Name);

    /// What the loop would do now if this were the intent.
    async fn preview(&self, workspace: &Workspace) -> Preview;

    /// The latest events, oldest first: of one workspace or of all.
    fn events(&self, name: Option<&Name>) -> Vec<Event>;

    /// The next events as they happen; a reader that falls behind misses some.
    fn follow_events(&self) -> tokio::sync::broadcast::Receiver<Event>;

    /// What the engine says of itself.
    async fn engine(&self) -> Seen<EngineSeen>;

    /// What a workspace occupies on disk; may take as long as counting its files.
    ///
    /// # Errors
    /// What the engine said, or that it does not answer.
    async fn disk(&self, workspace: &Workspace) -> Result<DiskUsage, String>;

    /// How many containers and volumes bear this agent's id and belong to no workspace; `None` where nobody could look.
    async fn orphans(&self) -> Option<usize>;

    /// Builds the agent's own image, also when there is one; progress line by line.
    ///
    /// # Errors
    /// What the engine said.
    async fn build_image(&self, progress: &(dyn for<'a> Fn(&'a str) + Send + Sync)) -> Result<(), String>;
}

/// What the loop would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// In order. More may follow once these are done, since some ids are known only then.
    pub actions: Vec<Action>,
    /// Why nothing can be done, where that is so.
    pub blocked: Option<Reason>,
    /// A running container would be replaced: work in it would end.
    pub replaces: bool,
}

#[async_trait]
impl Handle for Controller {
    fn changed(&self, name: &Name) {
        self.intent_changed(name);
    }

    async fn preview(&self, workspace: &Workspace) -> Preview {
        let executable = self.parts.settings.executable.clone();
        let context = plan::Context { executable, in_doubt: false, refreshed: false };
        let look = self.look_at(workspace, context).await;
        let up =
            |container: &ContainerSeen| matches!(container.state, ContainerState::Running | ContainerState::Paused);
        let running: Vec<&str> = match &look.observed.containers {
            Seen::Present(all) => all.iter().filter(|seen| up(seen)).map(|seen| seen.id.as_str()).collect(),
            Seen::Absent | Seen::Unknown(_) => Vec::new(),
        };
        let removes =
            |action: &Action| matches!(action, Action::RemoveContainer { id } if running.contains(&id.as_str()));
        let replaces = look.desired.goal != Goal::Gone && look.plan.actions.iter().any(removes);
        let blocked = match look.plan.verdict {
            Verdict::Blocked(reason) | Verdict::Unknown(reason) => Some(reason),
            Verdict::Act | Verdict::Converged | Verdict::Waiting(_) | Verdict::Gone => None,
        };
        Preview { actions: look.plan.actions, blocked, replaces }
    }

    fn events(&self, name: Option<&Name>) -> Vec<Event> {
        self.events.list(name)
    }

    fn follow_events(&self) -> tokio::sync::broadcast::Receiver<Event> {
        self.events.follow()
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        self.parts.runtime.engine().await
    }

    async fn disk(&self, workspace: &Workspace) -> Result<DiskUsage, String> {
        let desired = plan::desired(workspace, &self.parts.settings);
        self.parts.runtime.disk(&desired).await.map_err(|error| error.to_string())
    }

    async fn orphans(&self) -> Option<usize> {
        let known = self.parts.intent.list().values().map(|workspace| workspace.metadata.uid.clone()).collect();
        let orphans = self.parts.runtime.orphans(&known).await.ok()?;
        Some(orphans.containers.len() + orphans.volumes.len())
    }

    async fn build_image(&self, progress: Progress<'_>) -> Result<(), String> {
        let image = &self.parts.settings.config.image_tag;
        self.parts.runtime.build_image(image, progress).await.map_err(|error| error.to_string())
    }
}
