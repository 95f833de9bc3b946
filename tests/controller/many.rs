//! Many workspaces: no one waits for a broken one, and settled ones cost next to nothing.

use perry::model::condition::ConditionType as Type;
use perry::queue::Depth;
use perry::runtime::RuntimeError;
use perry::runtime::fake::{Fate, Reply};

use crate::common::fixture::{numbered, workspace};
use crate::common::harness::{Loop, MINUTE, SECOND};

#[test]
fn one_broken_workspace_delays_no_other() {
    let never = Fate { effect: None, reply: Reply::Never };
    let refused = Fate { effect: None, reply: Reply::Error(SECOND, RuntimeError::Refused("no".to_owned())) };
    for fate in [never, refused] {
        let mut world = Loop::new();
        world.faults.on_call(move |action| {
            let broken = matches!(action, perry::model::Action::CreateContainer { container, .. }
                if container.hostname == "broken");
            broken.then(|| fate.clone())
        });
        let mut broken = workspace("broken");
        broken.metadata.host_ports.clear();
        world.put(broken);
        (1..=20).for_each(|n| world.put(numbered(n)));
        assert!((1..=20).all(|n| world.is_ready(&format!("w{n}"))), "and no time passed");
        assert!(!world.is_ready("broken"));
    }
}

#[test]
fn any_number_of_workspaces_whose_image_does_not_come_delay_no_other() {
    let mut world = Loop::new();
    world.faults.on_call(|action| {
        let big = matches!(action, perry::model::Action::EnsureImage { image, .. } if image == "big");
        big.then_some(Fate { effect: None, reply: Reply::Never })
    });
    for n in 1..=200 {
        let mut waits = numbered(n);
        waits.spec.image = Some("big".to_owned());
        world.put(waits);
    }
    world.put(numbered(201));
    assert!(world.is_ready("w201"), "and no time passed");
    world.until(|world| {
        world.is("w1", Type::Stalled) || world.events("w1").iter().any(|one| one.starts_with("Timeout"))
    });
}

#[test]
fn a_thousand_workspaces_come_up_together() {
    let stored = 1..=1_000_u16;
    let world = Loop::just_started(|intent| stored.clone().for_each(|n| intent.put(numbered(n))));
    assert!(stored.clone().all(|n| world.is_ready(&format!("w{n}"))));
    assert_eq!(world.world.with(|engine| engine.containers.len()), 1_000);
    assert_eq!(world.controller.depth(), Depth { waiting: 1_000, in_pass: 0 }, "each waits for its resync");
}

#[test]
fn a_thousand_settled_workspaces_are_looked_at_and_nothing_is_written_or_done() {
    let stored = 1..=1_000_u16;
    let mut world = Loop::just_started(|intent| stored.clone().for_each(|n| intent.put(numbered(n))));
    world.advance(MINUTE);
    let before = (world.version(), world.faults.calls());
    let looks = world.faults.looks();
    world.advance(72 * SECOND);
    assert!(world.faults.looks() - looks >= 1_000, "each was looked at");
    assert_eq!((world.version(), world.faults.calls()), before);
}

#[test]
fn the_resyncs_of_a_burst_are_spread_out() {
    let mut world = Loop::just_started(|intent| (1..=1_000).for_each(|n| intent.put(numbered(n))));
    let mut most = 0;
    for _ in 0..80 {
        let before = world.faults.looks();
        world.advance(SECOND);
        most = most.max(world.faults.looks() - before);
    }
    assert!(most < 100, "{most} within one second");
}
