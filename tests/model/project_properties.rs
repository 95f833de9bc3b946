//! What holds of every view, for any intent, any look and any past.

use std::collections::BTreeSet;

use perry::model::condition::{ConditionStatus as Is, ConditionType as Type};
use perry::model::{Phase, Reason, Run, Seen, Verdict, View, Workspace};
use perry::plan::{Failure, Look, Picture, plan, project};
use proptest::option;
use proptest::prelude::*;

use crate::common::arbitrary;
use crate::common::fixture::{at, cases, desired_of};

/// Everything that a view is made of but for the conditions said before.
#[derive(Debug, Clone)]
struct Scene {
    workspace: Workspace,
    look: Option<Look>,
    failure: Option<Failure>,
    overdue: bool,
    observed_generation: u64,
}

impl Scene {
    fn view(&self, before: Option<&View>, now: i64) -> View {
        project(&Picture {
            workspace: &self.workspace,
            image: "workspace-base",
            look: self.look.as_ref(),
            observed_generation: self.observed_generation,
            failure: self.failure.as_ref(),
            overdue: self.overdue,
            startup: None,
            before: before.map_or(&[], |view| &view.conditions),
            now: at(now),
        })
    }

    /// The conclusion of a look for just this intent.
    fn verdict(&self) -> Option<&Verdict> {
        let look = self.look.as_ref()?;
        let metadata = &self.workspace.metadata;
        let same = look.desired.generation == metadata.generation && look.desired.owner.uid == metadata.uid;
        same.then_some(&look.plan.verdict)
    }

    fn is_deleted(&self) -> bool {
        self.workspace.metadata.deletion_timestamp.is_some()
    }
}

fn failure() -> impl Strategy<Value = Failure> {
    (1..10_u32, any::<bool>()).prop_map(|(attempts, parked)| Failure {
        reason: Reason::new("ActionFailed", "x").hint("y"),
        attempts,
        parked,
        next_try: (!parked).then(|| at(9_000)),
    })
}

/// A look for this intent or for the generation before it, or none.
fn scene() -> impl Strategy<Value = Scene> {
    let past = (option::weighted(0.25, failure()), any::<bool>(), 0..6_u8);
    (arbitrary::situation(), arbitrary::context(), past).prop_map(
        |((workspace, observed), context, (failure, overdue, which))| {
            let desired = desired_of(&workspace);
            let mut look = Look { plan: plan(&desired, &observed, &context), observed, at: at(3_000), desired };
            let mut workspace = workspace;
            if which == 0 {
                workspace.metadata.generation += 1;
                look.desired.generation = workspace.metadata.generation - 1;
            }
            let look = (which != 1).then_some(look);
            let observed_generation = look.as_ref().map_or(0, |look| look.desired.generation);
            Scene { workspace, look, failure, overdue, observed_generation }
        },
    )
}

fn status(view: &View, kind: Type) -> Option<Is> {
    view.condition(kind).map(|condition| condition.status)
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn ready_is_true_exactly_when_the_plan_for_this_generation_was_empty_and_nothing_fails(scene in scene()) {
        let view = scene.view(None, 4_000);
        let settled = scene.verdict() == Some(&Verdict::Converged) && scene.failure.is_none();
        let ready = settled && !scene.is_deleted() && scene.workspace.spec.run() == Run::Running;
        prop_assert_eq!(status(&view, Type::Ready) == Some(Is::True), ready);
        prop_assert_eq!(view.is_true(Type::Ready), ready);
        prop_assert_eq!(view.status == Phase::Running, ready);
        if ready {
            prop_assert!(scene.look.as_ref().is_some_and(|look| look.plan.actions.is_empty()));
            prop_assert!(view.container_id.is_some() && status(&view, Type::ContainerRunning) == Some(Is::True));
        }
    }

    #[test]
    fn ready_reconciling_and_stalled_are_always_said_once_and_the_last_two_never_both_hold(scene in scene()) {
        let view = scene.view(None, 4_000);
        let kinds: Vec<_> = view.conditions.iter().map(|condition| condition.kind).collect();
        prop_assert_eq!(&kinds[..3], &[Type::Ready, Type::Reconciling, Type::Stalled]);
        prop_assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len(), "{:?}", kinds);
        let holds = |kind| status(&view, kind) == Some(Is::True);
        prop_assert!(!(holds(Type::Reconciling) && holds(Type::Stalled)));
        prop_assert!(!(holds(Type::Ready) && (holds(Type::Reconciling) || holds(Type::Stalled))));
        let settled = scene.verdict() == Some(&Verdict::Converged);
        prop_assert!(settled || holds(Type::Reconciling) || holds(Type::Stalled), "no dead end: {view:?}");
        prop_assert!(view.status != Phase::Error || scene.failure.is_some() || holds(Type::Stalled));
    }

    #[test]
    fn the_observed_generation_is_that_of_the_look_and_before_it_the_status_is_unknown(scene in scene()) {
        let view = scene.view(None, 4_000);
        prop_assert!(view.observed_generation <= view.generation);
        prop_assert!(view.conditions.iter().all(|condition| condition.observed_generation == view.observed_generation));
        if scene.look.is_none() {
            let expected = if scene.is_deleted() { Phase::Deleting } else { Phase::Unknown };
            prop_assert_eq!((view.status, view.observed_generation, view.observed_at), (expected, 0, None));
            prop_assert!(status(&view, Type::Ready) != Some(Is::True));
        }
        if scene.verdict().is_none() && !scene.is_deleted() && scene.failure.is_none() {
            prop_assert_eq!(status(&view, Type::Ready), Some(Is::Unknown));
        }
    }

    #[test]
    fn nothing_is_said_to_run_or_be_stopped_that_nobody_could_look_at(scene in scene()) {
        let blind = scene.look.as_ref().is_none_or(|look| {
            look.observed.engine.is_unknown() || look.observed.containers.is_unknown()
        });
        if blind && !scene.is_deleted() {
            let view = scene.view(None, 4_000);
            prop_assert_eq!(view.status, Phase::Unknown);
            let unseen = scene.look.as_ref().is_none_or(|look| look.observed.containers.is_unknown());
            prop_assert!(!unseen || matches!(status(&view, Type::ContainerRunning), None | Some(Is::Unknown)));
        }
    }

    #[test]
    fn the_phase_of_a_stopped_workspace_is_never_that_of_a_running_one(scene in scene()) {
        let stopped = scene.workspace.spec.run() == Run::Stopped && !scene.is_deleted();
        let phase = scene.view(None, 4_000).status;
        let fits = match phase {
            Phase::Creating | Phase::Running => !stopped && !scene.is_deleted(),
            Phase::Stopping | Phase::Stopped => stopped,
            Phase::Deleting => scene.is_deleted(),
            Phase::Unknown | Phase::Error => !scene.is_deleted(),
        };
        prop_assert!(fits, "{:?}", phase);
        if phase == Phase::Stopped {
            let up = |look: &Look| match &look.observed.containers {
                Seen::Present(all) => all.iter().any(|container| {
                    use perry::model::observed::ContainerState::{Paused, Running};
                    let ours = container.owner.as_ref() == Some(&look.desired.owner);
                    ours && matches!(container.state, Running | Paused)
                }),
                _ => false,
            };
            prop_assert!(!scene.look.as_ref().is_some_and(up), "said to be stopped, and runs");
        }
    }

    #[test]
    fn a_condition_keeps_its_time_exactly_while_its_status_stays(first in scene(), second in scene()) {
        let before = first.view(None, 4_000);
        let view = second.view(Some(&before), 5_000);
        for condition in &view.conditions {
            let stayed = status(&before, condition.kind) == Some(condition.status);
            prop_assert_eq!(condition.last_transition_time, at(if stayed { 4_000 } else { 5_000 }));
        }
    }

    #[test]
    fn said_again_later_everything_is_the_same_so_that_a_settled_pass_writes_nothing(scene in scene()) {
        let first = scene.view(None, 4_000);
        prop_assert_eq!(&first, &scene.view(Some(&first), 8_000));
    }
}
