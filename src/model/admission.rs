//! Admission: from what somebody asks for to the intent that is stored, or the reasons why not. Validates, fills in
//! defaults, and decides once what must not change later (uid, prefix, host ports). Pure: the caller brings the state,
//! the time and a fresh uid, and stores what comes back.
//!
//! `generation` counts what the loop must act on: a change of spec or host ports, a restart, a deletion. Labels and
//! annotations change without it, as in Kubernetes.

mod edit;
mod image;
mod keys;
mod labels;
mod outside;
pub(in crate::model) mod paths;
mod ports;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Config, Document, Issue, Issues, Name, Run, Spec, State, Uid, Workspace, workspace::Metadata};
pub use edit::{Flags, create, delete, restart, set_run, start};
pub use outside::{Outside, admit_outside};

/// What admission needs to know besides the document and the state.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The agent's settings: default image, prefix and port ranges.
    pub config: &'a Config,
    /// The present time.
    pub now: Timestamp,
    /// What a new workspace will be called by, fresh and unique.
    pub uid: Uid,
    /// Refuse unless the workspace has this generation; 0: unless it does not exist.
    pub if_generation: Option<u64>,
    /// A container taken over from before Perry may be replaced.
    pub allow_replace: bool,
    /// Host ports that other programs listen on, and containers, those of workspaces included.
    pub in_use: &'a BTreeSet<u16>,
}

/// Where nobody can tell which host ports are in use.
pub static NOT_KNOWN: BTreeSet<u16> = BTreeSet::new();

/// What was admitted, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The whole new intent of the workspace.
    pub workspace: Workspace,
    /// What happened to the intent.
    pub change: Change,
    /// What was accepted but may not be meant.
    pub warnings: Vec<String>,
}

/// What happened to an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It was changed.
    Configured,
    /// It was so already.
    Unchanged,
}

/// Why something was not admitted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No workspace has the name.
    #[error("there is no workspace {0}")]
    NotFound(Name),
    /// What is there is in the way.
    #[error("{0}")]
    Conflict(Conflict),
    /// The input is wrong.
    #[error("{0}")]
    Invalid(Issues),
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The workspace.
    pub name: Name,
    /// For programs.
    pub reason: ConflictReason,
    /// The field of the document, as in an issue; empty where it is none.
    pub path: Vec<String>,
    /// What is in the way.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.issue().fmt(f)
    }
}

impl Conflict {
    /// The same as an issue of the document.
    pub fn issue(&self) -> Issue {
        Issue { message: self.message.clone(), path: self.path.clone() }
    }
}

/// Kinds of [`Conflict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictReason {
    /// The name is taken.
    Exists,
    /// The workspace is being deleted.
    Deleting,
    /// It has another generation than was asked for: this one, 0 where it does not exist.
    StaleGeneration(u64),
    /// It would end running work, and that was not allowed. Found by whoever can look at the engine.
    NeedsReplace,
    /// A host port belongs to somebody else, or none is free.
    PortTaken,
    /// It exists and is not what was asked for.
    Differs,
}

impl Rejection {
    /// A conflict.
    pub fn conflict(
        reason: ConflictReason,
        name: &Name,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) -> Self {
        let (path, message, hint) = (Vec::new(), message.into(), hint.into());
        Self::Conflict(Conflict { name: name.clone(), reason, path, message, hint })
    }

    /// The same, at a field of the document.
    #[must_use]
    fn at(self, path: &str) -> Self {
        match self {
            Self::Conflict(conflict) => Self::Conflict(Conflict { path: Issue::new(path, "").path, ..conflict }),
            other => other,
        }
    }

    fn deleting(name: &Name) -> Self {
        let hint = format!("wait for its end: perry wait {name} --for deleted");
        let message = format!("workspace {name} is being deleted");
        Self::conflict(ConflictReason::Deleting, name, message, hint)
    }
}

/// Admits one document. `current` is the workspace of that name in `state`.
///
/// # Errors
/// Every fault of the document at once, or the first conflict.
pub fn admit(
    current: Option<&Workspace>,
    document: &Document,
    state: &State,
    settings: &Settings<'_>,
) -> Result<Admitted, Rejection> {
    admit_beside(current, document, state, settings, &BTreeSet::new())
}

/// Several documents that were admitted as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The state with all of them.
    pub state: State,
    /// What became of each, in order.
    pub admitted: Vec<Admitted>,
}

/// Admits several documents as one: all or none.
/// `uids` gives a fresh uid for each new workspace.
///
/// # Errors
/// Every document that was rejected, with its index.
pub fn admit_all(
    state: &State,
    documents: &[Document],
    settings: &Settings<'_>,
    mut uids: impl FnMut() -> Uid,
) -> Result<Batch, Vec<(usize, Rejection)>> {
    let mut next = state.clone();
    let mut admitted = Vec::with_capacity(documents.len());
    let mut rejected = Vec::new();
    let mut seen = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let name = &document.metadata.name;
        if let Some(first) = seen.insert(name, index) {
            rejected.push((index, twice(name, first)));
            continue;
        }
        // Host ports that others of these documents ask for are not given away on the way there.
        let others = documents.iter().filter(|other| other.metadata.name != *name);
        let reserved = others.flat_map(|other| &other.spec.ports).filter_map(|port| port.host_port).collect();
        let settings = Settings { uid: uids(), ..settings.clone() };
        let current = next.workspaces.get(name).cloned();
        match admit_beside(current.as_deref(), document, &next, &settings, &reserved) {
            Ok(one) => {
                next.workspaces.insert(name.clone(), Arc::new(one.workspace.clone()));
                admitted.push(one);
            }
            Err(rejection) => rejected.push((index, rejection)),
        }
    }
    if rejected.is_empty() { Ok(Batch { state: next, admitted }) } else { Err(rejected) }
}

fn twice(name: &Name, first: usize) -> Rejection {
    let mut issues = Issues::default();
    let message = format!("{name} is described twice, first by document {}: leave one out", first + 1);
    issues.push("metadata.name", message);
    Rejection::Invalid(issues)
}

fn admit_beside(
    current: Option<&Workspace>,
    document: &Document,
    state: &State,
    settings: &Settings<'_>,
    reserved: &BTreeSet<u16>,
) -> Result<Admitted, Rejection> {
    let name = &document.metadata.name;
    check_generation(name, current, settings.if_generation)?;
    if current.is_some_and(|workspace| workspace.metadata.deletion_timestamp.is_some()) {
        return Err(Rejection::deleting(name).at("metadata.name"));
    }
    let metadata = &document.metadata;
    let issues = validate::validate(&metadata.labels, &metadata.annotations, &document.spec, settings.config);
    issues.into_result(()).map_err(Rejection::Invalid)?;

    let spec = with_defaults(&document.spec, current.map(|workspace| &workspace.spec), settings.config);
    let kept = current.map(|workspace| workspace.metadata.host_ports.clone()).unwrap_or_default();
    let host_ports = ports::allocate(name, &spec, &kept, &ports::Taken::beside(name, state, settings, reserved))?;
    let warnings = validate::warnings(&spec);
    let workspace = match current {
        None => new_workspace(document, spec, host_ports, settings),
        Some(current) => changed_workspace(current, document, spec, host_ports, settings.allow_replace),
    };
    let change = match current {
        None => Change::Created,
        Some(current) if *current == workspace => Change::Unchanged,
        Some(_) => Change::Configured,
    };
    Ok(Admitted { workspace, change, warnings })
}

fn check_generation(name: &Name, current: Option<&Workspace>, expected: Option<u64>) -> Result<(), Rejection> {
    let Some(expected) = expected else { return Ok(()) };
    let found = current.map_or(0, |workspace| workspace.metadata.generation);
    if found == expected {
        return Ok(());
    }
    let message = match (expected, found) {
        (0, _) => format!("workspace {name} exists already, at generation {found}"),
        (_, 0) => format!("workspace {name} does not exist, generation {expected} was expected"),
        _ => format!("workspace {name} is at generation {found}, not {expected}: somebody changed it meanwhile"),
    };
    let hint = format!("look at it again (perry get {name} -o yaml), then repeat the change");
    Err(Rejection::conflict(ConflictReason::StaleGeneration(found), name, message, hint))
}

/// What is left out is decided here, so that a later change of config.json changes no workspace.
fn with_defaults(spec: &Spec, current: Option<&Spec>, config: &Config) -> Spec {
    let mut spec = spec.clone();
    spec.run = spec.run.or_else(|| current.and_then(|current| current.run)).or(Some(Run::Running));
    spec.image.get_or_insert_with(|| config.image_tag.clone());
    spec
}

fn new_workspace(
    document: &Document,
    spec: Spec,
    host_ports: BTreeMap<Name, u16>,
    settings: &Settings<'_>,
) -> Workspace {
    let metadata = Metadata {
        name: document.metadata.name.clone(),
        uid: settings.uid.clone(),
        labels: document.metadata.labels.clone(),
        annotations: document.metadata.annotations.clone(),
        generation: 1,
        created: settings.now,
        deletion_timestamp: None,
        restarted_at: None,
        upgraded_at: None,
        prefix: settings.config.workspace_prefix.clone(),
        host_ports,
        adopted: None,
    };
    Workspace { metadata, spec }
}

fn changed_workspace(
    current: &Workspace,
    document: &Document,
    spec: Spec,
    host_ports: BTreeMap<Name, u16>,
    allow_replace: bool,
) -> Workspace {
    let mut next = current.clone();
    next.metadata.labels.clone_from(&document.metadata.labels);
    next.metadata.annotations.clone_from(&document.metadata.annotations);
    next.metadata.host_ports = host_ports;
    next.spec = spec;
    if let Some(adopted) = &mut next.metadata.adopted {
        adopted.replace |= allow_replace && adopted.container.is_some();
    }
    count_generation(current, &mut next);
    next
}

/// Sets the generation of `next`, which follows `current`.
fn count_generation(current: &Workspace, next: &mut Workspace) {
    let (old, new) = (&current.metadata, &next.metadata);
    let same = current.spec == next.spec
        && old.host_ports == new.host_ports
        && old.adopted == new.adopted
        && old.restarted_at == new.restarted_at
        && old.upgraded_at == new.upgraded_at
        && old.deletion_timestamp == new.deletion_timestamp;
    next.metadata.generation = current.metadata.generation + u64::from(!same);
}
