//! One fixed life of two workspaces, lived again and again: the agent dies after each action that is called or takes
//! effect, and the machine or the disk fails at each step that a file takes. Each ends as if nothing had happened.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use perry::clock::Clock;
use perry::model::admission::{self, NOT_KNOWN, Settings};
use perry::model::observed::ContainerState;
use perry::model::workspace::{PortSpec, VolumeSpec};
use perry::model::{Config, Name, Run, Spec, State, Uid};
use perry::runtime::fake::Engine;
use perry::store::sim_disk::{Fault, Reboot};

use super::ablation::Ablation;
use super::chaos::Chaos;
use super::people;
use super::world::Sim;

/// Where it goes wrong, once in a life.
#[derive(Debug, Clone, Copy)]
pub enum Blow {
    None,
    /// The agent dies when so many actions have been called or have taken effect.
    AfterMoments(u64),
    /// A step of the folder's disk fails, or all ends there.
    AtDiskStep(u64, Fault),
}

/// What a life comes to.
#[derive(Debug)]
pub struct Ending {
    pub violations: Vec<String>,
    pub moments: u64,
    pub disk_steps: u64,
    /// What is on the engine and in the store, without ids.
    pub left: Vec<String>,
}

enum Change {
    Edit(fn(&mut State, Timestamp)),
    Engine(fn(&mut Engine)),
}

/// How far things go before the next change.
enum Until {
    Settled,
    Passed(Duration),
}

use Change::{Edit, Engine as OnEngine};
use Until::{Passed, Settled};

/// Every kind of change that there is, every way in which an engine loses something, and a change of mind.
const SCRIPT: &[(Change, Until)] = &[
    (Edit(|state, now| apply(state, "alpha", now, "1")), Settled),
    (Edit(|state, now| apply(state, "beta", now, "1")), Settled),
    (Edit(|state, now| apply(state, "alpha", now, "2")), Settled),
    (OnEngine(restart), Settled),
    (Edit(|state, _| set_run(state, "alpha", Run::Stopped)), Settled),
    (Edit(|state, _| set_run(state, "alpha", Run::Running)), Settled),
    (OnEngine(|engine| engine.containers.clear()), Settled),
    (Edit(|state, now| drop(admission::restart(state, &name("beta"), now, false, None))), Settled),
    (Edit(|state, now| drop(admission::restart(state, &name("beta"), now, true, None))), Settled),
    (Edit(|state, now| drop(admission::delete(state, &name("alpha"), now, None))), Settled),
    (Edit(|state, now| apply(state, "alpha", now, "3")), Passed(Duration::from_millis(500))),
    (Edit(|state, now| apply(state, "alpha", now, "4")), Passed(Duration::from_millis(500))),
    (Edit(|state, now| drop(admission::delete(state, &name("alpha"), now, None))), Settled),
    (Edit(|state, now| apply(state, "alpha", now, "5")), Settled),
];

/// Lives the script with one blow; `kind` is how the agent ends where the blow is a death, and `away` for how long.
pub fn live(blow: Blow, kind: Reboot, away: Duration) -> Ending {
    let mut sim = Sim::new(Chaos::quiet(1), Ablation::None);
    match blow {
        Blow::None => {}
        Blow::AfterMoments(count) => *sim.dies_after.lock().unwrap() = Some(count),
        Blow::AtDiskStep(step, fault) => sim.desk.disk.fault_at(step, fault),
    }
    sim.boot();
    for (change, until) in SCRIPT {
        match change {
            Edit(edit) => sim.edit(*edit, kind, away),
            OnEngine(change) => sim.meddle(*change),
        }
        match until {
            Settled => sim.until_settled(kind, away),
            Passed(time) => sim.live_until(sim.clock.monotonic() + *time, kind, away),
        }
    }
    let (moments, disk_steps) = (sim.moments.load(Ordering::Relaxed), sim.desk.disk.steps());
    sim.end();
    Ending { violations: sim.oracle.violations(), moments, disk_steps, left: sim.left() }
}

impl Sim {
    /// Until it is taken, as somebody does who sees an error and tries again.
    fn edit(&mut self, edit: fn(&mut State, Timestamp), kind: Reboot, away: Duration) {
        for _ in 0..10 {
            self.rise(kind, away);
            let now = self.now();
            if self.desk.edit(move |state| edit(state, now)) {
                self.settle();
                return;
            }
        }
        self.oracle.violation("an edit was never taken");
    }

    fn meddle(&mut self, change: fn(&mut Engine)) {
        self.world.meddle(change);
        self.settle();
    }

    /// The agent is there afterwards.
    fn rise(&mut self, kind: Reboot, away: Duration) {
        if self.is_dying() {
            self.crash(kind);
            self.run_until(self.clock.monotonic() + away);
        }
        for _ in 0..10 {
            if self.life.is_some() {
                return;
            }
            self.boot();
            self.settle();
        }
        self.oracle.violation("the agent never starts");
    }

    /// Time passes, whether there is an agent or not.
    fn run_until(&mut self, until: Duration) {
        while self.clock.monotonic() < until {
            self.advance(until - self.clock.monotonic());
        }
    }

    fn live_until(&mut self, until: Duration, kind: Reboot, away: Duration) {
        while self.clock.monotonic() < until {
            self.rise(kind, away);
            self.advance(until.saturating_sub(self.clock.monotonic()));
        }
        self.rise(kind, away);
    }

    fn until_settled(&mut self, kind: Reboot, away: Duration) {
        let (mut calm_since, deadline) = (None, self.clock.monotonic() + Duration::from_secs(1800));
        while self.oracle.violations().is_empty() {
            self.live_until(self.clock.monotonic() + Duration::from_secs(1), kind, away);
            let now = self.clock.monotonic();
            calm_since = calm_since
                .filter(|_| self.unsettled().is_empty())
                .or_else(|| self.unsettled().is_empty().then_some(now));
            // A deletion and a restart look settled for a moment before the first look at them.
            if calm_since.is_some_and(|since| now - since > Duration::from_secs(10)) {
                return;
            }
            if now > deadline {
                self.unsettled().into_iter().for_each(|text| self.oracle.violation(format!("L1: {text}")));
            }
        }
    }

    fn left(&self) -> Vec<String> {
        let state = self.desk.state();
        let intent = state.workspaces.values().map(|workspace| {
            let env = workspace.spec.env.get("A").cloned().unwrap_or_default();
            format!("intent {} A={env} {:?}", workspace.metadata.name, workspace.metadata.host_ports)
        });
        let engine = self.world.with(|engine| {
            let containers = engine
                .containers
                .values()
                .map(|c| format!("container {} {:?} {:?} {:?}", c.name, c.state, c.volumes, c.ports));
            let volumes = engine.volumes.keys().map(|name| format!("volume {name}"));
            let networks = engine.networks.keys().map(|name| format!("network {name}"));
            containers.chain(volumes).chain(networks).collect::<Vec<_>>()
        });
        let views = self.views().into_iter().map(|view| format!("{} is {:?}", view.name, view.status));
        let mut left: Vec<String> = intent.chain(engine).chain(views).collect();
        left.sort();
        left
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn set_run(state: &mut State, who: &str, run: Run) {
    let _ = admission::set_run(state, &name(who), run, None);
}

fn apply(state: &mut State, who: &str, now: Timestamp, value: &str) {
    // One is built, the other is pulled.
    let image = if who == "alpha" { people::IMAGES[0] } else { people::IMAGES[1] };
    let mut spec = Spec { image: Some(image.to_owned()), ..Spec::default() };
    spec.docker = who == "alpha";
    spec.env.insert("A".to_owned(), value.to_owned());
    spec.volumes.push(VolumeSpec { name: name("cache").as_str().parse().unwrap(), path: "/cache".to_owned() });
    spec.ports.push(PortSpec { name: "http".parse().unwrap(), port: 3000, host_port: None, bind: None });
    let uid = Uid(format!("{:032x}", u128::from(state.revision) + 1));
    let config = Config::default();
    let settings = Settings { config: &config, now, uid, if_generation: None, allow_replace: true, in_use: &NOT_KNOWN };
    let _ = people::apply(state, &name(who), spec, &settings);
}

fn restart(engine: &mut Engine) {
    let running = |engine: &Engine| -> Vec<String> {
        let containers = engine.containers.iter();
        containers.filter(|(_, c)| c.state == ContainerState::Running).map(|(id, _)| id.clone()).collect()
    };
    for id in running(engine) {
        engine.exit(&id, 255);
    }
}

/// The ways to die that each moment is tried with.
const DEATHS: [(Reboot, Duration); 3] = [
    (Reboot::Process, Duration::ZERO),
    (Reboot::Process, Duration::from_secs(60)),
    (Reboot::Machine(7), Duration::from_secs(1)),
];

fn check(undisturbed: &Ending, blow: Blow, kind: Reboot, away: Duration) {
    let ending = live(blow, kind, away);
    assert!(ending.violations.is_empty(), "{blow:?}, {kind:?}, away {away:?}: {:#?}", ending.violations);
    assert_eq!(ending.left, undisturbed.left, "{blow:?}, {kind:?}, away {away:?}");
}

fn undisturbed() -> Ending {
    let ending = live(Blow::None, Reboot::Process, Duration::ZERO);
    let ready = |who| ending.left.iter().any(|what| *what == format!("{who} is Running"));
    assert!(ready("alpha") && ready("beta"), "{:#?}", ending.left);
    assert!(ending.violations.is_empty(), "{:#?}", ending.violations);
    ending
}

#[test]
fn an_agent_that_dies_after_any_single_action_leaves_the_same_in_the_end() {
    let undisturbed = undisturbed();
    assert!(undisturbed.moments > 60, "only {} moments in this life", undisturbed.moments);
    for moment in 1..=undisturbed.moments {
        for (kind, away) in DEATHS {
            check(&undisturbed, Blow::AfterMoments(moment), kind, away);
        }
    }
    println!("{} moments, {} ways to die", undisturbed.moments, DEATHS.len());
}

/// A create that dies at any moment, and somebody who has had enough: what an engine still does of it must not be left
/// behind. Many timings, because it depends on when the engine does it.
#[test]
fn a_delete_right_after_a_death_in_any_moment_of_a_create_leaves_nothing() {
    let create = |state: &mut State, now| apply(state, "alpha", now, "1");
    let give_up = |state: &mut State, now| drop(admission::delete(state, &name("alpha"), now, None));
    let mut most = 0;
    for seed in 0..40 {
        for moment in 1.. {
            let mut sim = Sim::new(Chaos::quiet(seed), Ablation::None);
            *sim.dies_after.lock().unwrap() = Some(moment);
            sim.boot();
            sim.edit(create, Reboot::Process, Duration::ZERO);
            let deadline = sim.clock.monotonic() + Duration::from_secs(60);
            while !sim.is_dying() && sim.clock.monotonic() < deadline {
                sim.advance(Duration::from_secs(1));
            }
            if !sim.is_dying() {
                most = most.max(moment - 1);
                break;
            }
            sim.edit(give_up, Reboot::Process, Duration::ZERO);
            sim.end();
            assert!(sim.oracle.violations().is_empty(), "seed {seed}, moment {moment}: {:#?}", sim.oracle.violations());
            assert!(
                sim.left().iter().all(|what| what.starts_with("network")),
                "seed {seed}, moment {moment}: {:?}",
                sim.left()
            );
        }
    }
    println!("up to {most} moments in each of 40 creates");
    assert!(most >= 10, "only {most} moments in a create");
}

#[test]
fn a_failure_at_any_single_step_of_a_file_leaves_the_same_in_the_end() {
    let undisturbed = undisturbed();
    assert!(undisturbed.disk_steps > 60, "only {} steps in this life", undisturbed.disk_steps);
    for step in 0..undisturbed.disk_steps {
        for (kind, away) in DEATHS {
            check(&undisturbed, Blow::AtDiskStep(step, Fault::Crash), kind, away);
        }
        for fault in [Fault::Fail(ErrorKind::StorageFull), Fault::FailAfter(ErrorKind::Other)] {
            check(&undisturbed, Blow::AtDiskStep(step, fault), Reboot::Process, Duration::ZERO);
        }
    }
    println!("{} steps, {} ways to die, 2 to fail", undisturbed.disk_steps, DEATHS.len());
}
