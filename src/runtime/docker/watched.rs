//! What the workspaces that were looked at own beyond what their labels say: events name volumes and networks without
//! labels, and an adopted container bears none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Desired, Name, Uid};

/// What each workspace that was looked at owns, by uid.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<BTreeMap<Uid, Entry>>);

#[derive(Debug)]
struct Entry {
    name: Name,
    volumes: BTreeSet<String>,
    network: String,
    adopted: Option<String>,
}

impl Watched {
    /// Remembers what a workspace owns.
    pub(super) fn remember(&self, desired: &Desired) {
        let entry = Entry {
            name: desired.owner.name.clone(),
            volumes: desired.volumes.iter().map(|volume| volume.name.clone()).collect(),
            network: desired.container.network.clone(),
            adopted: desired.adopted.as_ref().map(|adopted| adopted.id.clone()),
        };
        self.entries().insert(desired.owner.uid.clone(), entry);
    }

    /// Forgets a workspace.
    pub(super) fn forget(&self, uid: &Uid) {
        self.entries().remove(uid);
    }

    /// Whether a workspace adopted this container.
    pub(super) fn adopted(&self, id: &str) -> bool {
        self.entries().values().any(|entry| entry.adopted.as_deref() == Some(id))
    }

    /// The workspaces with this adopted container.
    pub(super) fn by_container(&self, id: &str) -> Vec<Name> {
        self.names(|entry| entry.adopted.as_deref() == Some(id))
    }

    /// The workspaces with this volume.
    pub(super) fn by_volume(&self, name: &str) -> Vec<Name> {
        self.names(|entry| entry.volumes.contains(name))
    }

    /// Whether any workspace uses this network.
    pub(super) fn has_network(&self, name: &str) -> bool {
        self.entries().values().any(|entry| entry.network == name)
    }

    fn names(&self, mine: impl Fn(&Entry) -> bool) -> Vec<Name> {
        self.entries().values().filter(|entry| mine(entry)).map(|entry| entry.name.clone()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Uid, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
