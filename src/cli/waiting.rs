//! Waiting for several workspaces at once, with progress.

use std::time::Duration;

use crate::client::{Client, Goal, Progress, Wait};
use crate::model::view::StepState;
use crate::model::{ConditionType, Name, View};

use super::context::Context;
use super::failure::{Failure, NOT_FOUND, TIMED_OUT};
use super::get::phase_word;

/// So many are named in a line of progress.
const NAMED: usize = 3;

/// One workspace that is waited for.
struct Waiting {
    wait: Wait,
    goal: Goal,
    last: Progress,
}

/// Waits until all have come to their goals.
///
/// # Errors
/// Each that needs a person, was deleted, or did not get there in time.
pub(super) async fn for_all(
    context: &Context,
    client: &Client,
    waits: Vec<(Wait, Goal)>,
    timeout: Duration,
) -> Result<(), Failure> {
    let new = |(wait, goal)| Waiting { wait, goal, last: Progress::Looking };
    let mut waiting: Vec<Waiting> = waits.into_iter().map(new).collect();
    let mut failures = Vec::new();
    let mut watch = client.watch();
    let deadline = tokio::time::sleep(timeout);
    tokio::pin!(deadline);
    while !waiting.is_empty() {
        let frame = tokio::select! {
            frame = watch.next() => frame?,
            () = &mut deadline => {
                failures.extend(waiting.iter().map(|one| one.late(timeout)));
                break;
            }
        };
        waiting.retain_mut(|one| {
            one.last = one.wait.frame(&frame);
            match one.end() {
                None => true,
                Some(end) => {
                    end.map_or_else(|failure| failures.push(failure), |text| context.note(&text));
                    false
                }
            }
        });
        let (text, detail) = summary(&waiting);
        if !text.is_empty() {
            context.progress(&text, &detail);
        }
    }
    context.end_progress();
    Failure::all(failures)
}

impl Waiting {
    /// How it ended, where it has.
    fn end(&self) -> Option<Result<String, Failure>> {
        let name = self.wait.name();
        match &self.last {
            Progress::Looking | Progress::Absent | Progress::Waiting(_) => None,
            Progress::Reached(_) => Some(Ok(format!("{name} is {}", goal_word(self.goal)))),
            Progress::Stalled(view) => Some(Err(stalled(name, view))),
            Progress::Gone(_) => {
                let message = format!("{name} was deleted while it was waited for to be {}", goal_word(self.goal));
                Some(Err(Failure::new(NOT_FOUND, message)))
            }
        }
    }

    fn late(&self, timeout: Duration) -> Failure {
        let (text, detail) = self.text();
        let name = self.wait.name();
        let message = format!(
            "{name} was not {} within {}: {text}{detail}",
            goal_word(self.goal),
            jiff::SignedDuration::try_from(timeout).map(|span| format!("{span:#}")).unwrap_or_default(),
        );
        Failure::new(TIMED_OUT, message).hint(format!("see why: perry describe {name}"))
    }

    /// What it is doing: what changes seldom, and what may change often.
    fn text(&self) -> (String, String) {
        match &self.last {
            Progress::Looking => ("looking".to_owned(), String::new()),
            Progress::Absent => ("there is none of that name".to_owned(), String::new()),
            Progress::Waiting(view) | Progress::Stalled(view) | Progress::Gone(view) => doing(view),
            Progress::Reached(_) => (goal_word(self.goal), String::new()),
        }
    }
}

/// It needs a person; why.
fn stalled(name: &Name, view: &View) -> Failure {
    let condition = view.condition(ConditionType::Stalled);
    let why = condition.map(|it| format!("{} ({})", it.message, it.reason)).unwrap_or_default();
    let hint = format!("once that is put right: perry restart {name}; all about it: perry describe {name}");
    Failure::failed(format!("{name} needs you: {why}")).hint(hint)
}

fn doing(view: &View) -> (String, String) {
    let phase = phase_word(view.status).to_owned();
    let steps = view.startup.as_ref().map(|startup| startup.steps.as_slice()).unwrap_or_default();
    if let Some(step) = steps.iter().rev().find(|step| step.state == StepState::Running) {
        let detail = step.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        return (format!("{phase}, {}", step.name), detail);
    }
    let ready = view.condition(ConditionType::Ready).filter(|ready| !ready.message.is_empty());
    (phase, ready.map(|ready| format!(": {}", ready.message)).unwrap_or_default())
}

fn summary(waiting: &[Waiting]) -> (String, String) {
    let mut parts = Vec::new();
    let mut last = String::new();
    // Until the list is complete there is nothing to say.
    let known = waiting.iter().filter(|one| one.last != Progress::Looking);
    for one in known.take(NAMED) {
        let (text, detail) = one.text();
        parts.push(format!("{}: {text}", one.wait.name()));
        last = detail;
    }
    if waiting.len() > NAMED {
        parts.push(format!("and {} more", waiting.len() - NAMED));
        last.clear();
    }
    (parts.join("; "), last)
}

/// What is waited for, after "is".
fn goal_word(goal: Goal) -> String {
    match goal {
        Goal::Ready => "ready".to_owned(),
        Goal::Stopped => "stopped".to_owned(),
        Goal::Deleted => "deleted".to_owned(),
        Goal::Condition(kind, status) => format!("{kind:?}={status:?}"),
    }
}
