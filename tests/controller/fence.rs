//! A newer intent: what a pass for an older one may still do and say.

use perry::clock::Clock;
use perry::controller::Handle;
use perry::model::condition::ConditionType as Type;
use perry::model::{Phase, Run};
use perry::runtime::RuntimeError;
use perry::runtime::fake::{Fate, Reply};

use crate::common::fixture::workspace;
use crate::common::harness::{Loop, MINUTE, SECOND};

#[test]
fn fetching_an_image_is_broken_off_by_a_newer_generation() {
    let mut world = Loop::new();
    world.faults.slow("image", 20 * MINUTE);
    world.meddle(|engine| engine.registry.extend(["big".to_owned(), "small".to_owned()]));
    let mut first = workspace("w");
    first.spec.image = Some("big".to_owned());
    world.put(first);
    world.advance(5 * SECOND);
    assert_eq!(world.faults.times("image").len(), 1);
    world.edit("w", |workspace| workspace.spec.image = Some("small".to_owned()));
    assert_eq!(world.faults.times("image").len(), 2, "no time had to pass");
    world.delete("w");
    assert!(world.try_view("w").is_none(), "nor to delete it");
}

#[test]
fn fetching_an_image_is_not_broken_off_by_the_change_of_another_workspace() {
    let mut world = Loop::new();
    world.faults.slow("image", MINUTE);
    world.put(workspace("w"));
    world.put(crate::common::fixture::numbered(1));
    world.edit("w1", |_| {});
    world.controller.changed(&crate::common::fixture::name("w"));
    world.settle();
    assert_eq!(world.faults.times("image").len(), 3, "once for w, twice for w1");
    world.until(|world| world.is_ready("w"));
}

#[test]
fn no_action_of_an_older_generation_begins_once_a_newer_one_is_stored() {
    let mut world = Loop::new();
    world.faults.slow("volumes", 10 * SECOND);
    world.put(workspace("w"));
    world.advance(SECOND);
    assert_eq!(world.faults.times("volumes").len(), 1, "the first of two is being made");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    world.advance(MINUTE);
    assert_eq!(world.faults.times("volumes").len(), 1);
    assert_eq!((world.view("w").status, world.faults.times("create").len()), (Phase::Stopped, 0));
}

#[test]
fn what_is_shown_never_goes_back_to_an_older_generation() {
    let mut world = Loop::new();
    let mut watcher = world.hub.subscribe(None);
    let fails = Fate { effect: None, reply: Reply::Error(10 * SECOND, RuntimeError::Failed("no".to_owned())) };
    let mut first = true;
    world
        .faults
        .on_call(move |action| (action.step() == "create" && std::mem::take(&mut first)).then(|| fails.clone()));
    world.put(workspace("w"));
    world.advance(SECOND);
    for _ in 0..3 {
        world.edit("w", |workspace| {
            workspace.metadata.labels.insert("n".to_owned(), workspace.metadata.generation.to_string());
        });
        world.advance(SECOND);
    }
    world.until(|world| world.is_ready("w"));
    let mut newest = (0, 0);
    while let Ok(Some(frame)) = watcher.try_next() {
        let Some(view) = frame.object else { continue };
        let shown = (view.generation, view.observed_generation);
        assert!(shown.0 >= newest.0 && shown.1 >= newest.1, "{shown:?} after {newest:?}");
        assert!(view.observed_generation <= view.generation);
        newest = shown;
    }
    assert_eq!(newest, (4, 4));
}

#[test]
fn the_failure_of_an_older_generation_is_no_failure_of_the_newer_one() {
    let mut world = Loop::new();
    let fails = Fate { effect: None, reply: Reply::Error(10 * SECOND, RuntimeError::Refused("no".to_owned())) };
    let mut first = true;
    world
        .faults
        .on_call(move |action| (action.step() == "create" && std::mem::take(&mut first)).then(|| fails.clone()));
    world.put(workspace("w"));
    world.advance(SECOND);
    world.edit("w", |_| {});
    let mut watcher = world.hub.subscribe(None);
    let took = world.until(|world| world.is_ready("w"));
    assert_eq!(took, 9 * SECOND, "as soon as the call of the older one has ended");
    while let Ok(Some(frame)) = watcher.try_next() {
        let Some(view) = frame.object else { continue };
        let reconciling = view.condition(Type::Reconciling).expect("always said");
        assert_ne!(reconciling.reason, "BackOff", "{view:#?}");
    }
    assert!(world.events("w").contains(&"Refused".to_owned()), "it happened all the same");
}

#[test]
fn an_edit_while_a_look_is_under_way_is_looked_at_anew() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.faults.on_look(|_| {
        Some(perry::runtime::fake::Sight::Partial { after: 3 * SECOND, blind: perry::runtime::fake::Blind::default() })
    });
    let before = world.clock.monotonic();
    world.edit("w", |_| {});
    world.advance(SECOND);
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    world.until(|world| world.view("w").status == Phase::Stopped);
    assert!(world.clock.monotonic() - before <= 12 * SECOND);
    assert_eq!(world.view("w").observed_generation, 3);
}

#[test]
fn a_look_for_an_earlier_incarnation_says_nothing_of_the_next_one() {
    let mut world = Loop::new();
    let mut first = workspace("w");
    first.metadata.generation = 7;
    world.put(first);
    world.faults.on_look(|_| {
        Some(perry::runtime::fake::Sight::Partial { after: 3 * SECOND, blind: perry::runtime::fake::Blind::default() })
    });
    world.edit("w", |_| {});
    world.advance(SECOND);
    // As an outside edit of the stored intent can do it.
    let mut second = workspace("w");
    second.metadata.uid = perry::model::Uid("uid-second".to_owned());
    world.put(second);
    let mut watcher = world.hub.subscribe(None);
    world.advance(MINUTE);
    while let Ok(Some(frame)) = watcher.try_next() {
        let Some(view) = frame.object else { continue };
        assert_eq!(view.uid.0, "uid-second");
        assert!(view.observed_generation <= view.generation, "S5: {view:#?}");
    }
    assert_eq!(world.says("w", Type::Stalled).0, "NameTaken", "the container of the first one is not its own");
}
