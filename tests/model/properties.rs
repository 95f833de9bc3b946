//! What holds of every plan, for any intent and anything seen, and of every way that a fake engine can be brought right.

use perry::model::desired::{Desired, Goal};
use perry::model::observed::ContainerState;
use perry::model::{Plan, Seen, Verdict};
use perry::plan::{Context, plan};
use perry::runtime::fake::Engine;
use proptest::prelude::*;

use crate::common::arbitrary;
use crate::common::fixture::{cases, context, desired_of};
use crate::common::mess::{self, Bench, DAY};
use crate::common::safety;

/// Rounds of look, plan and act after which a workspace must be settled: more than three times what was ever needed.
const ROUNDS: usize = 40;

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn every_plan_is_safe_and_none_panics((workspace, observed) in arbitrary::situation(), context in arbitrary::context()) {
        let desired = desired_of(&workspace);
        safety::check(&desired, &observed, &plan(&desired, &observed, &context))?;
    }

    #[test]
    fn a_plan_depends_on_nothing_but_its_arguments((workspace, observed) in arbitrary::situation()) {
        let first = plan(&desired_of(&workspace), &observed, &context());
        let (workspace, observed) = (workspace.clone(), observed.clone());
        prop_assert_eq!(first, plan(&desired_of(&workspace), &observed, &context()));
    }

    #[test]
    fn the_order_in_which_containers_are_listed_does_not_matter(
        (workspace, observed) in arbitrary::situation(),
        rotation in 0..4_usize,
        reversed: bool,
    ) {
        let desired = desired_of(&workspace);
        let mut shuffled = observed.clone();
        if let Seen::Present(containers) = &mut shuffled.containers {
            let by = rotation % containers.len().max(1);
            containers.rotate_left(by);
            if reversed {
                containers.reverse();
            }
        }
        prop_assert_eq!(plan(&desired, &observed, &context()), plan(&desired, &shuffled, &context()));
    }

    #[test]
    fn with_anything_unknown_a_plan_does_nothing_that_it_would_not_do_knowing_it(
        (workspace, observed) in arbitrary::situation(),
    ) {
        let desired = desired_of(&workspace);
        let known = plan(&desired, &observed, &context());
        for blinded in blinded(&observed) {
            let plan = plan(&desired, &blinded, &context());
            let more: Vec<_> = plan.actions.iter().filter(|action| !known.actions.contains(action)).collect();
            // What it does less of, it may do later: a worker that does not answer hides what is to be done to it.
            prop_assert!(more.iter().all(|action| !action.is_disruptive()), "{more:?} knowing less than {known:?}");
            safety::check(&desired, &blinded, &plan)?;
        }
    }

    #[test]
    fn what_settings_say_and_what_only_people_read_changes_no_container(
        (workspace, observed) in arbitrary::situation(),
    ) {
        let disrupts = |plan: &Plan| plan.actions.iter().filter(|action| action.is_disruptive()).count();
        let before = plan(&desired_of(&workspace), &observed, &context());
        let mut edited = workspace.clone();
        edited.metadata.labels.insert("team".to_owned(), "web".to_owned());
        edited.metadata.annotations.insert("note".to_owned(), "x".to_owned());
        edited.metadata.generation += 1;
        edited.spec.ssh.authorized_keys.push("ssh-ed25519 new".to_owned());
        edited.spec.tools.push("claude".to_owned());
        prop_assert_eq!(disrupts(&before), disrupts(&plan(&desired_of(&edited), &observed, &context())));
    }
}

/// The same observation with one part after the other not looked at.
fn blinded(observed: &perry::model::Observed) -> Vec<perry::model::Observed> {
    fn unknown<T>() -> Seen<T> {
        Seen::Unknown("blind".to_owned())
    }
    let mut all = vec![observed.clone(); 7];
    all[0].engine = unknown();
    all[1].image = unknown();
    all[2].network = unknown();
    all[3].containers = unknown();
    all[4].volumes.values_mut().for_each(|volume| *volume = unknown());
    all[5].volumes_complete = false;
    all[6].worker = unknown();
    all
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn whatever_happened_and_wherever_a_pass_is_cut_off_it_comes_right_and_stays_so(
        (mut workspace, mischief) in mess::mess(),
        cuts in proptest::collection::vec(0..8_usize, ROUNDS),
    ) {
        let bench = Bench::new();
        mess::make(&bench, &mut workspace, &mischief);
        let desired = desired_of(&workspace);
        let others = mess::of_others(&bench.engine(), &desired);
        let verdict = settle(&bench, &desired, |round, plan| 1 + cuts[round] % plan.actions.len())?;
        prop_assert_eq!(others, mess::of_others(&bench.engine(), &desired), "what is not ours was touched");
        is_right(&bench.engine(), &desired, &verdict)?;
        bench.clock.advance(DAY);
        prop_assert_eq!(plan(&desired, &bench.observe(&desired), &context()), Plan { actions: Vec::new(), verdict });
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_prefix_of_every_plan_on_the_way_is_a_starting_point_that_comes_right(
        (mut workspace, mischief) in mess::mess(),
    ) {
        let bench = Bench::new();
        mess::make(&bench, &mut workspace, &mischief);
        let desired = desired_of(&workspace);
        let whole = |_: usize, plan: &Plan| plan.actions.len();
        for _ in 0..ROUNDS {
            let engine = bench.engine();
            let actions = plan(&desired, &bench.observe(&desired), &context()).actions;
            for cut in 0..actions.len() {
                bench.restore(&engine);
                run(&bench, &actions[..cut])?;
                let verdict = settle(&bench, &desired, whole)?;
                is_right(&bench.engine(), &desired, &verdict)?;
            }
            bench.restore(&engine);
            if actions.is_empty() {
                return Ok(());
            }
            run(&bench, &actions)?;
        }
        prop_assert!(false, "not settled within {} rounds", ROUNDS);
    }

    #[test]
    fn an_image_built_anew_replaces_nothing((mut workspace, mischief) in mess::mess()) {
        let bench = Bench::new();
        mess::make(&bench, &mut workspace, &mischief);
        let desired = desired_of(&workspace);
        let verdict = settle(&bench, &desired, |_, plan| plan.actions.len())?;
        bench.world.meddle(|engine| engine.images.values_mut().for_each(|id| id.push_str("-anew")));
        prop_assert_eq!(plan(&desired, &bench.observe(&desired), &context()).verdict, verdict);
    }
}

fn run(bench: &Bench, actions: &[perry::model::Action]) -> Result<(), TestCaseError> {
    for action in actions {
        bench.apply(action).map_err(|error| TestCaseError::fail(format!("{action}: {error}")))?;
    }
    Ok(())
}

/// Looks, plans and does as many of the actions as `cut` says, until there are none.
fn settle(bench: &Bench, desired: &Desired, cut: impl Fn(usize, &Plan) -> usize) -> Result<Verdict, TestCaseError> {
    let context: Context = context();
    for round in 0..ROUNDS {
        let observed = bench.observe(desired);
        let plan = plan(desired, &observed, &context);
        safety::check(desired, &observed, &plan)?;
        if plan.actions.is_empty() {
            return Ok(plan.verdict);
        }
        run(bench, &plan.actions[..cut(round, &plan)])?;
    }
    Err(TestCaseError::fail(format!("not settled within {ROUNDS} rounds")))
}

/// Whether the engine bears out what the planner concluded.
fn is_right(engine: &Engine, desired: &Desired, verdict: &Verdict) -> Result<(), TestCaseError> {
    let ours = mess::of_ours(engine, desired);
    let up = |state: &ContainerState| matches!(state, ContainerState::Running | ContainerState::Paused);
    match (verdict, desired.goal) {
        (Verdict::Gone, Goal::Gone) => {
            prop_assert!(ours.is_empty(), "{:?}", ours);
            prop_assert_eq!(mess::volumes_of_ours(engine, desired), Vec::<String>::new());
        }
        (Verdict::Converged, Goal::Running) => {
            prop_assert_eq!(ours.len(), 1);
            prop_assert_eq!(&ours[0].state, &ContainerState::Running);
            let adopted = desired.adopted.as_ref().is_some_and(|adopted| adopted.id == ours[0].id && !adopted.replace);
            let fits = ours[0].fingerprint.as_deref() == Some(desired.container.fingerprint.as_str());
            prop_assert!(adopted || fits, "neither adopted nor of this fingerprint: {:?}", ours[0]);
            prop_assert!(adopted || ours[0].network.as_ref() == engine.networks.get("perry"), "{:?}", ours[0]);
            prop_assert!(adopted || ours[0].config == desired.worker.hash);
        }
        (Verdict::Converged, Goal::Stopped) => {
            prop_assert!(ours.len() <= 1 && !ours.iter().any(|container| up(&container.state)), "{:?}", ours);
        }
        (Verdict::Blocked(reason), Goal::Running) => {
            let by_name = engine.containers.values().any(|one| one.name == desired.container.name);
            let by_port = desired.container.ports.iter().any(|port| engine.taken.contains(&port.host_port));
            let others = mess::of_others(engine, desired).1;
            let by_volume = desired.volumes.iter().any(|volume| others.contains_key(&volume.name));
            let true_reason = match reason.reason.as_ref() {
                "NameTaken" => by_name,
                "PortTaken" => by_port,
                "VolumeTaken" => by_volume,
                _ => false,
            };
            prop_assert!(true_reason, "{:?}", reason);
        }
        other => prop_assert!(false, "ended in {:?}", other),
    }
    Ok(())
}
