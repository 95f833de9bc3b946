//! The steps of a start and their times.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::observed::Service;
use crate::model::view::{Startup, Step, StepState};
use crate::model::{Action, Desired, Observed, Seen};

/// Waiting steps begin together, when the container has started.
const WAITS: [&str; 3] = ["worker", "ssh", "docker"];

/// The steps of the latest start. Durations are measured on the monotonic clock, times are of the day.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    startup: Startup,
    /// When each step began, by the monotonic clock.
    began: Vec<Duration>,
    /// Everything answered: the next start begins a new timeline.
    complete: bool,
}

impl Timeline {
    /// The steps, if there are any.
    pub(super) fn startup(&self) -> Option<&Startup> {
        (!self.startup.steps.is_empty()).then_some(&self.startup)
    }

    /// An action begins; one of several of the same step joins it.
    pub(super) fn begin(&mut self, action: &Action, wall: Timestamp, now: Duration) {
        if action.is_disruptive() {
            return;
        }
        if std::mem::take(&mut self.complete) {
            *self = Self::default();
        }
        if self.running(action.step()).is_none() {
            self.open(action.step(), wall, now);
        }
    }

    /// A line of progress of the step that runs.
    pub(super) fn progress(&mut self, action: &Action, line: &str) {
        if let Some(index) = self.running(action.step()) {
            self.startup.steps[index].message = Some(line.to_owned());
        }
    }

    /// An action ended. `more` of the same step follow at once.
    pub(super) fn end(&mut self, action: &Action, error: Option<&str>, more: bool, wall: Timestamp, now: Duration) {
        if let Some(index) = self.running(action.step())
            && (error.is_some() || !more)
        {
            self.close(index, error, now);
        }
        if error.is_none() && matches!(action, Action::StartContainer { .. }) {
            self.startup.steps.retain(|step| !WAITS.contains(&step.name.as_str()));
            self.began.truncate(self.startup.steps.len());
            WAITS.iter().for_each(|step| self.open(step, wall, now));
        }
    }

    /// Ends the waiting steps whose server answers; `converged` ends them all.
    pub(super) fn look(&mut self, desired: &Desired, observed: &Observed, converged: bool, now: Duration) {
        let Seen::Present(worker) = &observed.worker else { return };
        let done = |service: &Service| matches!(service, Service::Running);
        for (step, done) in [("worker", true), ("ssh", done(&worker.ssh)), ("docker", done(&worker.docker))] {
            if let Some(index) = self.running(step)
                && done
            {
                self.close(index, None, now);
            }
        }
        if converged {
            // What still runs is not in the image or not wanted.
            let keep: Vec<bool> = self.startup.steps.iter().map(|step| step.state != StepState::Running).collect();
            let mut kept = keep.iter();
            self.startup.steps.retain(|_| *kept.next().expect("one flag a step"));
            let mut kept = keep.iter();
            self.began.retain(|_| *kept.next().expect("one flag a step"));
            self.complete = desired.goal == crate::model::desired::Goal::Running;
        }
    }

    fn running(&self, step: &str) -> Option<usize> {
        self.startup.steps.iter().position(|seen| seen.name == step && seen.state == StepState::Running)
    }

    fn open(&mut self, step: &str, wall: Timestamp, now: Duration) {
        let name = step.to_owned();
        // A step that is tried again stands for its earlier tries.
        if let Some(index) = self.startup.steps.iter().position(|seen| seen.name == step) {
            self.startup.steps.remove(index);
            self.began.remove(index);
        }
        self.startup.steps.push(Step {
            name,
            state: StepState::Running,
            started_at: wall,
            duration_ms: None,
            message: None,
        });
        self.began.push(now);
    }

    fn close(&mut self, index: usize, error: Option<&str>, now: Duration) {
        let step = &mut self.startup.steps[index];
        let took = now.saturating_sub(self.began[index]).as_millis();
        step.duration_ms = Some(u64::try_from(took).unwrap_or(u64::MAX));
        step.state = if error.is_some() { StepState::Failed } else { StepState::Done };
        step.message = error.map(str::to_owned);
    }
}
