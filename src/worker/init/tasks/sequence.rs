//! Which task is to be run now: pure state, `now` as an argument, no system call.
//!
//! Whoever holds a [`Sequence`] asks [`Sequence::next`] for steps until there are none, does them, and tells it what came
//! of them. What succeeded in an earlier start is told once, at the beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::desired::WorkerPlan;
use crate::model::{TaskName, TaskState};

/// Pauses before a task that may be repeated without harm is tried again; after the last it has failed.
const PAUSES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How long a task may take that has an end: what is started at each start may go on for ever.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// How long a task that is over its limit has to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Start it; answer by [`Sequence::started`] or [`Sequence::failed`].
    Start(TaskName),
    /// Ask its processes to end.
    Terminate(i32),
    /// End them.
    Kill(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running { pid: i32, end_at: Option<Duration>, asked: bool },
    Pausing(Duration),
    Done,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    /// What it is to do, as the plan says it.
    work: String,
    phase: Phase,
    /// Failures in a row.
    failures: usize,
    /// The plan says something else by now: once more, after this.
    outdated: bool,
    /// The plan still has it: one that runs is kept to its end.
    wanted: bool,
}

/// What was done before this start of the container.
pub(super) trait Past {
    /// Whether this task has succeeded in this incarnation of the workspace.
    fn succeeded(&self, name: TaskName) -> bool;
}

/// The state of all tasks that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    slots: BTreeMap<TaskName, Slot>,
    open: bool,
}

impl Sequence {
    /// Takes what a plan wants. What runs goes on; what has failed is tried again where it is to do something else now.
    pub(super) fn follow(&mut self, plan: &WorkerPlan, past: &dyn Past) {
        for name in TaskName::ALL {
            match work(plan, name) {
                None => self.unwant(name),
                Some(work) => self.want(name, work, past),
            }
        }
    }

    fn unwant(&mut self, name: TaskName) {
        if let Some(slot) = self.slots.get_mut(&name) {
            slot.wanted = false;
        }
        self.forget_unwanted(name);
    }

    fn forget_unwanted(&mut self, name: TaskName) {
        if self.pid(name).is_none() && self.slots.get(&name).is_some_and(|slot| !slot.wanted) {
            self.slots.remove(&name);
        }
    }

    fn want(&mut self, name: TaskName, work: String, past: &dyn Past) {
        let Some(slot) = self.slots.get_mut(&name) else {
            let done = is_once(name) && past.succeeded(name);
            let phase = if done { Phase::Done } else { Phase::Waiting };
            self.slots.insert(name, Slot { work, phase, failures: 0, outdated: false, wanted: true });
            return;
        };
        slot.wanted = true;
        if slot.work == work {
            return;
        }
        slot.work = work;
        match slot.phase {
            Phase::Running { .. } => slot.outdated = name == TaskName::Tools,
            // What is done is done; only tools are a state to be kept.
            Phase::Done if name != TaskName::Tools => {}
            _ => (slot.phase, slot.failures) = (Phase::Waiting, 0),
        }
    }

    /// Everything that tasks may need is there: from now on they are run.
    pub(super) fn open(&mut self) {
        self.open = true;
    }

    /// Whether tasks are run already.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// A process of before a reload goes on.
    pub(super) fn adopt(&mut self, name: TaskName, pid: i32, now: Duration) {
        if let Some(slot) = self.slots.get_mut(&name) {
            slot.phase = running(name, pid, now);
        }
    }

    /// What a task came to before a reload.
    pub(super) fn recall(&mut self, name: TaskName, succeeded: bool) {
        if let Some(slot) = self.slots.get_mut(&name) {
            slot.phase = if succeeded { Phase::Done } else { Phase::Failed };
        }
    }

    /// The next thing to do, `None` when there is nothing before [`Sequence::deadline`].
    pub(super) fn next(&mut self, now: Duration) -> Option<Step> {
        TaskName::ALL.into_iter().find_map(|name| self.step(name, now))
    }

    fn step(&mut self, name: TaskName, now: Duration) -> Option<Step> {
        let may_start = self.open && self.blocker(name).is_none();
        let slot = self.slots.get_mut(&name)?;
        match &mut slot.phase {
            Phase::Waiting if may_start => Some(Step::Start(name)),
            Phase::Pausing(until) if *until <= now => Some(Step::Start(name)),
            Phase::Running { pid, end_at: Some(at), asked } if *at <= now => {
                let step = if *asked { Step::Kill(*pid) } else { Step::Terminate(*pid) };
                (*asked, *at) = (true, now + GRACE);
                Some(step)
            }
            _ => None,
        }
    }

    /// The task that has to succeed before this one begins.
    fn blocker(&self, name: TaskName) -> Option<TaskName> {
        let before = |other: &TaskName| match name {
            TaskName::Clone | TaskName::Tools => false,
            TaskName::OnCreate | TaskName::OnStart => *other < name,
        };
        TaskName::ALL
            .into_iter()
            .filter(before)
            .find(|other| self.slots.get(other).is_some_and(|slot| slot.phase != Phase::Done))
    }

    /// It was started.
    pub(super) fn started(&mut self, name: TaskName, pid: i32, now: Duration) {
        if let Some(slot) = self.slots.get_mut(&name) {
            slot.phase = running(name, pid, now);
        }
    }

    /// It has ended, well or not. Forgotten where it is not wanted any more.
    pub(super) fn ended(&mut self, name: TaskName, well: bool, now: Duration) {
        if !well {
            return self.failed(name, now);
        }
        let Some(slot) = self.slots.get_mut(&name) else { return };
        slot.failures = 0;
        slot.phase = if std::mem::take(&mut slot.outdated) { Phase::Waiting } else { Phase::Done };
        self.forget_unwanted(name);
    }

    /// It has ended badly, or could not be started.
    pub(super) fn failed(&mut self, name: TaskName, now: Duration) {
        let Some(slot) = self.slots.get_mut(&name) else { return };
        slot.outdated = false;
        let pause = PAUSES.get(slot.failures).filter(|_| is_repeatable(name));
        slot.failures += 1;
        slot.phase = pause.map_or(Phase::Failed, |pause| Phase::Pausing(now + *pause));
        self.forget_unwanted(name);
    }

    /// Which task that process is.
    pub(super) fn task_of(&self, pid: i32) -> Option<TaskName> {
        self.slots.keys().copied().find(|name| self.pid(*name) == Some(pid))
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self, name: TaskName) -> Option<i32> {
        match self.slots.get(&name)?.phase {
            Phase::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// When [`Sequence::next`] has something to do next, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let at = |slot: &Slot| match slot.phase {
            Phase::Pausing(until) => Some(until),
            Phase::Running { end_at, .. } => end_at,
            _ => None,
        };
        self.slots.values().filter_map(at).min()
    }

    /// How far each is, and what it waits for.
    pub(super) fn states(&self) -> impl Iterator<Item = (TaskName, TaskState, Option<TaskName>)> {
        self.slots.iter().map(|(name, slot)| {
            let state = match slot.phase {
                Phase::Waiting => TaskState::Waiting,
                Phase::Running { .. } => TaskState::Running,
                Phase::Pausing(_) => TaskState::Retrying,
                Phase::Done => TaskState::Succeeded,
                Phase::Failed => TaskState::Failed,
            };
            (*name, state, self.blocker(*name))
        })
    }
}

fn running(name: TaskName, pid: i32, now: Duration) -> Phase {
    let end_at = (name != TaskName::OnStart).then(|| now + LIMIT);
    Phase::Running { pid, end_at, asked: false }
}

/// Whether it is run until it has succeeded once, and then never again.
fn is_once(name: TaskName) -> bool {
    matches!(name, TaskName::Clone | TaskName::OnCreate)
}

/// Whether doing it twice is the same as once: a hook may do anything.
fn is_repeatable(name: TaskName) -> bool {
    matches!(name, TaskName::Clone | TaskName::Tools)
}

/// What a plan has a task do; `None` where it has nothing for it.
fn work(plan: &WorkerPlan, name: TaskName) -> Option<String> {
    match name {
        TaskName::Clone => plan.clone.as_ref().and_then(|clone| serde_json::to_string(clone).ok()),
        TaskName::OnCreate => plan.hooks.on_create.clone(),
        TaskName::OnStart => plan.hooks.on_start.clone(),
        TaskName::Tools => (!plan.tools.is_empty()).then(|| plan.tools.join("\n")),
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
