//! `perry describe`.

use std::fmt::Write as _;

use crate::contract::{EventsInput, NameInput};
use crate::model::view::StepState;
use crate::model::{ConditionStatus, DiskUsage, Event, Name, TaskState, View};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::get::phase_word;
use super::{events, values};
use crate::shown::table::Table;

/// So many events are shown; `perry events` shows all.
const EVENTS: usize = 10;

/// Show all there is to know of workspaces
#[derive(Debug, clap::Args)]
pub(super) struct Describe {
    /// Which.
    #[arg(value_name = "NAME", required = true, value_parser = values::name)]
    names: Vec<Name>,
}

impl Describe {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        for (index, name) in self.names.iter().enumerate() {
            let view = match client.get_workspace(&NameInput { name: name.clone() }).await {
                Ok(view) => view,
                Err(error) => return Err(context.failure(&client, name, error).await),
            };
            let mut stream =
                client.workspace_events(&EventsInput { name: Some(name.clone()), follow: false }, None).await?;
            let mut events = Vec::new();
            while let Some(item) = stream.next().await? {
                events.push(item.value);
            }
            let gap = if index > 0 { "\n" } else { "" };
            context.print(&format!("{gap}{}", text(context, &view, &events)))?;
            // Last, because counting many files takes a while, and the rest need not wait for it.
            context.progress("", "counting bytes on disk");
            let disk = match client.disk_usage(&NameInput { name: name.clone() }).await {
                Ok(usage) => disk(&usage),
                Err(error) => format!("not known: {error}\n"),
            };
            context.print(&format!("\nDisk:\n{}", indented(&disk)))?;
        }
        Ok(DONE)
    }
}

fn text(context: &Context, view: &View, events: &[Event]) -> String {
    let mut text = head(context, view);
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            let _ = write!(text, "\n{title}:\n{}", indented(&body));
        }
    };
    section("Spec", crate::model::manifest::to_yaml([&view.spec]));
    section("Ports", ports(view));
    section("Conditions", conditions(context, view));
    section("Start", startup(view));
    section("Tasks", tasks(context, view));
    let recent = &events[events.len().saturating_sub(EVENTS)..];
    section("Events", if recent.is_empty() { String::new() } else { events::text(context, recent) });
    text
}

fn head(context: &Context, view: &View) -> String {
    let now = context.now();
    let map = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let seen = view.observed_at.map(|at| format!("{} ago", shown::age(at, now)));
    let worker = view
        .worker
        .as_ref()
        .map(|worker| format!("{}, {}", worker.version, if worker.healthy { "healthy" } else { "does not answer" }));
    let generation = format!("{} (seen: {})", view.generation, view.observed_generation);
    let rows = [
        ("Name", Some(view.name.to_string())),
        ("Status", Some(phase_word(view.status).to_owned())),
        ("Image", Some(view.image.clone())),
        ("Labels", Some(map(&view.labels))),
        ("Annotations", Some(map(&view.annotations))),
        ("Created", Some(format!("{} ({} ago)", view.created, shown::age(view.created, now)))),
        ("Generation", Some(generation)),
        ("Looked at", seen.or_else(|| Some("not yet".to_owned()))),
        ("Container", view.container_id.clone()),
        ("Worker", worker),
        ("Uid", Some(view.uid.to_string())),
    ];
    let mut text = String::new();
    for (key, value) in rows {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = writeln!(text, "{:<13}{value}", format!("{key}:"));
        }
    }
    text
}

fn ports(view: &View) -> String {
    let mut table = Table::new(&["NAME", "INSIDE", "HOST"]);
    for (name, host) in &view.ports {
        let spec = view.spec.ports.iter().find(|port| port.name == *name);
        let inside = spec.map_or(crate::model::workspace::SSH_PORT, |port| port.port);
        let bind = spec.map(|port| port.bind.as_deref()).unwrap_or(view.spec.ssh.bind.as_deref());
        table.row(vec![name.to_string(), inside.to_string(), format!("{}:{host}", bind.unwrap_or("127.0.0.1"))]);
    }
    if view.ports.is_empty() { String::new() } else { table.render() }
}

fn conditions(context: &Context, view: &View) -> String {
    let mut table = Table::new(&["TYPE", "STATUS", "AGE", "REASON", "MESSAGE"]);
    for condition in &view.conditions {
        let status = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        table.row(vec![
            format!("{:?}", condition.kind),
            status.to_owned(),
            shown::age(condition.last_transition_time, context.now()),
            condition.reason.clone(),
            shown::line(&condition.message),
        ]);
    }
    if view.conditions.is_empty() { String::new() } else { table.render() }
}

fn startup(view: &View) -> String {
    let Some(startup) = view.startup.as_ref().filter(|startup| !startup.steps.is_empty()) else {
        return String::new();
    };
    let mut table = Table::new(&["STEP", "STATE", "TIME", "MESSAGE"]);
    for step in &startup.steps {
        let state = match step.state {
            StepState::Running => "running",
            StepState::Done => "done",
            StepState::Failed => "failed",
        };
        let time = step.duration_ms.map(values::span).unwrap_or_default();
        let message = shown::line(step.message.as_deref().unwrap_or_default());
        table.row(vec![step.name.clone(), state.to_owned(), time, message]);
    }
    table.render()
}

/// What the worker runs for the spec.
fn tasks(context: &Context, view: &View) -> String {
    let Some(worker) = view.worker.as_ref().filter(|worker| !worker.tasks.is_empty()) else { return String::new() };
    let mut table = Table::new(&["TASK", "STATE", "CODE", "TIME", "MESSAGE"]);
    for task in &worker.tasks {
        let state = match task.state {
            TaskState::Waiting => "waiting",
            TaskState::Running => "running",
            TaskState::Succeeded => "succeeded",
            TaskState::Retrying => "retrying",
            TaskState::Failed => "failed",
        };
        let end = task.ended_at.or((task.state == TaskState::Running).then(|| context.now()));
        let took = task.started_at.zip(end).map(|(start, end)| end.duration_since(start).as_millis());
        let time = took.and_then(|took| u64::try_from(took).ok()).map(values::span).unwrap_or_default();
        let code = task.exit_code.map(|code| code.to_string()).unwrap_or_default();
        table.row(vec![task.name.to_string(), state.to_owned(), code, time, shown::line(&task.message)]);
    }
    table.render()
}

fn disk(usage: &DiskUsage) -> String {
    let mut table = Table::new(&["VOLUME", "PATH", "SIZE"]);
    for volume in &usage.volumes {
        let size = volume.bytes.map_or_else(|| "not known".to_owned(), values::size);
        table.row(vec![volume.name.clone(), volume.path.clone(), size]);
    }
    if let Some(bytes) = usage.container {
        table.row(vec!["(in no volume)".to_owned(), "/".to_owned(), values::size(bytes)]);
    }
    if usage.volumes.is_empty() && usage.container.is_none() { "nothing\n".to_owned() } else { table.render() }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
