//! A world: an agent that lives, dies and comes back, with all that it stands on.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Poller, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;
use perry::clock::{Clock, ManualClock};
use perry::controller::{Controller, Parts};
use perry::model::{ConditionType, Config, Name, Run, Shown, View, Workspace};
use perry::plan::{Context, Settings};
use perry::runtime::fake::World;
use perry::store::sim_disk::Reboot;
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
pub struct Life {
    hub: Hub<Shown>,
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

pub struct Sim {
    pub chaos: Chaos,
    pub ablation: Ablation,
    pub clock: ManualClock,
    pub world: World,
    pub desk: Desk,
    pub oracle: Oracle,
    notes: Arc<Mutex<Notes>>,
    watcher: Option<Watcher>,
    pub life: Option<Life>,
    boots: u64,
    flag: Arc<Flag>,
    /// What `AbsenceDeletes` goes by.
    remembered: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
    /// The agent dies as soon as this many more actions have been called or have taken effect.
    pub dies_after: Arc<Mutex<Option<u64>>>,
    /// How many actions have been called or have taken effect, ever.
    pub moments: Arc<AtomicU64>,
}

impl Sim {
    pub fn new(chaos: Chaos, ablation: Ablation) -> Self {
        let (clock, oracle) = (ManualClock::default(), Oracle::new(AGENT));
        let moments = Arc::new(AtomicU64::new(0));
        let world = World::new(Arc::new(clock.clone()), chaos.clone());
        let dies_after = Arc::new(Mutex::new(None::<u64>));
        let (witness, countdown, time) = (oracle.clone(), dies_after.clone(), clock.clone());
        let counter = moments.clone();
        world.watch(Box::new(move |moment| {
            counter.fetch_add(1, Ordering::Relaxed);
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
            moments,
        }
    }

    pub fn boot(&mut self) {
        trace(&self.clock, || "the agent starts".to_owned());
        if !self.desk.open() {
            // The disk failed while it opened: as good as a crash.
            self.crash(Reboot::Process);
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
        self.flag.0.store(true, Ordering::Relaxed);
    }

    pub fn crash(&mut self, kind: Reboot) {
        trace(&self.clock, || "the agent dies".to_owned());
        self.life = None;
        self.desk.agents_died();
        self.desk.disk.clear_faults();
        self.desk.disk.reboot(kind);
        let chaos = self.chaos.clone();
        self.world.agents_died(LATEST_EFFECT, || chaos.chance(300));
        *self.dies_after.lock().unwrap() = None;
    }

    /// Lets everything happen that can happen at this moment, and checks.
    pub fn settle(&mut self) {
        let waker = Waker::from(self.flag.clone());
        self.world.tick();
        while !self.is_dying() && self.flag.0.swap(false, Ordering::Relaxed) {
            let Some(life) = &mut self.life else { return };
            let _ = life.run.as_mut().poll(&mut Poller::from_waker(&waker));
            self.world.tick();
        }
        let Some(life) = &self.life else { return };
        let context = Context { executable: EXECUTABLE.to_owned(), in_doubt: false, refreshed: false };
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
    pub fn advance(&mut self, limit: Duration) {
        let now = self.clock.monotonic();
        let next = [self.clock.next_deadline(), self.world.tick()].into_iter().flatten().min();
        let next = next.unwrap_or(Duration::MAX).max(now + Duration::from_micros(100));
        self.clock.advance_to(next.min(now + limit));
        self.settle();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Whether the moment has come at which the agent dies, or the machine with it.
    pub fn is_dying(&self) -> bool {
        self.desk.disk.is_crashed() || self.life.is_some() && *self.dies_after.lock().unwrap() == Some(0)
    }

    /// Faults have stopped: L1, then L2.
    pub fn end(&mut self) {
        self.chaos.calm();
        self.desk.disk.clear_faults();
        if self.is_dying() {
            self.crash(Reboot::Process);
        }
        *self.dies_after.lock().unwrap() = None;
        if self.life.is_none() {
            self.boot();
        }
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

    /// What is shown of everything; nothing while the agent is dead.
    pub fn views(&self) -> Vec<Arc<Shown>> {
        self.life.as_ref().map(|life| life.hub.list().0).unwrap_or_default()
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until && self.oracle.violations().is_empty() {
            self.advance(until - self.clock.monotonic());
        }
    }

    /// What has not reached Ready, Stopped, Stalled or gone.
    pub fn unsettled(&self) -> Vec<String> {
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
pub fn trace(clock: &ManualClock, what: impl FnOnce() -> String) {
    if std::env::var_os("PERRY_SIM_TRACE").is_some() {
        println!("{:>12.3} {}", clock.monotonic().as_secs_f64(), what());
    }
}
