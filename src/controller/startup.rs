//! The steps of a start and their times.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::observed::Service;
use crate::model::view::{Startup, Step, StepState};
use crate::model::{Action, Observed, Seen};

/// Waiting steps begin together, when the container has started.
const WAITS: [&str; 3] = ["worker", "ssh", "docker"];

/// The steps of the latest start. Durations are measured on the monotonic clock, times are of the day.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    steps: Vec<Timed>,
    /// Everything answered: the next start begins a new timeline.
    complete: bool,
    /// Steps that were done since somebody asked.
    finished: Vec<(String, Duration)>,
}

/// A step, and when it began by the monotonic clock.
#[derive(Debug, Clone)]
struct Timed {
    step: Step,
    began: Duration,
}

impl Timeline {
    /// The steps, if there are any.
    pub(super) fn startup(&self) -> Option<Startup> {
        let steps: Vec<Step> = self.steps.iter().map(|timed| timed.step.clone()).collect();
        (!steps.is_empty()).then_some(Startup { steps })
    }

    /// The first of these actions begins; one of several of the same step joins it.
    pub(super) fn begin(&mut self, actions: &[Action], wall: Timestamp, now: Duration) {
        let leads_to_start =
            |action: &Action| matches!(action, Action::CreateContainer { .. } | Action::StartContainer { .. });
        let Some(action) = actions.first().filter(|action| !action.is_disruptive()) else { return };
        // What changes a workspace that has started is no step of its start.
        if self.complete && !actions.iter().any(leads_to_start) {
            return;
        }
        if std::mem::take(&mut self.complete) {
            self.steps.clear();
        }
        if self.running(action.step()).is_none() {
            self.open(action.step(), wall, now);
        }
    }

    /// A line of progress of the step that runs.
    pub(super) fn progress(&mut self, action: &Action, line: &str) {
        if let Some(timed) = self.running(action.step()) {
            timed.step.message = Some(line.to_owned());
        }
    }

    /// An action ended. `more` of the same step follow at once.
    pub(super) fn end(&mut self, action: &Action, error: Option<&str>, more: bool, wall: Timestamp, now: Duration) {
        if error.is_some() || !more {
            self.close(action.step(), error, now);
        }
        if error.is_none() && matches!(action, Action::StartContainer { .. }) {
            WAITS.iter().for_each(|step| self.open(step, wall, now));
        }
    }

    /// Ends the waiting steps whose server answers. When everything answers, what still runs is not in the image, not
    /// wanted, or of a plan that was given up: it is no step.
    pub(super) fn look(&mut self, observed: &Observed, converged: bool, now: Duration) {
        if let Seen::Present(worker) = &observed.worker {
            let answers = |service: &Service| matches!(service, Service::Running);
            let steps = [("worker", true), ("ssh", answers(&worker.ssh)), ("docker", answers(&worker.docker))];
            steps.into_iter().filter(|(_, done)| *done).for_each(|(step, _)| self.close(step, None, now));
        }
        if converged {
            self.steps.retain(|timed| timed.step.state != StepState::Running);
            self.complete = true;
        }
    }

    fn running(&mut self, step: &str) -> Option<&mut Timed> {
        self.steps.iter_mut().find(|timed| timed.step.name == step && timed.step.state == StepState::Running)
    }

    fn open(&mut self, step: &str, wall: Timestamp, now: Duration) {
        // A step that is tried again stands for its earlier tries.
        self.steps.retain(|timed| timed.step.name != step);
        let step = Step {
            name: step.to_owned(),
            state: StepState::Running,
            started_at: wall,
            duration_ms: None,
            message: None,
        };
        self.steps.push(Timed { step, began: now });
    }

    fn close(&mut self, step: &str, error: Option<&str>, now: Duration) {
        let Some(Timed { step, began }) = self.running(step) else { return };
        let took = now.saturating_sub(*began);
        step.duration_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        step.state = if error.is_some() { StepState::Failed } else { StepState::Done };
        step.message = error.map(str::to_owned);
        if error.is_none() {
            let name = step.name.clone();
            self.finished.push((name, took));
        }
    }

    /// The steps that were done since this was last asked, with the time that each took.
    pub(super) fn take_finished(&mut self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.finished)
    }
}
