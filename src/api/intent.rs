//! Writing intent: one pure edit, committed by the store, shown by the controller.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::Api;
use super::host_right::HostRight;
use crate::contract::{AgentWarning, ApiError, Conflict, ConflictReason};
use crate::model::admission::{self, Admitted, Change, Rejection, Settings};
use crate::model::{Issue, Issues, Name, Shown, State, Uid, Workspace};
use crate::store::{EditError, IntentError, Store, Warning};

/// How long it stands which host ports are in use.
const PORTS_STAND: Duration = Duration::from_millis(20);

/// A pure edit of the latest intent; `false` leaves everything as it is.
pub type Edit = Box<dyn FnOnce(&mut State) -> bool + Send>;

/// What the API knows of the store.
#[async_trait]
pub trait Intents: Send + Sync {
    /// The latest committed intent.
    fn snapshot(&self) -> Arc<State>;

    /// Commits what the edit makes of the latest intent, if it says so. The edit runs exactly once, unless the commit
    /// fails before it.
    ///
    /// # Errors
    /// Nothing was committed.
    async fn commit(&self, edit: Edit) -> Result<(), IntentError>;

    /// What a person should know of the agent's files.
    fn warnings(&self) -> Vec<AgentWarning> {
        Vec::new()
    }

    /// Why it is not sure that intent is whole; `None` where it is.
    fn untrusted(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl Intents for Store {
    fn snapshot(&self) -> Arc<State> {
        Self::snapshot(self)
    }

    async fn commit(&self, edit: Edit) -> Result<(), IntentError> {
        match self.edit(move |state| if edit(state) { Ok(()) } else { Err(()) }).await {
            Ok(()) | Err(EditError::Rejected(())) => Ok(()),
            Err(EditError::Failed(error)) => Err(IntentError(error.chain())),
            Err(EditError::Invalid(issues)) => Err(IntentError(format!("state.json was not written: {issues}"))),
            Err(EditError::Panicked) => Err(IntentError("state.json was not written: the edit panicked".to_owned())),
        }
    }

    fn warnings(&self) -> Vec<AgentWarning> {
        let warning = |Warning { since, message }| AgentWarning { since, message };
        Self::warnings(self).into_iter().map(warning).collect()
    }

    fn untrusted(&self) -> Option<String> {
        Self::untrusted(self)
    }
}

/// What an edit did.
pub(super) struct Edited<T> {
    /// The workspaces whose intent it changed; where there are none, nothing is written.
    pub(super) changed: Vec<Name>,
    /// What it found.
    pub(super) value: T,
}

impl From<Admitted> for Edited<Admitted> {
    fn from(admitted: Admitted) -> Self {
        let changed = (admitted.change != Change::Unchanged).then(|| admitted.workspace.metadata.name.clone());
        Self { changed: changed.into_iter().collect(), value: admitted }
    }
}

impl Api {
    /// Commits an edit and shows it to watchers. Once begun it is finished, also where the client goes away.
    pub(super) async fn edit<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut State) -> Result<Edited<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (store, controller) = (self.parts.store.clone(), self.parts.controller.clone());
        let task = tokio::spawn(async move {
            let (tell, told) = oneshot::channel();
            let edit = move |state: &mut State| {
                let result = change(state);
                let write = result.as_ref().is_ok_and(|edited| !edited.changed.is_empty());
                // Whoever waits for it is the task itself.
                tell.send(result).ok();
                write
            };
            store.commit(Box::new(edit)).await.map_err(|error| ApiError::Unavailable(error.to_string()))?;
            let edited =
                told.await.map_err(|_| ApiError::Internal("an edit was committed but not run".to_owned()))??;
            edited.changed.iter().for_each(|name| controller.changed(name));
            Ok(edited.value)
        });
        task.await.map_err(|error| ApiError::Internal(format!("an edit ended early: {error}")))?
    }

    /// An edit of one workspace by one of admission's verbs; what it makes, the caller must have a right to.
    pub(super) async fn edit_one(
        &self,
        right: HostRight,
        verb: impl FnOnce(&mut State, &Settings<'_>) -> Result<Admitted, Rejection> + Send + 'static,
    ) -> Result<Workspace, ApiError> {
        let fixed = self.settings(None, false).await;
        let edit = move |state: &mut State| {
            let admitted = verb(state, &fixed.settings()).map_err(flat)?;
            right.have(&admitted)?;
            Ok(Edited::from(admitted))
        };
        Ok(self.edit(edit).await?.workspace)
    }

    /// What admission needs to know at this moment.
    pub(super) async fn settings(&self, if_generation: Option<u64>, allow_replace: bool) -> FixedSettings {
        let (config, in_use) = (self.parts.config.get(), self.ports_in_use().await);
        FixedSettings { config, now: self.parts.clock.wall(), if_generation, allow_replace, in_use }
    }

    /// Host ports that somebody listens on, as of a moment ago: a burst of applies looks once.
    async fn ports_in_use(&self) -> Arc<BTreeSet<u16>> {
        let now = self.parts.clock.monotonic();
        // Nobody waits for anybody here: a burst that waited in line would be many small commits instead of a few large.
        let looked = || self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looked().as_ref().filter(|(at, _)| now < *at + PORTS_STAND).map(|(_, ports)| ports.clone());
        if let Some(ports) = known {
            return ports;
        }
        let ports = Arc::new(self.parts.controller.ports_in_use().await);
        *looked() = Some((now, ports.clone()));
        ports
    }

    /// The view of a workspace at its generation or a later one.
    pub(super) fn view_of(&self, workspace: &Workspace) -> Result<Arc<Shown>, ApiError> {
        let metadata = &workspace.metadata;
        let shown = || {
            let view = self.parts.hub.get(metadata.name.as_str())?;
            (view.uid == metadata.uid && view.generation >= metadata.generation).then_some(view)
        };
        if let Some(view) = shown() {
            return Ok(view);
        }
        // Right after boot it may not have been shown yet.
        self.parts.controller.changed(&metadata.name);
        shown().ok_or_else(|| ApiError::NotFound(metadata.name.clone()))
    }
}

/// [`Settings`] that own what they need, to be sent into an edit.
#[derive(Debug, Clone)]
pub(super) struct FixedSettings {
    config: Arc<crate::model::Config>,
    now: jiff::Timestamp,
    if_generation: Option<u64>,
    allow_replace: bool,
    in_use: Arc<BTreeSet<u16>>,
}

impl FixedSettings {
    pub(super) fn settings(&self) -> Settings<'_> {
        Settings {
            config: &self.config,
            now: self.now,
            uid: fresh_uid(),
            if_generation: self.if_generation,
            allow_replace: self.allow_replace,
            in_use: &self.in_use,
        }
    }
}

pub(super) fn fresh_uid() -> Uid {
    Uid(uuid::Uuid::new_v4().to_string())
}

/// A rejection as an error of the API; of the document with that number, where there are several.
pub(super) fn rejected(document: Option<usize>, rejection: Rejection) -> ApiError {
    match rejection {
        Rejection::NotFound(name) => ApiError::NotFound(name),
        Rejection::Invalid(issues) => ApiError::BadRequest(of_document(document, issues)),
        Rejection::Conflict(conflict) => conflicting(document, conflict).into(),
    }
}

/// The same for an input that has the fields of the document at its root.
fn flat(rejection: Rejection) -> ApiError {
    let Rejection::Invalid(issues) = rejection else { return rejected(None, rejection) };
    let up = |mut issue: Issue| {
        if issue.path.first().is_some_and(|first| first == "spec" || first == "metadata") {
            issue.path.remove(0);
        }
        issue
    };
    ApiError::BadRequest(Issues(issues.0.into_iter().map(up).collect()))
}

/// Issues whose paths begin with the number of the document.
pub(super) fn of_document(document: Option<usize>, issues: Issues) -> Issues {
    let Some(document) = document else { return issues };
    let within = |issue: Issue| {
        let path = std::iter::once(document.to_string()).chain(issue.path).collect();
        Issue { path, ..issue }
    };
    Issues(issues.0.into_iter().map(within).collect())
}

fn conflicting(document: Option<usize>, conflict: admission::Conflict) -> Conflict {
    use admission::ConflictReason as Admission;
    let (reason, generation) = match conflict.reason {
        Admission::Exists => (ConflictReason::Exists, None),
        Admission::Deleting => (ConflictReason::Deleting, None),
        Admission::StaleGeneration(now) => (ConflictReason::StaleGeneration, Some(now)),
        Admission::NeedsReplace => (ConflictReason::NeedsReplace, None),
        Admission::PortTaken => (ConflictReason::PortTaken, None),
        Admission::Differs => (ConflictReason::Differs, None),
    };
    let message = conflict.message;
    Conflict {
        reason,
        generation,
        path: conflict.path,
        document,
        hint: conflict.hint,
        ..Conflict::new(reason, &conflict.name, message)
    }
}
