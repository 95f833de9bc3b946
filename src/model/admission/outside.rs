//! Outside edits: somebody wrote `state.json` by hand. What people may write is validated and honoured; what admission
//! decided once must be as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::state::SCHEMA_VERSION;
use crate::model::{Issue, Issues, Name, State, Workspace};

use super::ports::{self, Taken};
use super::{Rejection, Settings, count_generation, validate, with_defaults};

/// An outside edit that was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The whole new intent; its revision is the old one.
    pub state: State,
    /// What was not done as it was written, for people.
    pub warnings: Vec<String>,
}

/// Admits an outside edit of the whole document. A workspace that is not there any more is restored: absence is never an
/// instruction. Workspaces that were not touched are not validated, only completed where they lack a default. The
/// generation is counted here, whatever was written.
///
/// # Errors
/// Every fault; none of the edit is to be honoured then.
pub fn admit_outside(old: &State, new: State, settings: &Settings<'_>) -> Result<Outside, Issues> {
    let mut issues = Issues::default();
    if new.schema_version != SCHEMA_VERSION {
        let message = format!("{} is not known to this version: write {SCHEMA_VERSION}", new.schema_version);
        issues.push("schemaVersion", message);
    }
    // Begins as it was, so that what is there keeps its host ports and what is missing is restored.
    let mut state = old.clone();
    let missing = old.workspaces.keys().filter(|name| !new.workspaces.contains_key(*name));
    let warnings = missing
        .map(|name| format!("workspace {name} was taken out of state.json and is restored: use `perry delete {name}`"))
        .collect();
    for (name, workspace) in new.workspaces {
        let admitted = match old.workspaces.get(&name) {
            Some(current) if *current == workspace => Ok(completed(&name, current, &state, settings)),
            Some(current) => changed(&name, current, &workspace, &state, settings),
            None => added(&name, &workspace, &state, settings),
        };
        match admitted {
            Ok(workspace) => {
                state.workspaces.insert(name, Arc::new(workspace));
            }
            Err(more) => issues.0.extend(more.0.into_iter().map(|issue| below(&name, issue))),
        }
    }
    check_unique(old, &state, &mut issues);
    issues.into_result(Outside { state, warnings })
}

fn below(name: &Name, issue: Issue) -> Issue {
    let mut path = vec!["workspaces".to_owned(), name.to_string()];
    path.extend(issue.path);
    Issue { path, ..issue }
}

/// An untouched workspace with what it lacks of that which admission decides, such as one that was migrated. What
/// cannot be decided now stays open: it is nobody's fault of today.
fn completed(name: &Name, current: &Workspace, state: &State, settings: &Settings<'_>) -> Workspace {
    let mut next = current.clone();
    if current.metadata.deletion_timestamp.is_some() {
        return next;
    }
    next.spec = with_defaults(&current.spec, None, settings.config);
    if let Ok(ports) = host_ports(name, &next, state, settings) {
        // What a container from before Perry publishes is in no spec until somebody has looked into it.
        let is_pending = current.metadata.adopted.as_ref().is_some_and(|adopted| adopted.pending);
        let kept = current.metadata.host_ports.clone().into_iter().filter(|_| is_pending);
        next.metadata.host_ports = kept.chain(ports).collect();
    }
    count_generation(current, &mut next);
    next
}

fn changed(
    name: &Name,
    current: &Workspace,
    written: &Workspace,
    state: &State,
    settings: &Settings<'_>,
) -> Result<Workspace, Issues> {
    let (old, new) = (&current.metadata, &written.metadata);
    let mut issues = Issues::default();
    let mut fixed = |field: &str, same: bool, was: &str| {
        if !same {
            issues.push(&format!("metadata.{field}"), format!("must not be changed by hand: write {was} again"));
        }
    };
    fixed("name", *name == new.name, name.as_str());
    fixed("uid", old.uid == new.uid, &old.uid.0);
    fixed("created", old.created == new.created, &old.created.to_string());
    fixed("prefix", old.prefix == new.prefix, &old.prefix);
    fixed("hostPorts", old.host_ports == new.host_ports, "what was there (`perry get` shows it)");
    fixed("adopted", old.adopted == new.adopted, "what was there");
    fixed("upgradedAt", old.upgraded_at == new.upgraded_at, "what was there, and use `perry restart --upgrade`");
    fixed("restartedAt", old.restarted_at == new.restarted_at, "what was there, and use `perry restart`");
    if old.deletion_timestamp.is_some() && current.spec != written.spec {
        issues.push("spec", "the workspace is being deleted: it cannot be changed any more");
    }
    if old.deletion_timestamp.is_some() && old.deletion_timestamp != new.deletion_timestamp {
        issues.push("metadata.deletionTimestamp", "a deletion cannot be taken back or moved");
    }
    issues.0.extend(validate::validate(&new.labels, &new.annotations, &written.spec, settings.config).0);
    issues.into_result(())?;
    let mut next = written.clone();
    next.spec = with_defaults(&written.spec, Some(&current.spec), settings.config);
    next.metadata.host_ports = host_ports(name, &next, state, settings)?;
    count_generation(current, &mut next);
    Ok(next)
}

fn added(name: &Name, written: &Workspace, state: &State, settings: &Settings<'_>) -> Result<Workspace, Issues> {
    let metadata = &written.metadata;
    let mut issues = Issues::default();
    if *name != metadata.name {
        issues.push("metadata.name", format!("must be the key: write {name}"));
    }
    let uid = &metadata.uid.0;
    if uid.is_empty() || uid.len() > 64 || !uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        issues.push("metadata.uid", "must be a new UUID: letters, digits and dashes");
    }
    if metadata.prefix.len() > 64 || !metadata.prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        issues.push("metadata.prefix", "has letters, digits and - _ . in it, such as workspace-");
    }
    if metadata.host_ports.values().any(|port| *port == 0) {
        issues.push("metadata.hostPorts", "0 is no port: 1 to 65535, or leave it out");
    }
    issues.0.extend(validate::validate(&metadata.labels, &metadata.annotations, &written.spec, settings.config).0);
    issues.into_result(())?;
    let mut next = written.clone();
    next.spec = with_defaults(&written.spec, None, settings.config);
    next.metadata.generation = next.metadata.generation.max(1);
    next.metadata.host_ports = host_ports(name, &next, state, settings)?;
    Ok(next)
}

/// The host ports that are written, with those that are missing allocated.
fn host_ports(
    name: &Name,
    written: &Workspace,
    state: &State,
    settings: &Settings<'_>,
) -> Result<BTreeMap<Name, u16>, Issues> {
    let taken = Taken::beside(name, state, settings, &BTreeSet::new());
    ports::allocate(name, &written.spec, &written.metadata.host_ports, &taken).map_err(|rejection| match rejection {
        Rejection::Invalid(issues) => issues,
        other => {
            let mut issues = Issues::default();
            issues.push("spec.ports", other.to_string());
            issues
        }
    })
}

/// No uid and no host port twice. What was so before the edit is not its fault.
fn check_unique(old: &State, state: &State, issues: &mut Issues) {
    let (mut uids, mut ports) = (BTreeMap::new(), BTreeMap::new());
    for (name, workspace) in &state.workspaces {
        let untouched = old.workspaces.get(name).is_some_and(|before| before == workspace);
        let mut fault = |path: &str, message: String| issues.0.push(below(name, Issue::new(path, message)));
        if let Some((first, was)) = uids.insert(&workspace.metadata.uid, (name, untouched))
            && !(untouched && was)
        {
            fault("metadata.uid", format!("is the uid of {first} too: write a new UUID"));
        }
        for port in workspace.metadata.host_ports.values() {
            if let Some((first, was)) = ports.insert(*port, (name, untouched))
                && !(untouched && was)
            {
                fault("metadata.hostPorts", format!("host port {port} is {first}'s too: take another"));
            }
        }
    }
}
