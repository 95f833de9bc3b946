//! What the loop remembers of a workspace between passes. Nothing of it is needed to be right: an agent that starts
//! anew knows none of it. It spaces out tries, gives up on hopeless ones, and dates what is said.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::policy;
use super::startup::Timeline;
use crate::model::{Action, Condition, ConditionStatus, ConditionType, Plan, Reason, Uid, Verdict, Workspace};
use crate::plan::{Failure, Look};
use crate::queue::BACKOFF_FLOOR;

/// What is remembered of one workspace.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) look: Option<Look>,
    pub(super) observed_generation: u64,
    pub(super) failure: Option<Failure>,
    pub(super) timeline: Timeline,
    pub(super) conditions: Vec<Condition>,
    /// Until then a call to the engine may still take effect.
    pub(super) in_doubt_until: Duration,
    /// Wakes an action that can be cancelled, when intent changed.
    pub(super) intent_changed: Arc<Notify>,
    uid: Option<Uid>,
    generation: u64,
    held: Option<Held>,
    /// A newer image was looked for since this generation was stored.
    pub(super) refreshed: bool,
    /// The last look found no engine.
    engine_away: bool,
    /// Starts in a row without a long life in between.
    quick_starts: u32,
    last_start: Option<Duration>,
    waiting_since: Option<Duration>,
    last_done: Vec<Action>,
    repeats: u32,
}

/// Actions that are not tried before their time, however often one is told to look: what failed may itself have made the
/// engine say that something happened.
#[derive(Debug)]
struct Held {
    /// What was left to do when it failed. A plan of anything else means that what is seen has changed.
    actions: Vec<Action>,
    until: Duration,
}

/// What a pass does after its look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Do the plan's actions.
    Act,
    /// Nothing to do until something changes.
    Settled,
    /// Look again after this time.
    Later(Duration),
    /// Nobody could look: back off.
    BackOff,
    /// Try no more until something changes.
    Park(Reason),
    /// Count this as a failure: the actions succeed and change nothing.
    Fruitless,
    /// The look was for an intent that is not the stored one any more: begin anew.
    Superseded,
    /// It is gone: forget it.
    Forget,
}

impl Memory {
    /// Takes in the stored intent: a new generation, and still more a new incarnation, is a new try.
    pub(super) fn meet(&mut self, workspace: &Workspace) {
        let metadata = &workspace.metadata;
        if self.uid.as_ref() != Some(&metadata.uid) {
            let (intent_changed, in_doubt_until) = (self.intent_changed.clone(), self.in_doubt_until);
            *self = Self { intent_changed, in_doubt_until, uid: Some(metadata.uid.clone()), ..Self::default() };
        }
        if self.generation != metadata.generation {
            self.generation = metadata.generation;
            self.recover();
            (self.waiting_since, self.refreshed) = (None, false);
            (self.quick_starts, self.repeats) = (0, 0);
            self.last_done.clear();
        }
    }

    /// Whether this intent is the stored one, and not one that a pass still works for.
    pub(super) fn is_for(&self, uid: &Uid, generation: u64) -> bool {
        self.uid.as_ref() == Some(uid) && self.generation == generation
    }

    /// Takes in a look and decides what the pass does.
    pub(super) fn decide(&mut self, look: Look, now: Duration) -> Decision {
        if !self.is_for(&look.desired.owner.uid, look.desired.generation) {
            return Decision::Superseded;
        }
        self.timeline.look(&look.observed, look.plan.verdict == Verdict::Converged, now);
        self.observed_generation = self.observed_generation.max(look.desired.generation);
        let plan = look.plan.clone();
        let was_away = std::mem::replace(&mut self.engine_away, look.observed.engine.is_unknown());
        if was_away && !self.engine_away {
            self.engine_is_back();
        }
        self.look = Some(look);
        if !matches!(plan.verdict, Verdict::Waiting(_)) {
            self.waiting_since = None;
        }
        match plan.verdict {
            Verdict::Act => self.decide_to_act(&plan, now),
            Verdict::Unknown(_) => Decision::BackOff,
            Verdict::Waiting(_) => {
                self.recover();
                let since = *self.waiting_since.get_or_insert(now);
                let overdue = (since + policy::OVERDUE).saturating_sub(now);
                let settled = self.in_doubt_until.saturating_sub(now);
                let soonest = [policy::WAITING_POLL, overdue, settled].into_iter().filter(|wait| !wait.is_zero()).min();
                Decision::Later(soonest.unwrap_or(policy::WAITING_POLL))
            }
            Verdict::Blocked(_) => {
                self.recover();
                Decision::Later(policy::BLOCKED_POLL)
            }
            Verdict::Converged => {
                self.recover();
                self.last_done.clear();
                Decision::Settled
            }
            Verdict::Gone => Decision::Forget,
        }
    }

    fn decide_to_act(&mut self, plan: &Plan, now: Duration) -> Decision {
        let parked = self.failure.as_ref().is_some_and(|failure| failure.parked);
        match self.held.as_ref().filter(|held| held.actions == plan.actions) {
            Some(_) if parked => return Decision::Settled,
            Some(held) if now < held.until => return Decision::Later(held.until - now),
            None if parked => {
                // What is seen has changed: worth another try.
                self.recover();
                self.quick_starts = 0;
            }
            Some(_) | None => {}
        }
        if plan.actions.iter().any(|action| matches!(action, Action::StartContainer { .. }))
            && let Some(decision) = self.hold_start(now)
        {
            return decision;
        }
        self.repeats = if self.last_done == plan.actions { self.repeats + 1 } else { 0 };
        if self.repeats > policy::MAX_REPEATS { Decision::Fruitless } else { Decision::Act }
    }

    /// An engine that was away may be why a container ended, and the remedy for what failed: a restart of it is what a
    /// person tries first. So it is tried at once, and what was given up is tried again.
    fn engine_is_back(&mut self) {
        self.quick_starts = 0;
        self.held = None;
        if self.failure.as_ref().is_some_and(|failure| failure.parked) {
            self.recover();
        }
    }

    fn recover(&mut self) {
        (self.failure, self.held) = (None, None);
    }

    /// Spaces out the starts of a container that keeps ending, and ends them at last.
    fn hold_start(&mut self, now: Duration) -> Option<Decision> {
        let last = self.last_start?;
        if now.saturating_sub(last) >= policy::QUICK_EXIT {
            self.quick_starts = 0;
        }
        if self.quick_starts == 0 {
            return None;
        }
        if self.quick_starts >= policy::MAX_QUICK_EXITS {
            let message = format!("the container ended {} times soon after its start", self.quick_starts);
            return Some(Decision::Park(Reason::new("CrashLoop", message)));
        }
        // Nothing, 250 ms, 500 ms, 1 s after the 1st, 2nd, 3rd, 4th start: the first death may have been an accident.
        let pause =
            if self.quick_starts == 1 { Duration::ZERO } else { BACKOFF_FLOOR * (1 << (self.quick_starts - 2)) };
        let wait = (last + pause).saturating_sub(now);
        (!wait.is_zero()).then_some(Decision::Later(wait))
    }

    /// An action succeeded.
    pub(super) fn done(&mut self, action: &Action, now: Duration) {
        if matches!(action, Action::StartContainer { .. }) {
            self.quick_starts += 1;
            self.last_start = Some(now);
        }
        self.refreshed |= matches!(action, Action::RefreshImage { .. });
    }

    /// A plan was carried out as far as one pass goes, without an error.
    pub(super) fn carried_out(&mut self, actions: &[Action]) {
        // Where the same was done before, it changed nothing, and may be what failed.
        if self.last_done != actions {
            self.failure = None;
            self.last_done = actions.to_vec();
        }
    }

    /// An action failed.
    pub(super) fn failed(&mut self, reason: Reason, limit: Option<u32>) -> &mut Failure {
        self.last_done.clear();
        self.count_failure(reason, limit)
    }

    /// Actions succeed again and again and change nothing. After the back-off they get one more try.
    pub(super) fn fruitless(&mut self, reason: Reason) -> &mut Failure {
        self.repeats = policy::MAX_REPEATS - 1;
        self.count_failure(reason, Some(policy::MAX_ATTEMPTS))
    }

    fn count_failure(&mut self, reason: Reason, limit: Option<u32>) -> &mut Failure {
        let attempts = self.failure.as_ref().map_or(0, |failure| failure.attempts) + 1;
        let parked = limit.is_some_and(|limit| attempts >= limit);
        self.failure.insert(Failure { reason, attempts, parked, next_try: None })
    }

    /// Gives up these actions until something changes.
    pub(super) fn park(&mut self, reason: Reason, actions: &[Action]) {
        let attempts = self.failure.as_ref().map_or(1, |failure| failure.attempts.max(1));
        self.failure = Some(Failure { reason, attempts, parked: true, next_try: None });
        self.hold(actions, Duration::MAX);
    }

    /// Has these actions, if they are what is planned next, wait until then.
    pub(super) fn hold(&mut self, actions: &[Action], until: Duration) {
        self.held = Some(Held { actions: actions.to_vec(), until });
    }

    /// Whether a workspace that was shown as ready is being brought what disturbs nobody: it is shown when that is done, or
    /// has failed.
    pub(super) fn is_quiet(&self) -> bool {
        let ready = |condition: &Condition| {
            condition.kind == ConditionType::Ready
                && condition.status == ConditionStatus::True
                && condition.observed_generation == self.generation
        };
        let quiet = |look: &Look| look.plan.verdict == Verdict::Act && look.plan.actions.iter().all(Action::is_quiet);
        self.failure.is_none() && self.look.as_ref().is_some_and(quiet) && self.conditions.iter().any(ready)
    }

    /// Whether the workspace has waited for itself longer than it should take.
    pub(super) fn overdue(&self, now: Duration) -> bool {
        self.waiting_since.is_some_and(|since| now >= since + policy::OVERDUE)
    }
}
