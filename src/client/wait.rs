//! Waiting for a workspace to become something, as a pure fold over the frames of a watch.

use std::sync::Arc;

use crate::contract::{WatchFrame, WatchKind};
use crate::model::{ConditionStatus, ConditionType, Name, Phase, Uid, View};

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
    Waiting(Arc<View>),
    /// It is there and needs a person (`Stalled`): without one the goal is not reached.
    Stalled(Arc<View>),
    /// What was waited for is so; `None` where that is its absence.
    Reached(Option<Arc<View>>),
    /// It was deleted while something else was waited for.
    Gone(Arc<View>),
}

/// Waits for one workspace.
#[derive(Debug, Clone)]
pub struct Wait {
    name: Name,
    goal: Goal,
    generation: u64,
    uid: Option<Uid>,
    present: Option<Arc<View>>,
    gone: Option<Arc<View>>,
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

    fn judge(&self, view: &Arc<View>) -> Progress {
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

    fn unreached(&self, view: &Arc<View>) -> Progress {
        let stalled = view.generation >= self.generation && view.is_true(ConditionType::Stalled);
        if stalled { Progress::Stalled(view.clone()) } else { Progress::Waiting(view.clone()) }
    }
}
