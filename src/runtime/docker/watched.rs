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

impl Entry {
    fn has_adopted(&self, id: &str) -> bool {
        self.adopted.as_deref().is_some_and(|adopted| is_id(id, adopted))
    }
}

/// Whether a container's id is this one, which older records may have shortened to its first twelve digits.
pub(super) fn is_id(id: &str, recorded: &str) -> bool {
    recorded.len() >= 12 && id.starts_with(recorded)
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
        self.entries().values().any(|entry| entry.has_adopted(id))
    }

    /// The workspaces with this adopted container.
    pub(super) fn by_container(&self, id: &str) -> Vec<Name> {
        self.names(|entry| entry.has_adopted(id))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_id_is_known_and_a_mere_beginning_is_not() {
        let id = "0123456789abcdef";
        assert!(is_id(id, id) && is_id(id, "0123456789ab"));
        assert!(!is_id(id, "0123456789a") && !is_id(id, "") && !is_id(id, "1123456789ab"));
    }
}
