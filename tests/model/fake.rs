//! The fake engine, where Docker is known to behave so and the planner or the loop depends on it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use perry::clock::ManualClock;
use perry::model::observed::ContainerState;
use perry::model::{Action, Seen};
use perry::runtime::fake::{Life, World};
use perry::runtime::{Runtime, RuntimeError};

use crate::common::fixture::{AGENT, EXECUTABLE, at, context, desired_of, workspace};
use crate::common::harness::SECOND;
use crate::common::script::Faults;

/// A workspace that runs, on an engine whose containers live as the rule says.
struct Scene {
    world: World,
    clock: ManualClock,
    faults: Faults,
}

impl Scene {
    fn new(life: impl FnMut() -> Life + Send + 'static) -> Self {
        let clock = ManualClock::new(at(10_000));
        let faults = Faults::new(&clock);
        let world = World::new(Arc::new(clock.clone()), faults.clone());
        let mut life = life;
        faults.on_start(move |_| Some(life()));
        let one = Self { world, clock, faults };
        for _ in 0..2 {
            let desired = desired_of(&workspace("w"));
            let seen = one.runtime().observe(&desired).now_or_never().expect("at once");
            let plan = perry::plan::plan(&desired, &seen, &context());
            plan.actions.iter().for_each(|action| one.apply(action).expect("nothing goes wrong"));
        }
        one
    }

    fn runtime(&self) -> impl Runtime {
        self.world.runtime(AGENT, EXECUTABLE)
    }

    fn apply(&self, action: &Action) -> Result<(), RuntimeError> {
        self.runtime().apply(action, &|_| {}).now_or_never().expect("at once")
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.world.tick();
    }

    fn id(&self) -> String {
        self.world.with(|engine| engine.containers.keys().next().cloned()).expect("a container")
    }

    fn start(&self) -> Result<(), RuntimeError> {
        let owner = desired_of(&workspace("w")).owner;
        self.apply(&Action::StartContainer { id: self.id(), owner, restarted_at: None })
    }

    fn state(&self) -> ContainerState {
        let id = self.id();
        self.world.with(|engine| engine.containers[&id].state.clone())
    }
}

fn ends_after(seconds: u32) -> Life {
    Life { exits: Some((seconds * SECOND, 1)), ..Life::default() }
}

#[test]
fn starting_what_runs_is_no_error_and_begins_no_second_life() {
    let mut lives = [Life::default(), ends_after(1)].into_iter();
    let scene = Scene::new(move || lives.next().expect("one life only"));
    scene.start().expect("no error");
    scene.pass(5 * SECOND);
    assert_eq!(scene.state(), ContainerState::Running);
}

#[test]
fn the_end_of_an_earlier_life_is_not_that_of_a_later_one() {
    let mut lives = [ends_after(10), Life::default()].into_iter();
    let scene = Scene::new(move || lives.next().expect("two lives"));
    scene.pass(3 * SECOND);
    scene.apply(&Action::StopContainer { id: scene.id() }).expect("it runs");
    scene.start().expect("it is down");
    scene.pass(20 * SECOND);
    assert_eq!(scene.state(), ContainerState::Running);
}

#[test]
fn what_is_paused_or_being_removed_cannot_be_started() {
    for state in [ContainerState::Paused, ContainerState::Removing] {
        let scene = Scene::new(Life::default);
        let id = scene.id();
        scene.world.meddle(|engine| engine.containers.get_mut(&id).expect("there").state = state.clone());
        assert!(matches!(scene.start(), Err(RuntimeError::Changed(_))), "{state:?}");
        assert_eq!(scene.state(), state);
    }
}

#[test]
fn a_container_that_ended_has_no_worker_and_one_that_boots_gets_it_in_its_time() {
    let scene = Scene::new(|| Life { worker: 2 * SECOND, ssh: 3 * SECOND, docker: 4 * SECOND, exits: None });
    let worker = |scene: &Scene| {
        let seen = scene.runtime().observe(&desired_of(&workspace("w"))).now_or_never().expect("at once");
        seen.worker
    };
    assert_eq!(worker(&scene), Seen::Absent);
    scene.pass(2 * SECOND);
    assert!(worker(&scene).present().is_some());
    let id = scene.id();
    scene.world.meddle(|engine| engine.exit(&id, 0));
    assert_eq!(worker(&scene), Seen::Absent);
    assert_eq!(scene.faults.times("start").len(), 1);
}
