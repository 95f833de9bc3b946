//! What others may ask of the controller.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Controller, PruneError, Pruned, Stats};
use crate::model::desired::Goal;
use crate::model::observed::{EngineSeen, FileFault, Seen};
use crate::model::{Action, DiskUsage, Event, Name, Reason, Variant, Verdict, Workspace};
use crate::plan::{self, Look};
use crate::runtime::{Orphans, Progress};

/// What others may ask of the controller. None of it changes what is wanted: that is written to the store.
#[async_trait]
pub trait Handle: Send + Sync {
    /// The intent of a workspace was committed: shows it to watchers at once, with what is known so far, and wakes the
    /// loop.
    fn changed(&self, name: &Name);

    /// What the loop would do now if this were the intent.
    async fn preview(&self, workspace: &Workspace) -> Preview;

    /// Whether this intent needs another container than the stored one, where both are to run. Told without a look: it
    /// is what there is to go by when nobody can look.
    fn may_replace(&self, workspace: &Workspace) -> bool;

    /// What the loop has done since it began, and how much is under way.
    fn stats(&self) -> Stats;

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

    /// Brings the files of a workspace into it now, also where nothing seems to have changed; what could not be brought.
    ///
    /// # Errors
    /// The workspace does not run, or its worker does not answer.
    async fn sync(&self, workspace: &Workspace) -> Result<Vec<FileFault>, String>;

    /// Host ports that somebody listens on, containers of workspaces included; none where nobody can look.
    async fn ports_in_use(&self) -> BTreeSet<u16>;

    /// Containers and volumes that bear this agent's id and belong to no workspace.
    ///
    /// # Errors
    /// Nobody could look.
    async fn orphans(&self) -> Result<Orphans, String>;

    /// Removes orphaned containers, and the orphaned volumes that are named; with `dry_run` only says which.
    ///
    /// # Errors
    /// A volume is no orphan, and nothing was removed; or the engine failed, and what was removed before stays so.
    async fn prune(&self, volumes: &BTreeSet<String>, dry_run: bool) -> Result<Pruned, PruneError>;

    /// Builds a variant of the agent's own image (left out: what `imageTag` is), also when there is one; progress line by
    /// line.
    ///
    /// # Errors
    /// What the engine said.
    async fn build_image(
        &self,
        variant: Option<Variant>,
        progress: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<(), String>;
}

/// What the loop would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// In order. More may follow once these are done, since some ids are known only then.
    pub actions: Vec<Action>,
    /// Why nothing can be done, where that is so.
    pub blocked: Option<Reason>,
    /// A running container would be replaced, now or once nothing is in the way: work in it would end. `None` where it
    /// may be so, and nobody can tell now.
    pub replaces: Option<bool>,
}

impl Controller {
    /// Whether a running container would be replaced. A plan that cannot be carried out says nothing of what follows
    /// once it can.
    fn replaces(&self, workspace: &Workspace, look: &Look) -> Option<bool> {
        let running: Option<Vec<&str>> = match &look.observed.containers {
            Seen::Present(all) => Some(all.iter().filter(|seen| seen.is_up()).map(|seen| seen.id.as_str()).collect()),
            Seen::Absent => Some(Vec::new()),
            Seen::Unknown(_) => None,
        };
        let runs = |id: &String| running.as_ref().is_some_and(|all| all.contains(&id.as_str()));
        let removes = |action: &Action| matches!(action, Action::RemoveContainer { id } if runs(id));
        if look.desired.goal != Goal::Gone && look.plan.actions.iter().any(removes) {
            return Some(true);
        }
        let stuck = matches!(look.plan.verdict, Verdict::Blocked(_) | Verdict::Unknown(_));
        let may_run = running.is_none_or(|all| !all.is_empty());
        if stuck && may_run && self.may_replace(workspace) { None } else { Some(false) }
    }
}

#[async_trait]
impl Handle for Controller {
    fn changed(&self, name: &Name) {
        self.intent_changed(name);
    }

    async fn preview(&self, workspace: &Workspace) -> Preview {
        let executable = self.settings().executable.clone();
        let context = plan::Context { executable, in_doubt: false, refreshed: false };
        let look = self.look_at(workspace, context).await;
        let replaces = self.replaces(workspace, &look);
        let blocked = match look.plan.verdict {
            Verdict::Blocked(reason) | Verdict::Unknown(reason) => Some(reason),
            Verdict::Act | Verdict::Converged | Verdict::Waiting(_) | Verdict::Gone => None,
        };
        Preview { actions: look.plan.actions, blocked, replaces }
    }

    fn may_replace(&self, workspace: &Workspace) -> bool {
        let stored = self.parts.intent.get(&workspace.metadata.name);
        let Some(stored) = stored.filter(|stored| stored.metadata.uid == workspace.metadata.uid) else { return false };
        let [before, after] = [&stored, workspace].map(|it| plan::desired(it, &self.settings()));
        // One from before Perry is kept, whatever the spec says, until somebody asks for its replacement.
        let kept = after.adopted.as_ref().is_some_and(|adopted| !adopted.replace);
        let other = before.container.fingerprint != after.container.fingerprint
            || before.container.limits.need_new_container(&after.container.limits)
            || before.adopted != after.adopted;
        (before.goal, after.goal) == (Goal::Running, Goal::Running) && other && !kept
    }

    fn stats(&self) -> Stats {
        self.counted()
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
        let desired = plan::desired(workspace, &self.settings());
        self.parts.runtime.disk(&desired).await.map_err(|error| error.to_string())
    }

    async fn sync(&self, workspace: &Workspace) -> Result<Vec<FileFault>, String> {
        let desired = plan::desired(workspace, &self.settings());
        let faults = self.parts.runtime.sync(&desired).await.map_err(|error| error.to_string())?;
        Ok(desired.files.refused.into_iter().chain(faults).collect())
    }

    async fn ports_in_use(&self) -> BTreeSet<u16> {
        self.parts.runtime.ports_in_use().await
    }

    async fn orphans(&self) -> Result<Orphans, String> {
        self.all_orphans().await.map_err(|error| error.to_string())
    }

    async fn prune(&self, volumes: &BTreeSet<String>, dry_run: bool) -> Result<Pruned, PruneError> {
        self.prune_orphans(volumes, dry_run).await
    }

    async fn build_image(&self, variant: Option<Variant>, progress: Progress<'_>) -> Result<(), String> {
        let tag = &self.settings().config.image_tag;
        let variant = variant.or_else(|| Variant::of(tag, tag)).unwrap_or(Variant::Full);
        self.parts.runtime.build_image(&variant.image(tag), variant, progress).await.map_err(|error| error.to_string())
    }
}
