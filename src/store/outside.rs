//! Edits of `state.json` by somebody else: what of them is taken. Pure.
//!
//! A hand edit says what a person wants, not what Perry decided: specs, labels, annotations, restarts and deletions are
//! taken; identities and reservations are kept; what is missing is put back, since absence is never an instruction.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{Issues, Name, State, Uid, Workspace};

/// Validates an outside edit, fills in defaults and allocates ports: `old` is the committed intent, `new` the edit after
/// [`merge`]. At start `old` equals `new`, which must then come back as it is unless something is missing from it.
pub type Admit = Box<dyn Fn(&State, State) -> Result<State, Issues> + Send>;

/// An outside edit made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What it comes to.
    pub state: State,
    /// What was not taken from it, for people.
    pub notes: Vec<String>,
}

/// A leap of generations beyond this is no count of changes but a slip of the hand.
const GENERATION_LEAP_MAX: u64 = 1_000_000;

/// Makes an outside edit safe: `new` was found where `old` had been written. A workspace whose uid is in `forgotten` was
/// deleted to the end and does not come back by an editor's old copy.
pub fn merge(old: &State, new: State, forgotten: &VecDeque<Uid>) -> Merged {
    let mut notes = Vec::new();
    if new.revision < old.revision {
        notes.push(format!(
            "state.json was edited from revision {}, while {} was the latest: what had changed in between was taken \
             back where the edit differs; see state.json.1",
            new.revision, old.revision
        ));
    }
    let mut state = State { revision: old.revision.max(new.revision), ..new };
    state.workspaces.retain(|name, workspace| {
        let gone = !old.workspaces.contains_key(name) && forgotten.contains(&workspace.metadata.uid);
        if gone {
            notes.push(format!("workspace {name} was deleted and does not come back by an edit of state.json"));
        }
        !gone
    });
    for (name, workspace) in &mut state.workspaces {
        match old.workspaces.get(name) {
            Some(before) => merge_one(name, before, workspace, &mut notes),
            None if workspace.metadata.generation == 0 => Arc::make_mut(workspace).metadata.generation = 1,
            None => {}
        }
    }
    for (name, before) in &old.workspaces {
        if !state.workspaces.contains_key(name) {
            state.workspaces.insert(name.clone(), before.clone());
            notes.push(format!(
                "workspace {name} was missing from state.json and was put back; to delete it: perry delete {name}"
            ));
        }
    }
    Merged { state, notes }
}

fn merge_one(name: &Name, before: &Arc<Workspace>, found: &mut Arc<Workspace>, notes: &mut Vec<String>) {
    if before == found {
        // The same object, so that nobody takes it for a change.
        *found = before.clone();
        return;
    }
    let (old, new) = (&before.metadata, &mut Arc::make_mut(found).metadata);
    let mut kept = Vec::new();
    keep("uid", &old.uid, &mut new.uid, &mut kept);
    keep("created", &old.created, &mut new.created, &mut kept);
    keep("prefix", &old.prefix, &mut new.prefix, &mut kept);
    keep("hostPorts", &old.host_ports, &mut new.host_ports, &mut kept);
    keep("adopted", &old.adopted, &mut new.adopted, &mut kept);
    if old.deletion_timestamp.is_some() {
        keep("deletionTimestamp", &old.deletion_timestamp, &mut new.deletion_timestamp, &mut kept);
    }
    if !kept.is_empty() {
        let fields = kept.join(", ");
        notes.push(format!("workspace {name}: {fields} cannot be changed in state.json and stayed as it was"));
    }
    let changed = before.spec != found.spec
        || old.labels != found.metadata.labels
        || old.restarted_at != found.metadata.restarted_at
        || old.upgraded_at != found.metadata.upgraded_at
        || old.deletion_timestamp != found.metadata.deletion_timestamp;
    let generation = &mut Arc::make_mut(found).metadata.generation;
    let ahead = generation.saturating_sub(old.generation);
    *generation = match changed {
        false => old.generation,
        true if (1..=GENERATION_LEAP_MAX).contains(&ahead) => *generation,
        true => old.generation.saturating_add(1),
    };
}

fn keep<T: PartialEq + Clone>(field: &'static str, old: &T, new: &mut T, kept: &mut Vec<&'static str>) {
    if old != new {
        new.clone_from(old);
        kept.push(field);
    }
}
