//! A script that a test changes while the fake engine runs, and that notes what was asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perry::clock::{Clock, ManualClock};
use perry::model::desired::Owner;
use perry::model::{Action, Desired};
use perry::runtime::RuntimeError;
use perry::runtime::fake::{Blind, Delivery, Fate, Life, Reply, Script, Sight, Smooth};

/// Looks at one workspace at one moment of time, above which the loop must be running in circles.
const CIRCLES: u32 = 100;

type OnCall = Box<dyn FnMut(&Action) -> Option<Fate> + Send>;
type OnLook = Box<dyn FnMut(&Desired) -> Option<Sight> + Send>;
type OnStart = Box<dyn FnMut(&Owner) -> Option<Life> + Send>;

/// Everything goes smoothly but for what a test says. Clones share the same rules and notes.
#[derive(Clone)]
pub(crate) struct Faults {
    inner: Arc<Mutex<Inner>>,
    clock: ManualClock,
}

#[derive(Default)]
struct Inner {
    on_call: Option<OnCall>,
    on_look: Option<OnLook>,
    on_start: Option<OnStart>,
    hints_dropped: bool,
    calls: Vec<(Duration, Action)>,
    looks: BTreeMap<String, (Duration, u32)>,
    looked: usize,
}

impl Faults {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        Self { inner: Arc::default(), clock: clock.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of calls, where it says so.
    pub(crate) fn on_call(&self, rule: impl FnMut(&Action) -> Option<Fate> + Send + 'static) {
        self.lock().on_call = Some(Box::new(rule));
    }

    /// Calls of this step fail with this error and have no effect.
    pub(crate) fn fail(&self, step: &'static str, error: RuntimeError) {
        let fate = Fate { effect: None, reply: Reply::Error(Duration::ZERO, error) };
        self.on_call(move |action| (action.step() == step).then(|| fate.clone()));
    }

    /// Calls of this step take so long.
    pub(crate) fn slow(&self, step: &'static str, by: Duration) {
        let fate = Fate { effect: Some(by), reply: Reply::After(by) };
        self.on_call(move |action| (action.step() == step).then(|| fate.clone()));
    }

    /// How looks go, where it says so.
    pub(crate) fn on_look(&self, rule: impl FnMut(&Desired) -> Option<Sight> + Send + 'static) {
        self.lock().on_look = Some(Box::new(rule));
    }

    /// How containers live after a start, where it says so.
    pub(crate) fn on_start(&self, rule: impl FnMut(&Owner) -> Option<Life> + Send + 'static) {
        self.lock().on_start = Some(Box::new(rule));
    }

    /// No hint arrives any more.
    pub(crate) fn drop_hints(&self) {
        self.lock().hints_dropped = true;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        let mut inner = self.lock();
        (inner.on_call, inner.on_look, inner.on_start, inner.hints_dropped) = (None, None, None, false);
    }

    /// When each call of this step came.
    pub(crate) fn times(&self, step: &str) -> Vec<Duration> {
        self.lock().calls.iter().filter(|(_, action)| action.step() == step).map(|(at, _)| *at).collect()
    }

    /// How many calls came.
    pub(crate) fn calls(&self) -> usize {
        self.lock().calls.len()
    }

    /// How many looks were taken.
    pub(crate) fn looks(&self) -> usize {
        self.lock().looked
    }
}

impl Script for Faults {
    fn call(&mut self, action: &Action) -> Fate {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.calls.push((now, action.clone()));
        let fate = inner.on_call.as_mut().and_then(|rule| rule(action));
        fate.unwrap_or_else(|| Smooth.call(action))
    }

    fn look(&mut self, desired: &Desired) -> Sight {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.looked += 1;
        let (at, count) = inner.looks.entry(desired.owner.name.to_string()).or_default();
        *count = if *at == now { *count + 1 } else { 1 };
        *at = now;
        assert!(*count < CIRCLES, "{} is looked at again and again, and no time passes", desired.owner.name);
        let sight = inner.on_look.as_mut().and_then(|rule| rule(desired));
        sight.unwrap_or_else(|| Smooth.look(desired))
    }

    fn hint(&mut self) -> Delivery {
        if self.lock().hints_dropped { Delivery::Dropped } else { Delivery::Once }
    }

    fn started(&mut self, owner: &Owner) -> Life {
        let life = self.lock().on_start.as_mut().and_then(|rule| rule(owner));
        life.unwrap_or_default()
    }
}

/// A look that misses some parts.
pub(crate) fn partial(blind: Blind) -> Sight {
    Sight::Partial { after: Duration::ZERO, blind }
}

/// A container that boots at once and ends by itself.
pub(crate) fn ends_after(after: Duration) -> Life {
    Life { exits: Some((after, 1)), ..Life::default() }
}
