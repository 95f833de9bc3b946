//! Stands between the controller and the fake engine and notes what the controller was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::Stream;
use perry::model::observed::{EngineSeen, FileFault, Seen};
use perry::model::{Action, Desired, DiskUsage, Name, Observed, Uid, Variant, Workspace};
use perry::runtime::fake::World;
use perry::runtime::{Hint, Orphans, Progress, Runtime, RuntimeError};

use super::ablation::Ablation;
use super::intent::Desk;

/// What the controller was shown, and whether it was shown two things of one key at once.
#[derive(Default)]
pub struct Notes {
    /// The latest look of each workspace, with what it was for.
    pub looks: BTreeMap<Name, (Desired, Observed)>,
    /// Keys that are being looked at or acted upon.
    busy: BTreeSet<Name>,
    /// Violations of S7.
    pub doubles: Vec<String>,
    /// Actions called for, ever.
    pub calls: Vec<String>,
}

pub struct Probe {
    pub inner: Box<dyn Runtime>,
    pub notes: Arc<Mutex<Notes>>,
    pub ablation: Ablation,
    pub desk: Desk,
    pub world: World,
    /// What each name was when the latest look at it began.
    pub frozen: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
}

struct Busy {
    notes: Arc<Mutex<Notes>>,
    name: Name,
}

impl Probe {
    fn enter(&self, name: &Name) -> Busy {
        let mut notes = self.notes.lock().unwrap();
        if !notes.busy.insert(name.clone()) {
            notes.doubles.push(format!("S7: {name} is in two passes at once"));
        }
        Busy { notes: self.notes.clone(), name: name.clone() }
    }
}

impl Probe {
    /// The action on whatever bears the name now of what was seen.
    fn by_name(&self, action: &Action) -> Action {
        let mut action = action.clone();
        let notes = self.notes.lock().unwrap();
        let named = |id: &str| {
            notes.looks.values().find_map(|(_, seen)| {
                seen.containers
                    .present()?
                    .iter()
                    .find(|container| container.id == id)
                    .map(|container| container.name.clone())
            })
        };
        self.world.with(|engine| match &mut action {
            Action::StopContainer { id }
            | Action::RemoveContainer { id }
            | Action::UnpauseContainer { id }
            | Action::StartContainer { id, .. }
            | Action::InstallWorker { id, .. }
            | Action::ReattachNetwork { id, .. } => {
                let name = named(id);
                if let Some(now) = engine.containers.values().find(|container| Some(&container.name) == name.as_ref()) {
                    id.clone_from(&now.id);
                }
            }
            Action::RemoveVolume { name, created_at, owner } => {
                if let Some(now) = engine.volumes.get(name.as_str()) {
                    created_at.clone_from(&now.created_at);
                    owner.clone_from(&now.owner);
                }
            }
            _ => {}
        });
        action
    }
}

/// The action without the check that its volumes are its own.
fn unchecked(action: &Action) -> Action {
    let mut action = action.clone();
    if let Action::CreateContainer { volumes, .. } = &mut action {
        volumes.iter_mut().for_each(|volume| volume.adopted = true);
    }
    action
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.notes.lock().unwrap().busy.remove(&self.name);
    }
}

#[async_trait]
impl Runtime for Probe {
    async fn observe(&self, desired: &Desired) -> Observed {
        let _busy = self.enter(&desired.owner.name);
        if let Some(stored) = self.desk.state().workspaces.get(&desired.owner.name) {
            self.frozen.lock().unwrap().insert(desired.owner.name.clone(), stored.clone());
        }
        let seen = self.inner.observe(desired).await;
        let shown = self.ablation.look(desired, seen);
        let name = desired.owner.name.clone();
        self.notes.lock().unwrap().looks.insert(name, (desired.clone(), shown.clone()));
        shown
    }

    async fn apply(&self, action: &Action, progress: Progress<'_>) -> Result<(), RuntimeError> {
        self.notes.lock().unwrap().calls.push(action.to_string());
        let action = match self.ablation {
            Ablation::NamesNotIds => self.by_name(action),
            Ablation::TakesForeignVolumes => unchecked(action),
            _ => action.clone(),
        };
        self.inner.apply(&action, progress).await
    }

    fn events(&self) -> Pin<Box<dyn Stream<Item = Hint> + Send>> {
        self.inner.events()
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        self.inner.engine().await
    }

    async fn build_image(&self, image: &str, variant: Variant, progress: Progress<'_>) -> Result<(), RuntimeError> {
        self.inner.build_image(image, variant, progress).await
    }

    async fn sync(&self, desired: &Desired) -> Result<Vec<FileFault>, RuntimeError> {
        self.inner.sync(desired).await
    }

    async fn ports_in_use(&self) -> BTreeSet<u16> {
        self.inner.ports_in_use().await
    }

    async fn disk(&self, desired: &Desired) -> Result<DiskUsage, RuntimeError> {
        self.inner.disk(desired).await
    }

    async fn orphans(&self, known: &BTreeSet<Uid>) -> Result<Orphans, RuntimeError> {
        self.inner.orphans(known).await
    }
}
