//! What must be true: S1 to S10 at every step, L1 and L2 at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use perry::model::{Action, ConditionType, Desired, Name, Shown, State, Uid, Verdict, View};
use perry::plan::{Context, plan};
use perry::runtime::fake::{Engine, Moment};
use perry::watch::{Cursor, FrameKind, Hub, Subscription};

/// Everything that the oracle knows, shared with the witness of the engine.
#[derive(Clone, Default)]
pub struct Oracle {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    agent: String,
    /// Intent as it was last committed.
    state: Arc<State>,
    /// Workspaces whose deletion was ever committed.
    deleting: BTreeSet<Uid>,
    /// Workspaces whose deletion was finished.
    finished: BTreeSet<Uid>,
    violations: Vec<String>,
    /// Per name: uid and highest observedGeneration within this boot.
    generations: BTreeMap<Name, (Uid, u64)>,
    /// Per name: the version of the view that was checked last.
    versions: BTreeMap<Name, String>,
}

impl Oracle {
    pub fn new(agent: &str) -> Self {
        let oracle = Self::default();
        oracle.lock().agent = agent.to_owned();
        oracle
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn committed(&self, state: Arc<State>) {
        let mut inner = self.lock();
        let mut ports = BTreeMap::new();
        for workspace in state.workspaces.values() {
            for port in workspace.metadata.host_ports.values() {
                if let Some(other) = ports.insert(*port, &workspace.metadata.name) {
                    let text = format!("S9: port {port} is given to {other} and {}", workspace.metadata.name);
                    inner.violations.push(text);
                }
            }
        }
        let deleting = state.workspaces.values().filter(|workspace| workspace.metadata.deletion_timestamp.is_some());
        inner.deleting.extend(deleting.map(|workspace| workspace.metadata.uid.clone()));
        inner.state = state;
    }

    pub fn violation(&self, text: impl Into<String>) {
        self.lock().violations.push(text.into());
    }

    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub fn deletion_finished(&self, uid: &Uid) {
        self.lock().finished.insert(uid.clone());
    }

    pub fn booted(&self) {
        self.lock().generations.clear();
    }

    /// S1, S2, S3 and S10, at the moment of each action.
    pub fn witness(&self, moment: &Moment<'_>) {
        let mut inner = self.lock();
        let found = match moment.after {
            None => inner.called(moment.action, moment.behind).into_iter().collect(),
            Some(after) => inner.took_effect(moment.action, moment.before, after),
        };
        inner.violations.extend(found);
    }

    /// S5, S6 and what a finished deletion leaves, after each step.
    pub fn step(
        &self,
        hub: &Hub<Shown>,
        engine: &Engine,
        looks: &BTreeMap<Name, (Desired, perry::model::Observed)>,
        context: &Context,
    ) {
        let mut inner = self.lock();
        let mut found = inner.leftovers(engine);
        for view in hub.list().0 {
            found.extend(inner.check_view(&view, looks, context));
        }
        inner.violations.extend(found);
    }
}

impl Inner {
    fn called(&self, action: &Action, behind: Option<&Desired>) -> Option<String> {
        let behind = behind?;
        let stored = self.state.workspaces.get(behind.owner.name.as_str())?;
        let newer = stored.metadata.uid != behind.owner.uid || stored.metadata.generation > behind.generation;
        newer.then(|| {
            let (name, was, is) = (&behind.owner.name, behind.generation, stored.metadata.generation);
            format!("S10: {name} acts for generation {was} although {is} is stored: {action}")
        })
    }

    fn took_effect(&self, action: &Action, before: &Engine, after: &Engine) -> Vec<String> {
        let mut found = Vec::new();
        for (name, volume) in &before.volumes {
            if after.volumes.get(name) == Some(volume) {
                continue;
            }
            match &volume.owner {
                Some(owner) if owner.agent == self.agent && self.deleting.contains(&owner.uid) => {}
                Some(owner) if owner.agent == self.agent => {
                    found
                        .push(format!("S1: volume {name} of {} was removed without its deletion: {action}", owner.uid));
                }
                _ => found.push(format!("S2: volume {name} of somebody else was touched: {action}")),
            }
        }
        for (id, container) in &before.containers {
            let ours = container.owner.as_ref().is_some_and(|owner| owner.agent == self.agent);
            if after.containers.get(id) != Some(container) && !ours {
                found.push(format!("S2: container {} of somebody else was touched: {action}", container.name));
            }
        }
        let mut of_uid: BTreeMap<&Uid, usize> = BTreeMap::new();
        for container in after.containers.values() {
            let Some(owner) = container.owner.as_ref().filter(|owner| owner.agent == self.agent) else { continue };
            *of_uid.entry(&owner.uid).or_default() += 1;
            let foreign =
                |name: &&String| after.volumes.get(*name).is_some_and(|volume| volume.owner.as_ref() != Some(owner));
            if !before.containers.contains_key(&container.id)
                && let Some(volume) = container.volumes.iter().find(foreign)
            {
                found.push(format!("S1: {} was made on volume {volume} of somebody else", container.name));
            }
        }
        found.extend(
            of_uid
                .iter()
                .filter(|(_, count)| **count > 1)
                .map(|(uid, count)| format!("S3: {count} containers of {uid}")),
        );
        found
    }

    /// Nothing of a workspace whose deletion was finished may be there, now or later.
    fn leftovers(&self, engine: &Engine) -> Vec<String> {
        let finished = |uid: &Uid| self.finished.contains(uid);
        let mut found = Vec::new();
        for container in engine.containers.values() {
            if container.owner.as_ref().is_some_and(|owner| owner.agent == self.agent && finished(&owner.uid)) {
                found.push(format!("deleted, but container {} is there", container.name));
            }
        }
        for (name, volume) in &engine.volumes {
            if volume.owner.as_ref().is_some_and(|owner| owner.agent == self.agent && finished(&owner.uid)) {
                found.push(format!("deleted, but volume {name} is there"));
            }
        }
        found
    }

    fn check_view(
        &mut self,
        view: &View,
        looks: &BTreeMap<Name, (Desired, perry::model::Observed)>,
        context: &Context,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let name = &view.name;
        if view.observed_generation > view.generation {
            found.push(format!("S5: {name} observed {} of {}", view.observed_generation, view.generation));
        }
        if view.observed_at.is_none()
            && view.status != perry::model::Phase::Unknown
            && view.status != perry::model::Phase::Deleting
        {
            found.push(format!("S5: {name} is {:?} before the first look", view.status));
        }
        let seen = self.generations.entry(name.clone()).or_insert_with(|| (view.uid.clone(), 0));
        if seen.0 != view.uid {
            *seen = (view.uid.clone(), 0);
        }
        if view.observed_generation < seen.1 {
            found.push(format!("S5: {name} went back from {} to {}", seen.1, view.observed_generation));
        }
        seen.1 = view.observed_generation;
        let news =
            self.versions.insert(name.clone(), view.resource_version.clone()).as_ref() != Some(&view.resource_version);
        if news && view.is_true(ConditionType::Ready) {
            let justified = looks.get(name).is_some_and(|(desired, observed)| {
                let plan = plan(desired, observed, context);
                desired.generation == view.generation && plan.actions.is_empty() && plan.verdict == Verdict::Converged
            });
            if !justified {
                found.push(format!("S6: {name} is Ready at {} and the plan was not empty", view.generation));
            }
        }
        found
    }
}

/// Applies the frames of a watch and compares with the list: S8.
pub struct Watcher {
    subscription: Subscription<Shown>,
    held: BTreeMap<String, View>,
    cursor: Option<Cursor>,
}

impl Watcher {
    pub fn new(hub: &Hub<Shown>) -> Self {
        Self { subscription: hub.subscribe(None), held: BTreeMap::new(), cursor: None }
    }

    /// Comes back after a cut connection, perhaps to another boot.
    pub fn resume(&mut self, hub: &Hub<Shown>) {
        self.subscription = hub.subscribe(self.cursor.as_ref());
    }

    /// Reads everything there is, and compares.
    pub fn catch_up(&mut self, hub: &Hub<Shown>, oracle: &Oracle) {
        let mut listing = false;
        while let Ok(Some(frame)) = self.subscription.try_next() {
            match (frame.kind, frame.object) {
                (FrameKind::Reset, _) => {
                    self.held.clear();
                    listing = true;
                }
                (FrameKind::Added | FrameKind::Modified, Some(object)) => {
                    let known = self.held.insert(object.name.to_string(), View::clone(&object));
                    if known.is_some() && frame.kind == FrameKind::Added && !listing {
                        oracle.violation(format!("S8: {} was added twice", object.name));
                    }
                }
                (FrameKind::Deleted, Some(object)) => {
                    if self.held.remove(object.name.as_str()).is_none() {
                        oracle.violation(format!("S8: {} was deleted and not known", object.name));
                    }
                }
                _ => listing = false,
            }
            if frame.cursor.is_some() {
                self.cursor = frame.cursor;
            }
        }
        let ageless = |view: &View| View { observed_at: None, ..view.clone() };
        let (list, _) = hub.list();
        let listed: BTreeMap<String, View> = list.iter().map(|view| (view.name.to_string(), ageless(view))).collect();
        let held: BTreeMap<String, View> = self.held.iter().map(|(name, view)| (name.clone(), ageless(view))).collect();
        if listed != held {
            oracle.violation("S8: the watcher holds something else than the list says");
        }
    }
}
