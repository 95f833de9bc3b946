//! One seeded world: an agent that lives, dies and comes back among faults and people.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Poller, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;
use perry::clock::{Clock, ManualClock};
use perry::controller::{Controller, Parts};
use perry::model::{ConditionType, Config, Name, Run, View, Workspace};
use perry::plan::{Context, Settings};
use perry::runtime::fake::World;
use perry::store::sim_disk::{Fault, Reboot};
use perry::watch::{Hub, Limits};

use super::ablation::Ablation;
use super::chaos::{Chaos, LATEST_EFFECT};
use super::intent::{Desk, Lens};
use super::oracle::{Oracle, Watcher};
use super::people;
use super::probe::{Notes, Probe};

const AGENT: &str = "this-agent";
const EXECUTABLE: &str = "worker-1";
/// Longer than the longest deadline of an action, with every back-off in between.
const ENDS_WELL_WITHIN: Duration = Duration::from_secs(90 * 60);

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An agent from its start to its death.
struct Life {
    hub: Hub<View>,
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

struct Sim {
    chaos: Chaos,
    ablation: Ablation,
    clock: ManualClock,
    world: World,
    desk: Desk,
    oracle: Oracle,
    notes: Arc<Mutex<Notes>>,
    watcher: Option<Watcher>,
    life: Option<Life>,
    boots: u64,
    flag: Arc<Flag>,
    /// What `AbsenceDeletes` goes by.
    remembered: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
    /// The agent dies as soon as this many more actions have been called or have taken effect.
    dies_after: Arc<Mutex<Option<u64>>>,
}

/// Lives through one world; what was violated.
pub fn run_seed(seed: u64, ablation: Ablation) -> Vec<String> {
    let mut sim = Sim::new(seed, ablation);
    sim.live();
    if sim.oracle.violations().is_empty() {
        sim.end();
    }
    sim.oracle.violations()
}

impl Sim {
    fn new(seed: u64, ablation: Ablation) -> Self {
        let (chaos, clock, oracle) = (Chaos::new(seed), ManualClock::default(), Oracle::new(AGENT));
        let world = World::new(Arc::new(clock.clone()), chaos.clone());
        let dies_after = Arc::new(Mutex::new(None::<u64>));
        let (witness, countdown, time) = (oracle.clone(), dies_after.clone(), clock.clone());
        world.watch(Box::new(move |moment| {
            witness.witness(&moment);
            let what = if moment.after.is_some() { "took effect" } else { "called" };
            trace(&time, || format!("{what}: {}", moment.action));
            if let Some(left) = countdown.lock().unwrap().as_mut() {
                *left = left.saturating_sub(1);
            }
        }));
        world.meddle(|engine| engine.registry.insert(people::IMAGES[1].to_owned()));
        let desk = Desk::new(&oracle, &clock);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let (notes, remembered) = (Arc::default(), Arc::default());
        world.meddle(|engine| engine.trusting = ablation == Ablation::NamesNotIds);
        Self {
            chaos,
            ablation,
            clock,
            world,
            desk,
            oracle,
            notes,
            watcher: None,
            life: None,
            boots: 0,
            flag,
            remembered,
            dies_after,
        }
    }

    fn boot(&mut self) {
        trace(&self.clock, || "the agent starts".to_owned());
        if !self.desk.open() {
            // The disk failed while it opened: as good as a crash.
            self.crash();
            return;
        }
        self.boots += 1;
        self.oracle.booted();
        let hub = Hub::new(&format!("boot{}", self.boots), Limits { events: 64, bytes: 1 << 20 }).unwrap();
        let frozen = Arc::default();
        let probe = Probe {
            inner: Box::new(self.world.runtime(AGENT, EXECUTABLE)),
            notes: self.notes.clone(),
            ablation: self.ablation,
            desk: self.desk.clone(),
            world: self.world.clone(),
            frozen: Arc::clone(&frozen),
        };
        let lens =
            Lens { desk: self.desk.clone(), ablation: self.ablation, frozen, remembered: self.remembered.clone() };
        let settings =
            Settings { agent: AGENT.to_owned(), config: Config::default(), executable: EXECUTABLE.to_owned() };
        let doubt = if self.ablation == Ablation::NoDoubt { Duration::ZERO } else { LATEST_EFFECT };
        let controller = Controller::new(Parts {
            intent: Arc::new(lens),
            runtime: Arc::new(probe),
            clock: Arc::new(self.clock.clone()),
            hub: hub.clone(),
            settings,
            doubt,
            seed: self.chaos.bits(),
        });
        match &mut self.watcher {
            Some(watcher) => watcher.resume(&hub),
            None => self.watcher = Some(Watcher::new(&hub)),
        }
        self.life = Some(Life { hub, run: Box::pin(controller.run()) });
        *self.dies_after.lock().unwrap() = self.chaos.chance(500).then(|| self.chaos.below(40));
        self.flag.0.store(true, Ordering::Relaxed);
    }

    fn crash(&mut self) {
        trace(&self.clock, || "the agent dies".to_owned());
        self.life = None;
        self.desk.agents_died();
        self.desk.disk.clear_faults();
        let kind = if self.chaos.chance(500) { Reboot::Process } else { Reboot::Machine(self.chaos.bits()) };
        self.desk.disk.reboot(kind);
        let chaos = self.chaos.clone();
        self.world.agents_died(LATEST_EFFECT, || chaos.chance(300));
        *self.dies_after.lock().unwrap() = None;
    }

    /// Lets everything happen that can happen at this moment, and checks.
    fn settle(&mut self) {
        let waker = Waker::from(self.flag.clone());
        self.world.tick();
        let Some(life) = &mut self.life else { return };
        while self.flag.0.swap(false, Ordering::Relaxed) {
            let _ = life.run.as_mut().poll(&mut Poller::from_waker(&waker));
            self.world.tick();
        }
        let context = Context { executable: EXECUTABLE.to_owned(), in_doubt: false };
        let notes = self.notes.lock().unwrap();
        self.world.with(|engine| self.oracle.step(&life.hub, engine, &notes.looks, &context));
        notes.doubles.iter().for_each(|double| self.oracle.violation(double));
        if let Some(watcher) = &mut self.watcher {
            if self.chaos.chance(20) {
                watcher.resume(&life.hub);
            }
            watcher.catch_up(&life.hub, &self.oracle);
        }
    }

    /// Moves time to the next thing that happens, at most by `limit`.
    fn advance(&mut self, limit: Duration) {
        let now = self.clock.monotonic();
        let next = [self.clock.next_deadline(), self.world.tick()].into_iter().flatten().min();
        let next = next.unwrap_or(Duration::MAX).max(now + Duration::from_micros(100));
        self.clock.advance_to(next.min(now + limit));
        self.settle();
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The time of faults: people edit, things break, the agent dies and comes back.
    fn live(&mut self) {
        self.boot();
        self.settle();
        for _ in 0..40 + self.chaos.below(120) {
            let until = self.clock.monotonic() + self.pause();
            while self.clock.monotonic() < until && self.oracle.violations().is_empty() {
                self.advance(until - self.clock.monotonic());
                if self.desk.disk.is_crashed() || self.life.is_some() && *self.dies_after.lock().unwrap() == Some(0) {
                    self.crash();
                }
            }
            if !self.oracle.violations().is_empty() {
                return;
            }
            self.disturb();
            self.settle();
        }
    }

    fn pause(&self) -> Duration {
        match self.chaos.below(10) {
            0..=5 => self.chaos.millis(1, 400),
            6..=8 => self.chaos.millis(400, 8_000),
            _ => self.chaos.millis(8_000, 90_000),
        }
    }

    fn disturb(&mut self) {
        let (chaos, now) = (self.chaos.clone(), self.now());
        let before = (self.desk.state(), self.world.with(Clone::clone));
        match chaos.below(10) {
            0..=4 => {
                let chance = chaos.clone();
                self.desk.edit(move |state| people::edit(state, &chance, now));
            }
            5 => self.disturb_disk(),
            6 | 7 => self.world.meddle(|engine| people::meddle(engine, &chaos)),
            8 if self.life.is_some() => self.crash(),
            9 if self.life.is_none() && chaos.chance(300) => self.desk.lose(),
            _ if self.life.is_none() => self.boot(),
            _ => {}
        }
        let after = (self.desk.state(), self.world.with(Clone::clone));
        if after.0 != before.0 {
            trace(&self.clock, || format!("intent: {:?}", summary(&after.0)));
        }
        if after.1 != before.1 {
            trace(&self.clock, || format!("meddled: {:?}", after.1));
        }
        if self.life.is_none() && chaos.chance(700) {
            self.boot();
        }
    }

    /// Something happens to the folder: a step fails, everything ends at a step, or somebody writes into it.
    fn disturb_disk(&mut self) {
        let step = self.desk.disk.steps() + self.chaos.below(12);
        let fault = match self.chaos.below(4) {
            0 => Fault::Fail(std::io::ErrorKind::StorageFull),
            1 => Fault::FailAfter(std::io::ErrorKind::Other),
            2 => Fault::Crash,
            _ => {
                let content = self.desk.disk.content("state.json").unwrap_or_default();
                let scribbled = people::scribble(&content, &self.chaos);
                trace(&self.clock, || {
                    format!(
                        "state.json is edited: {:?}",
                        scribbled.as_ref().map(|text| String::from_utf8_lossy(text).into_owned())
                    )
                });
                self.desk.touch(scribbled.as_deref());
                self.desk.poll();
                return;
            }
        };
        trace(&self.clock, || format!("the disk at step {step}: {fault:?}"));
        self.desk.disk.fault_at(step, fault);
    }

    /// Faults have stopped: L1, then L2.
    fn end(&mut self) {
        self.chaos.calm();
        self.desk.disk.clear_faults();
        if self.desk.disk.is_crashed() {
            self.crash();
        }
        if self.life.is_none() {
            self.boot();
        }
        *self.dies_after.lock().unwrap() = None;
        let leave = self.chaos.chance(600);
        self.world.meddle(|engine| {
            engine.up = true;
            if leave {
                people::strangers_leave(engine);
            }
        });
        let deadline = self.clock.monotonic() + ENDS_WELL_WITHIN;
        let fine = |sim: &Self| sim.oracle.violations().is_empty();
        while fine(self) && self.clock.monotonic() < deadline && !self.unsettled().is_empty() {
            self.run_for(Duration::from_secs(30));
        }
        self.unsettled().into_iter().for_each(|text| self.oracle.violation(format!("L1: {text}")));
        self.nothing_more();
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until && self.oracle.violations().is_empty() {
            self.advance(until - self.clock.monotonic());
        }
    }

    /// What has not reached Ready, Stopped, Stalled or gone.
    fn unsettled(&self) -> Vec<String> {
        let Some(life) = &self.life else { return vec!["the agent is dead".to_owned()] };
        let state = self.desk.state();
        let mut unsettled = Vec::new();
        for workspace in state.workspaces.values() {
            let name = &workspace.metadata.name;
            let Some(view) = life.hub.get(name.as_str()) else {
                unsettled.push(format!("{name} is not shown"));
                continue;
            };
            let stopped = workspace.spec.run() == Run::Stopped && view.status == perry::model::Phase::Stopped;
            let deleting = workspace.metadata.deletion_timestamp.is_some();
            let ready = view.is_true(ConditionType::Ready) || (stopped && view.observed_generation == view.generation);
            if !(view.is_true(ConditionType::Stalled) || (ready && !deleting)) {
                unsettled.push(said(&view));
            }
        }
        for (view, _) in life.hub.list().0.iter().map(|view| (view, ())) {
            if !state.workspaces.contains_key(&view.name) {
                unsettled.push(format!("{} is shown and not wanted", view.name));
            }
        }
        unsettled
    }

    /// L2: resyncs do nothing and say nothing.
    fn nothing_more(&mut self) {
        // Late hints may still be on their way; a parked workspace sees at its next resync what others changed since,
        // and may try all its tries again.
        self.run_for(Duration::from_secs(600));
        let Some(life) = &self.life else { return };
        let (before, version) = (self.world.with(Clone::clone), life.hub.list().1);
        let (calls, revision) = (self.notes.lock().unwrap().calls.len(), self.desk.state().revision);
        self.run_for(Duration::from_secs(300));
        let Some(life) = &self.life else { return };
        let done = self.notes.lock().unwrap().calls.split_off(calls);
        if self.world.with(|engine| *engine != before) || !done.is_empty() {
            self.oracle.violation(format!("L2: something was done after everything had settled: {done:?}"));
        }
        if life.hub.list().1 != version || self.desk.state().revision != revision {
            let views: Vec<String> = life.hub.list().0.iter().map(|view| said(view)).collect();
            self.oracle.violation(format!("L2: something was written after everything had settled: {views:#?}"));
        }
    }
}

fn said(view: &View) -> String {
    let about = |c: &perry::model::Condition| format!("{:?}={:?} {} {}", c.kind, c.status, c.reason, c.message);
    let conditions: Vec<String> = view.conditions.iter().take(3).map(about).collect();
    format!("{} is {:?}: {}", view.name, view.status, conditions.join("; "))
}

/// `PERRY_SIM_TRACE=1` tells what happens, for replaying a seed.
fn trace(clock: &ManualClock, what: impl FnOnce() -> String) {
    if std::env::var_os("PERRY_SIM_TRACE").is_some() {
        println!("{:>12.3} {}", clock.monotonic().as_secs_f64(), what());
    }
}

fn summary(state: &perry::model::State) -> Vec<String> {
    let one = |w: &Arc<perry::model::Workspace>| {
        let m = &w.metadata;
        format!("{} {} g{} {:?} deleting={}", m.name, m.uid, m.generation, w.spec.run(), m.deletion_timestamp.is_some())
    };
    state.workspaces.values().map(one).collect()
}
