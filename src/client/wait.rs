//! Waiting for a workspace to become something, as a pure fold over the frames of a watch.

use std::sync::Arc;

use crate::contract::{WatchFrame, WatchKind};
use crate::model::{ConditionStatus, ConditionType, Name, Phase, Shown, Uid, View};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `Ready` is true for the present generation.
    Ready,
    /// Stopped, as its present generation wants it.
    Stopped,
    /// Not there (any more), or there as another incarnation.
    Deleted,
    /// A condition has a status, judged for the present generation.
    Condition(ConditionType, ConditionStatus),
}

/// How far one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The list is not complete yet: nothing can be said.
    Looking,
    /// There is no such workspace; it is waited for.
    Absent,
    /// It is there and not yet what is waited for.
    Waiting(Arc<Shown>),
    /// It is there and needs a person (`Stalled`): without one the goal is not reached.
    Stalled(Arc<Shown>),
    /// What was waited for is so; `None` where that is its absence.
    Reached(Option<Arc<Shown>>),
    /// It was deleted while something else was waited for.
    Gone(Arc<Shown>),
}

/// Waits for one workspace.
#[derive(Debug, Clone)]
pub struct Wait {
    name: Name,
    goal: Goal,
    generation: u64,
    uid: Option<Uid>,
    present: Option<Arc<Shown>>,
    gone: Option<Arc<Shown>>,
    complete: bool,
}

impl Wait {
    /// Waits until the workspace of that name is what the goal says, whatever its generation.
    pub fn new(name: Name, goal: Goal) -> Self {
        Self { name, goal, generation: 0, uid: None, present: None, gone: None, complete: false }
    }

    /// The same for what a call just answered: older generations and other incarnations do not count.
    pub fn since(view: &View, goal: Goal) -> Self {
        let wait = Self::new(view.name.clone(), goal);
        Self { generation: view.generation, uid: Some(view.uid.clone()), ..wait }
    }

    /// Which workspace is waited for.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Takes the next frame and says how far one is.
    pub fn frame(&mut self, frame: &WatchFrame) -> Progress {
        let view = frame.workspace.as_ref().filter(|view| view.name == self.name);
        match (frame.kind, view) {
            (WatchKind::Reset, _) => {
                self.complete = false;
                self.present = None;
            }
            (WatchKind::Bookmark, _) => self.complete = true,
            (WatchKind::Added | WatchKind::Modified, Some(view)) => {
                self.uid.get_or_insert_with(|| view.uid.clone());
                self.present = Some(view.clone());
            }
            (WatchKind::Deleted, Some(view)) => {
                self.present = None;
                self.gone = Some(view.clone());
            }
            _ => {}
        }
        self.progress()
    }

    /// How far one is after the frames so far.
    pub fn progress(&self) -> Progress {
        if !self.complete {
            return Progress::Looking;
        }
        match (&self.present, &self.gone) {
            (Some(view), _) => self.judge(view),
            (None, _) if self.goal == Goal::Deleted => Progress::Reached(None),
            (None, Some(view)) => Progress::Gone(view.clone()),
            (None, None) => Progress::Absent,
        }
    }

    fn judge(&self, view: &Arc<Shown>) -> Progress {
        let same = self.uid.as_ref().is_none_or(|uid| *uid == view.uid);
        if self.goal == Goal::Deleted {
            return if same { self.unreached(view) } else { Progress::Reached(None) };
        }
        if !same {
            return Progress::Gone(view.clone());
        }
        let is = |kind, status| {
            view.condition(kind).is_some_and(|it| it.status == status && it.observed_generation == view.generation)
        };
        let reached = match self.goal {
            Goal::Ready => is(ConditionType::Ready, ConditionStatus::True),
            Goal::Stopped => view.status == Phase::Stopped && view.observed_generation == view.generation,
            Goal::Condition(kind, status) => is(kind, status),
            Goal::Deleted => false,
        };
        if reached && view.generation >= self.generation {
            return Progress::Reached(Some(view.clone()));
        }
        self.unreached(view)
    }

    fn unreached(&self, view: &Arc<Shown>) -> Progress {
        let stalled = view.generation >= self.generation && view.is_true(ConditionType::Stalled);
        if stalled { Progress::Stalled(view.clone()) } else { Progress::Waiting(view.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A view as JSON, with conditions `(type, status)` judged for its generation less `behind`.
    fn view(uid: &str, status: &str, generation: u64, behind: u64, conditions: &[(&str, &str)]) -> Arc<Shown> {
        let judged = generation - behind;
        let condition = |(kind, status): &(&str, &str)| {
            json!({"type": kind, "status": status, "reason": "R", "message": "", "observedGeneration": judged,
                "lastTransitionTime": "2025-01-10T15:30:00Z"})
        };
        let view = json!({
            "name": "a", "status": status, "created": "2025-01-10T15:30:00Z", "image": "i", "ports": {}, "uid": uid,
            "labels": {}, "annotations": {}, "generation": generation, "observedGeneration": judged,
            "resourceVersion": "", "spec": {}, "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
        });
        Arc::new(serde_json::from_value(view).expect("a view"))
    }

    fn frame(kind: WatchKind, view: Option<&Arc<Shown>>) -> WatchFrame {
        WatchFrame { kind, workspace: view.cloned() }
    }

    /// How far one is after the list of these and a bookmark.
    fn listed(mut wait: Wait, views: &[Arc<Shown>]) -> (Wait, Progress) {
        wait.frame(&frame(WatchKind::Reset, None));
        for view in views {
            assert_eq!(wait.frame(&frame(WatchKind::Added, Some(view))), Progress::Looking);
        }
        let progress = wait.frame(&frame(WatchKind::Bookmark, None));
        (wait, progress)
    }

    fn wait(goal: Goal) -> Wait {
        Wait::new("a".parse().expect("a name"), goal)
    }

    #[test]
    fn goals_are_judged_for_the_present_generation_only() {
        let ready = [("Ready", "True")];
        for (goal, view, reached) in [
            (Goal::Ready, view("u", "running", 2, 0, &ready), true),
            (Goal::Ready, view("u", "running", 2, 1, &ready), false),
            (Goal::Ready, view("u", "running", 2, 0, &[("Ready", "Unknown")]), false),
            (Goal::Ready, view("u", "creating", 2, 0, &[]), false),
            (Goal::Stopped, view("u", "stopped", 2, 0, &[]), true),
            (Goal::Stopped, view("u", "stopped", 2, 1, &[]), false),
            (Goal::Stopped, view("u", "running", 2, 0, &ready), false),
            (Goal::Deleted, view("u", "deleting", 2, 0, &[]), false),
            (
                Goal::Condition(ConditionType::SshReady, ConditionStatus::False),
                view("u", "error", 1, 0, &[("SshReady", "False")]),
                true,
            ),
            (
                Goal::Condition(ConditionType::SshReady, ConditionStatus::True),
                view("u", "error", 1, 0, &[("SshReady", "False")]),
                false,
            ),
        ] {
            let (_, progress) = listed(wait(goal), std::slice::from_ref(&view));
            let expected =
                if reached { Progress::Reached(Some(view.clone())) } else { Progress::Waiting(view.clone()) };
            assert_eq!(progress, expected, "{goal:?} {view:?}");
        }
    }

    #[test]
    fn an_absent_name_is_waited_for_unless_absence_is_the_goal() {
        let (mut ready, progress) = listed(wait(Goal::Ready), &[]);
        assert_eq!(progress, Progress::Absent);
        let view = view("u", "running", 1, 0, &[("Ready", "True")]);
        assert_eq!(ready.frame(&frame(WatchKind::Added, Some(&view))), Progress::Reached(Some(view.clone())));
        assert_eq!(listed(wait(Goal::Deleted), &[]).1, Progress::Reached(None));
        let mut wait = wait(Goal::Deleted);
        assert_eq!(wait.progress(), Progress::Looking, "before the list nothing is absent");
        wait.frame(&frame(WatchKind::Reset, None));
        assert_eq!(wait.progress(), Progress::Looking);
    }

    #[test]
    fn deletion_is_over_when_that_incarnation_is_gone() {
        let old = view("old", "deleting", 3, 0, &[]);
        let (mut one, progress) = listed(wait(Goal::Deleted), std::slice::from_ref(&old));
        assert_eq!(progress, Progress::Waiting(old.clone()));
        assert_eq!(one.clone().frame(&frame(WatchKind::Deleted, Some(&old))), Progress::Reached(None));
        // The watch was cut, the name made anew meanwhile.
        let new = view("new", "creating", 1, 0, &[]);
        one.frame(&frame(WatchKind::Reset, None));
        one.frame(&frame(WatchKind::Added, Some(&new)));
        assert_eq!(one.frame(&frame(WatchKind::Bookmark, None)), Progress::Reached(None));
        let mut ready = Wait::since(&old, Goal::Ready);
        ready = listed(ready, std::slice::from_ref(&new)).0;
        assert_eq!(ready.progress(), Progress::Gone(new));
        let (mut ready, _) = listed(wait(Goal::Ready), std::slice::from_ref(&old));
        assert_eq!(ready.frame(&frame(WatchKind::Deleted, Some(&old))), Progress::Gone(old.clone()));
    }

    #[test]
    fn older_generations_neither_reach_a_goal_nor_stall_it() {
        let asked = view("u", "creating", 3, 0, &[]);
        let (mut wait, _) = listed(Wait::since(&asked, Goal::Ready), &[]);
        let old = view("u", "running", 2, 0, &[("Ready", "True")]);
        assert_eq!(wait.frame(&frame(WatchKind::Added, Some(&old))), Progress::Waiting(old.clone()));
        let old = view("u", "error", 2, 0, &[("Stalled", "True")]);
        assert_eq!(wait.frame(&frame(WatchKind::Modified, Some(&old))), Progress::Waiting(old.clone()));
        let stalled = view("u", "error", 3, 0, &[("Stalled", "True")]);
        assert_eq!(wait.frame(&frame(WatchKind::Modified, Some(&stalled))), Progress::Stalled(stalled.clone()));
        let ready = view("u", "running", 4, 0, &[("Ready", "True")]);
        assert_eq!(wait.frame(&frame(WatchKind::Modified, Some(&ready))), Progress::Reached(Some(ready.clone())));
    }

    #[test]
    fn other_workspaces_change_nothing() {
        let (mut wait, _) = listed(wait(Goal::Ready), &[]);
        let mut other = Shown::clone(&view("u", "running", 1, 0, &[("Ready", "True")]));
        other.change(|view| view.name = "b".parse().expect("a name"));
        assert_eq!(wait.frame(&frame(WatchKind::Added, Some(&Arc::new(other)))), Progress::Absent);
    }
}
