//! The verbs: small edits of intent. Each changes `state` only where it succeeds, and may be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::workspace::{CloneSpec, PortSpec};
use crate::model::{Document, Name, Run, Spec, State, Workspace};

use super::{Admitted, Change, ConflictReason, Rejection, Settings, admit, check_generation, count_generation};

/// What `create` and `start` may say of a workspace besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// A git repository to clone.
    pub clone: Option<CloneSpec>,
    /// The container image.
    pub image: Option<String>,
    /// Environment of everything inside.
    pub env: BTreeMap<String, String>,
    /// Ports that are reached from the host.
    pub ports: Vec<PortSpec>,
}

/// Wants a workspace up or down.
///
/// # Errors
/// There is none, it has another generation than asked for, or it is being deleted and should run. Stopping one that is
/// being deleted is fine: it stops anyway.
pub fn set_run(state: &mut State, name: &Name, run: Run, if_generation: Option<u64>) -> Result<Admitted, Rejection> {
    edit(state, name, if_generation, |workspace| {
        if workspace.metadata.deletion_timestamp.is_some() {
            return if run == Run::Stopped { Ok(()) } else { Err(Rejection::deleting(name)) };
        }
        workspace.spec.run = Some(run);
        Ok(())
    })
}

/// Wants a workspace up, and its container started anew; with `upgrade` a new container of the newest image. Also the
/// retry of a stalled workspace.
///
/// # Errors
/// There is none, it has another generation than asked for, or it is being deleted.
pub fn restart(
    state: &mut State,
    name: &Name,
    now: Timestamp,
    upgrade: bool,
    if_generation: Option<u64>,
) -> Result<Admitted, Rejection> {
    edit(state, name, if_generation, |workspace| {
        let metadata = &mut workspace.metadata;
        if metadata.deletion_timestamp.is_some() {
            return Err(Rejection::deleting(name));
        }
        // A clock that stands or goes back must not make two restarts one.
        let earliest = metadata.restarted_at.and_then(|last| last.checked_add(Duration::from_millis(1)).ok());
        metadata.restarted_at = earliest.filter(|earliest| *earliest > now).or(Some(now));
        if upgrade {
            metadata.upgraded_at = metadata.restarted_at;
            // That a container from before Perry may go is just what is asked for.
            if let Some(adopted) = &mut metadata.adopted {
                adopted.replace |= adopted.container.is_some();
            }
        }
        workspace.spec.run = Some(Run::Running);
        Ok(())
    })
}

/// Wants a workspace gone, with its volumes. Cannot be taken back.
///
/// # Errors
/// There is none, or it has another generation than asked for.
pub fn delete(
    state: &mut State,
    name: &Name,
    now: Timestamp,
    if_generation: Option<u64>,
) -> Result<Admitted, Rejection> {
    edit(state, name, if_generation, |workspace| {
        workspace.metadata.deletion_timestamp.get_or_insert(now);
        Ok(())
    })
}

/// Makes a new workspace.
///
/// # Errors
/// The name is taken, or the flags are wrong.
pub fn create(state: &mut State, name: &Name, flags: &Flags, settings: &Settings<'_>) -> Result<Admitted, Rejection> {
    match state.workspaces.get(name) {
        Some(current) if current.metadata.deletion_timestamp.is_some() => Err(Rejection::deleting(name)),
        Some(_) => {
            let hint = format!("start it: perry start {name}; or change it: perry apply -f FILE");
            Err(Rejection::conflict(ConflictReason::Exists, name, format!("workspace {name} exists already"), hint))
        }
        None => {
            let admitted = admit(None, &document(name, flags), state, settings)?;
            state.workspaces.insert(name.clone(), Arc::new(admitted.workspace.clone()));
            Ok(admitted)
        }
    }
}

/// Wants a workspace up; makes it where there is none and `create_absent` says so.
///
/// # Errors
/// There is none, it is being deleted, it exists and is not what the flags say, or the flags are wrong.
pub fn start(
    state: &mut State,
    name: &Name,
    flags: &Flags,
    create_absent: bool,
    settings: &Settings<'_>,
) -> Result<Admitted, Rejection> {
    match state.workspaces.get(name) {
        None if create_absent => create(state, name, flags, settings),
        None => Err(Rejection::NotFound(name.clone())),
        Some(current) => {
            let differs = differences(&current.spec, flags);
            if current.metadata.deletion_timestamp.is_none() && !differs.is_empty() {
                let message = format!("workspace {name} exists and has another {}", differs.join(", "));
                let hint = format!("start it as it is: perry start {name}; or change it: perry apply -f FILE");
                return Err(Rejection::conflict(ConflictReason::Differs, name, message, hint));
            }
            set_run(state, name, Run::Running, settings.if_generation)
        }
    }
}

fn document(name: &Name, flags: &Flags) -> Document {
    let flags = flags.clone();
    let spec = Spec { clone: flags.clone, image: flags.image, env: flags.env, ports: flags.ports, ..Spec::default() };
    Document::new(name.clone(), spec)
}

/// What the flags say that is otherwise. What they leave out may be anything.
fn differences(spec: &Spec, flags: &Flags) -> Vec<String> {
    let mut differs = Vec::new();
    if flags.clone.is_some() && flags.clone != spec.clone {
        differs.push("clone".to_owned());
    }
    if flags.image.is_some() && flags.image != spec.image {
        differs.push(format!("image ({})", spec.image.as_deref().unwrap_or("none")));
    }
    if flags.env.iter().any(|(key, value)| spec.env.get(key) != Some(value)) {
        differs.push("env".to_owned());
    }
    let has = |wanted: &PortSpec| {
        spec.ports.iter().any(|port| {
            port.port == wanted.port
                && wanted.host_port.is_none_or(|host| port.host_port == Some(host))
                && wanted.bind.as_ref().is_none_or(|bind| port.bind.as_ref() == Some(bind))
        })
    };
    if !flags.ports.iter().all(has) {
        differs.push("ports".to_owned());
    }
    differs
}

fn edit(
    state: &mut State,
    name: &Name,
    if_generation: Option<u64>,
    change: impl FnOnce(&mut Workspace) -> Result<(), Rejection>,
) -> Result<Admitted, Rejection> {
    let Some(current) = state.workspaces.get(name) else {
        return Err(Rejection::NotFound(name.clone()));
    };
    check_generation(name, Some(current), if_generation)?;
    let mut next = Workspace::clone(current);
    change(&mut next)?;
    count_generation(current, &mut next);
    if **current == next {
        return Ok(Admitted { workspace: next, change: Change::Unchanged, warnings: Vec::new() });
    }
    state.workspaces.insert(name.clone(), Arc::new(next.clone()));
    Ok(Admitted { workspace: next, change: Change::Configured, warnings: Vec::new() })
}
