//! One pass: load, look, plan, act, say. Its end is when to look again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{Either, select};

use super::memory::{Decision, Memory};
use super::policy::judge;
use super::{Controller, Slot, locked};
use crate::model::{
    Action, ConditionStatus, ConditionType, Metadata, Name, Observed, Reason, Severity, Shown, View, Workspace,
};
use crate::plan::{Context, Failure, Look, desired, plan};
use crate::runtime::RuntimeError;

/// How long a look may take before everything counts as unknown.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);

/// What may fail although the workspace is ready.
const ON_THE_SIDE: [ConditionType; 4] = [
    ConditionType::HooksSucceeded,
    ConditionType::ToolsInstalled,
    ConditionType::FilesSynced,
    ConditionType::DiskPressure,
];

/// After how long to look again; `None`: only when there is a reason.
pub(super) type Next = Option<Duration>;

/// The intent that a pass runs for is not the stored one any more.
struct Superseded;

impl Controller {
    pub(super) async fn pass(&self, name: &Name, slot: Slot) -> Next {
        let Some(workspace) = self.parts.intent.get(name) else {
            self.forget(name);
            return None;
        };
        let look = self.look(&workspace).await;
        let now = self.parts.clock.monotonic();
        let actions = look.plan.actions.clone();
        let before = self.shown(name);
        let decision = self.memory_of(&workspace, |memory| memory.decide(look, now));
        self.publish(name);
        self.note_changes(&workspace, before.as_ref().map(|shown| &***shown));
        self.follow(&workspace, decision, &actions, slot).await
    }

    async fn follow(&self, workspace: &Arc<Workspace>, decision: Decision, actions: &[Action], slot: Slot) -> Next {
        let name = &workspace.metadata.name;
        if decision != Decision::BackOff {
            locked(&self.blind).reset(name);
        }
        match decision {
            Decision::Act => self.act(workspace, actions, slot).await,
            Decision::Superseded => Some(Duration::ZERO),
            Decision::Settled => {
                locked(&self.backoff).reset(name);
                Some(self.resync())
            }
            Decision::Later(delay) => Some(delay),
            Decision::BackOff => Some(self.back_off_blind(workspace)),
            Decision::Park(reason) => {
                self.event(workspace, Severity::Warning, &reason.reason, &reason.message);
                let reason = reason.hint(format!("perry restart {name} tries again"));
                self.memory_of(workspace, |memory| memory.park(reason, actions));
                self.publish(name);
                Some(self.resync())
            }
            Decision::Fruitless => {
                let doing = actions.first().map(ToString::to_string).unwrap_or_default();
                let reason = Reason::new("NoProgress", format!("{doing}: succeeded, but nothing changed by it"));
                self.failed(workspace, reason, actions, Memory::fruitless)
            }
            Decision::Forget => self.finish_deletion(workspace).await,
        }
    }

    /// Looks at everything and plans. The plan is made with what is known when the look began: an action that ended
    /// meanwhile is not yet in it.
    async fn look(&self, workspace: &Workspace) -> Look {
        let (doubt_ends, refreshed) = self.memory_of(workspace, |memory| (memory.in_doubt_until, memory.refreshed));
        let executable = self.settings().executable.clone();
        let in_doubt = self.parts.clock.monotonic() < doubt_ends;
        self.look_at(workspace, Context { executable, in_doubt, refreshed }).await
    }

    /// The same for any intent, also one that is not stored; nothing is remembered of it.
    pub(super) async fn look_at(&self, workspace: &Workspace, context: Context) -> Look {
        let desired = desired(workspace, &self.settings());
        let observed = match self.within(LOOK_DEADLINE, self.parts.runtime.observe(&desired)).await {
            Some(observed) => observed,
            None => Observed::unknown("the engine did not answer in time"),
        };
        let plan = plan(&desired, &observed, &context);
        Look { observed, at: self.parts.clock.wall(), desired, plan }
    }

    /// The fence: whether this is still the stored incarnation and generation.
    fn is_current(&self, workspace: &Workspace) -> bool {
        let (name, uid) = (&workspace.metadata.name, &workspace.metadata.uid);
        self.parts.intent.get(name).is_some_and(|stored| {
            stored.metadata.uid == *uid && stored.metadata.generation == workspace.metadata.generation
        })
    }

    async fn act(&self, workspace: &Arc<Workspace>, actions: &[Action], slot: Slot) -> Next {
        let mut slot = Some(slot);
        for index in 0..actions.len() {
            if !self.is_current(workspace) {
                return Some(Duration::ZERO);
            }
            let action = &actions[index];
            if action.is_cancellable() {
                // It takes long: the slot is for others, and the rest for the next pass.
                slot = None;
            }
            match self.apply(workspace, &actions[index..]).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return self.action_failed(workspace, &actions[index..], &error),
                Err(Superseded) => return Some(Duration::ZERO),
            }
            if slot.is_none() {
                break;
            }
        }
        self.memory_of(workspace, |memory| memory.carried_out(actions));
        Some(Duration::ZERO)
    }

    /// Does the first of these actions.
    async fn apply(
        &self,
        workspace: &Arc<Workspace>,
        actions: &[Action],
    ) -> Result<Result<(), RuntimeError>, Superseded> {
        let (action, name) = (&actions[0], &workspace.metadata.name);
        let more = actions.get(1).is_some_and(|next| next.step() == action.step());
        let clock = &self.parts.clock;
        self.memory_of(workspace, |memory| memory.timeline.begin(actions, clock.wall(), clock.monotonic()));
        self.publish(name);
        let progress = |line: &str| {
            self.memory_of(workspace, |memory| memory.timeline.progress(action, line));
            self.publish(name);
        };
        let applying = self.within(action.deadline(), self.parts.runtime.apply(action, &progress));
        let ended = if action.is_cancellable() {
            match select(std::pin::pin!(applying), std::pin::pin!(self.superseded(workspace))).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => return Err(Superseded),
            }
        } else {
            applying.await
        };
        let result = ended.unwrap_or_else(|| Err(RuntimeError::Timeout(action.deadline().as_secs())));
        self.note_action(workspace, action, more, &result);
        Ok(result)
    }

    /// Ends when a newer intent is stored, or the agent ends.
    async fn superseded(&self, workspace: &Workspace) {
        let changed = self.memory_of(workspace, |memory| memory.intent_changed.clone());
        loop {
            // Made before looking, so that no change between looking and waiting is missed.
            let notified = changed.notified();
            if !self.is_current(workspace) || self.stopping.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let deadline = self.parts.clock.sleep_until(self.parts.clock.monotonic() + limit);
        match select(std::pin::pin!(future), deadline).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }

    fn note_action(&self, workspace: &Workspace, action: &Action, more: bool, result: &Result<(), RuntimeError>) {
        let clock = &self.parts.clock;
        let (wall, now) = (clock.wall(), clock.monotonic());
        let error = result.as_ref().err().map(ToString::to_string);
        // The workspace may have a newer generation by now; what was done was done all the same.
        self.memory_of(workspace, |memory| {
            memory.timeline.end(action, error.as_deref(), more, wall, now);
            if result.is_ok() {
                memory.done(action, now);
            }
        });
        if result.is_ok() {
            self.event(workspace, Severity::Normal, action.reason(), action.to_string());
        }
    }

    /// The first of these actions failed.
    fn action_failed(&self, workspace: &Workspace, actions: &[Action], error: &RuntimeError) -> Next {
        let verdict = judge(error, &actions[0].to_string());
        if verdict.in_doubt {
            let until = self.parts.clock.monotonic() + self.parts.doubt;
            self.memory_of(workspace, |memory| memory.in_doubt_until = memory.in_doubt_until.max(until));
        }
        // An engine that can tell of anything answers again: then there is no reason to wait.
        let held = if matches!(error, RuntimeError::Unreachable(_)) { &[] } else { actions };
        self.failed(workspace, verdict.reason, held, |memory, reason| memory.failed(reason, verdict.limit))
    }

    /// Says and remembers a failure, and when to try again. What is `held` is not tried before, whatever happens. Where
    /// intent is another by now the failure is an event and no more; the queue knows of the newer intent already.
    pub(super) fn failed(
        &self,
        workspace: &Workspace,
        reason: Reason,
        held: &[Action],
        remember: impl FnOnce(&mut Memory, Reason) -> &mut Failure,
    ) -> Next {
        let Metadata { name, uid, generation, .. } = &workspace.metadata;
        self.event(workspace, Severity::Warning, &reason.reason, &reason.message);
        let reason =
            Reason { hint: reason.hint.or_else(|| Some(format!("perry restart {name} tries again"))), ..reason };
        let delay = self.back_off(workspace);
        let next_try = self.parts.clock.wall().saturating_add(delay).unwrap_or(jiff::Timestamp::MAX);
        let until = self.parts.clock.monotonic() + delay;
        self.memory_of(workspace, |memory| {
            if memory.is_for(uid, *generation) {
                let failure = remember(memory, reason);
                failure.next_try = (!failure.parked).then_some(next_try);
                memory.hold(held, until);
            }
        });
        self.publish(name);
        Some(delay)
    }

    async fn finish_deletion(&self, workspace: &Workspace) -> Next {
        let (name, uid) = (&workspace.metadata.name, &workspace.metadata.uid);
        match self.parts.intent.forget(name, uid).await {
            Ok(()) => {
                self.event(workspace, Severity::Normal, "Deleted", "nothing of it is left");
                self.forget(name);
                None
            }
            Err(error) => {
                let reason = Reason::new("NotForgotten", error.to_string());
                self.failed(workspace, reason, &[], |memory, reason| memory.failed(reason, None))
            }
        }
    }

    /// Forgets a name, unless it is stored again by now.
    fn forget(&self, name: &Name) {
        // Looked up under the lock, as to publish does: what was stored meanwhile is shown after this, not removed by it.
        let mut memory = locked(&self.memory);
        if self.parts.intent.get(name).is_some() {
            return;
        }
        memory.remove(name);
        self.parts.hub.remove(name.as_str());
        drop(memory);
        locked(&self.backoff).reset(name);
        locked(&self.blind).reset(name);
    }

    fn shown(&self, name: &Name) -> Option<Arc<Shown>> {
        self.parts.hub.get(name.as_str())
    }

    /// An event for each thing that people wait for, or are to mend, and that this look showed for the first time.
    fn note_changes(&self, workspace: &Workspace, before: Option<&View>) {
        let Some(after) = self.shown(&workspace.metadata.name) else { return };
        if after.is_true(ConditionType::Ready) && !before.is_some_and(|view| view.is_true(ConditionType::Ready)) {
            self.event(workspace, Severity::Normal, "Ready", "it can be used");
        }
        for kind in ON_THE_SIDE {
            let Some(condition) = after.condition(kind) else { continue };
            let known = before.and_then(|view| view.condition(kind));
            if known.is_some_and(|known| (known.status, &known.reason) == (condition.status, &condition.reason)) {
                continue;
            }
            match condition.status {
                // Each time that files are brought is an event already.
                ConditionStatus::True if kind == ConditionType::FilesSynced => {}
                ConditionStatus::True if kind == ConditionType::DiskPressure => {
                    self.event(workspace, Severity::Warning, &condition.reason, &condition.message);
                }
                ConditionStatus::False if kind == ConditionType::DiskPressure => {}
                ConditionStatus::True => self.event(workspace, Severity::Normal, &format!("{kind:?}"), ""),
                ConditionStatus::False => {
                    self.event(workspace, Severity::Warning, &condition.reason, &condition.message);
                }
                ConditionStatus::Unknown => {}
            }
        }
    }
}
