//! What is said of tasks and files: what is run or brought for a spec does not hide the workspace, so it has conditions
//! of its own.

use crate::model::condition::{ConditionStatus as Is, ConditionType as Type};
use crate::model::observed::FileFault;
use crate::model::{Reason, Seen, TaskName, TaskSeen, TaskState, Workspace};

use super::Look;

type Said = (Type, Is, Reason);

/// The names of the tasks that a condition is about.
const HOOKS: [TaskName; 3] = [TaskName::Clone, TaskName::OnCreate, TaskName::OnStart];

/// Conditions of what the spec asks to be run; none where it asks for nothing.
pub(super) fn conditions(workspace: &Workspace, look: &Look) -> Vec<Said> {
    let spec = &workspace.spec;
    let runs = spec.clone.is_some() || spec.hooks != crate::model::workspace::Hooks::default();
    let seen = look.observed.worker.present().map(|worker| worker.tasks.as_slice());
    let hooks = runs.then(|| say(Type::HooksSucceeded, &HOOKS, seen));
    let tools = (!spec.tools.is_empty()).then(|| say(Type::ToolsInstalled, &[TaskName::Tools], seen));
    hooks.into_iter().chain(tools).chain(files(look)).collect()
}

/// The first task that is not done tells.
fn say(kind: Type, names: &[TaskName], seen: Option<&[TaskSeen]>) -> Said {
    let Some(seen) = seen else {
        return (kind, Is::Unknown, Reason::new("NotObserved", ""));
    };
    let mut mine = seen.iter().filter(|task| names.contains(&task.name));
    match mine.find(|task| task.state != TaskState::Succeeded) {
        Some(task) => task_said(kind, task),
        None if seen.iter().any(|task| names.contains(&task.name)) => (kind, Is::True, Reason::new("Succeeded", "")),
        None => (kind, Is::Unknown, Reason::new("NotObserved", "the worker has not said anything of it yet")),
    }
}

fn task_said(kind: Type, task: &TaskSeen) -> Said {
    let name = task.name;
    let said = |what: &str| join(&[what, &task.message]);
    let ended = match task.exit_code {
        Some(code) => format!("{name} ended with exit code {code}"),
        None => name.to_string(),
    };
    let (is, word, message) = match task.state {
        TaskState::Waiting => (Is::Unknown, "Waiting", said(&format!("{name} has not begun"))),
        TaskState::Running => (Is::Unknown, "Running", said(&format!("{name} runs"))),
        TaskState::Retrying => (Is::False, "Failed", said(&format!("{ended}, and is tried again"))),
        TaskState::Failed => (Is::False, "Failed", said(&ended)),
        TaskState::Succeeded => (Is::True, "Succeeded", String::new()),
    };
    let hint = (task.state == TaskState::Failed).then(|| "a restart of the workspace tries again".to_owned());
    (kind, is, Reason { reason: format!("{name:?}{word}").into(), message, hint })
}

fn join(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
}

/// Said where there are files to bring, or were to be.
fn files(look: &Look) -> Option<Said> {
    let (plan, sources) = (&look.desired.files, &look.observed.sources);
    if plan.is_empty() {
        return None;
    }
    let kind = Type::FilesSynced;
    let worker = match &look.observed.worker {
        Seen::Present(worker) => &worker.files,
        _ => return Some((kind, Is::Unknown, Reason::new("NotObserved", ""))),
    };
    let not_read = plan.refused.iter().chain(&sources.faults);
    let faults: Vec<String> = not_read.chain(&worker.faults).map(FileFault::to_string).collect();
    Some(if !faults.is_empty() {
        (kind, Is::False, Reason::new("NotBrought", bounded(&faults)))
    } else if worker.hash == sources.hash {
        (kind, Is::True, Reason::new("Synced", ""))
    } else {
        (kind, Is::Unknown, Reason::new("Syncing", ""))
    })
}

/// The first few: a condition is read by people.
fn bounded(faults: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = faults.len().saturating_sub(SHOWN);
    let mut text = faults[..faults.len().min(SHOWN)].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
