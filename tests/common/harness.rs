//! The loop on a fake engine, intent in memory and a clock that stands still until it is moved.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use perry::clock::{Clock, ManualClock};
use perry::controller::{Controller, Handle, Parts};
use perry::model::observed::{EngineSeen, FileFault, Seen};
use perry::model::{Action, ConditionType, Desired, DiskUsage, Observed, Shown, Uid, Variant, Workspace};
use perry::runtime::fake::{Engine, FakeRuntime, World};
use perry::runtime::{Hint, Orphans, Progress, Runtime, RuntimeError};
use perry::watch::{Hub, Limits};

use super::fixture::{AGENT, EXECUTABLE, at, name, settings};
use super::intent::MemoryIntent;
use super::script::Faults;

/// How long a call whose end is unknown may still take effect.
pub(crate) const DOUBT: Duration = Duration::from_millis(90_500);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One agent's loop, and everything around it.
pub(crate) struct Loop {
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
    pub(crate) faults: Faults,
    pub(crate) intent: Arc<MemoryIntent>,
    pub(crate) hub: Hub<Shown>,
    pub(crate) controller: Arc<Controller>,
    pub(crate) tamper: Tamper,
    /// [`Controller::run`], until it ends.
    run: Option<BoxFuture<'static, ()>>,
    woken: Arc<Woken>,
}

/// Whether the loop wants to go on.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Loop {
    /// An agent that has run for a while on an empty engine: nothing is in doubt any more.
    pub(crate) fn new() -> Self {
        let mut started = Self::just_started(|_| {});
        started.advance(DOUBT);
        started
    }

    /// An agent that starts with this intent stored.
    pub(crate) fn just_started(fill: impl FnOnce(&MemoryIntent)) -> Self {
        Self::just_started_on(&Engine::default(), fill)
    }

    /// The same on an engine that has something on it already.
    pub(crate) fn just_started_on(engine: &Engine, fill: impl FnOnce(&MemoryIntent)) -> Self {
        let clock = ManualClock::new(at(10_000));
        let faults = Faults::new(&clock);
        let world = World::new(Arc::new(clock.clone()), faults.clone());
        world.meddle(|now| now.clone_from(engine));
        let intent = Arc::new(MemoryIntent::default());
        fill(&intent);
        let hub = Hub::new("boot", Limits::default()).expect("a plain word");
        let tamper = Tamper::default();
        let runtime = Tampered { inner: world.runtime(AGENT, EXECUTABLE), tamper: tamper.clone() };
        let controller = Controller::new(Parts {
            intent: intent.clone(),
            runtime: Arc::new(runtime),
            clock: Arc::new(clock.clone()),
            hub: hub.clone(),
            settings: settings(),
            doubt: DOUBT,
            seed: 7,
        });
        let (run, woken) = (Some(controller.clone().run().boxed()), Arc::<Woken>::default());
        woken.clone().wake();
        let mut one = Self { clock, world, faults, intent, hub, controller, tamper, run, woken };
        one.settle();
        one
    }

    /// Lets everything happen that can without time passing.
    pub(crate) fn settle(&mut self) {
        let waker = Waker::from(self.woken.clone());
        while self.woken.0.swap(false, Ordering::SeqCst) {
            let Some(run) = &mut self.run else { return };
            if run.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.run = None;
            }
        }
    }

    /// Lets time pass, from one moment at which something is due to the next.
    pub(crate) fn advance(&mut self, by: Duration) {
        let target = self.clock.monotonic() + by;
        loop {
            let events = self.world.tick();
            self.settle();
            let due = [events, self.world.tick(), self.clock.next_deadline()].into_iter().flatten().min();
            match due {
                Some(due) if due <= target => self.clock.advance_to(due),
                _ => break,
            }
        }
        self.clock.advance_to(target);
        self.world.tick();
        self.settle();
    }

    /// Lets time pass until this is so; how long that took. Fails after an hour.
    pub(crate) fn until(&mut self, so: impl Fn(&Self) -> bool) -> Duration {
        let start = self.clock.monotonic();
        self.settle();
        while !so(self) {
            assert!(self.clock.monotonic() - start < 60 * MINUTE, "not within an hour: {:#?}", self.hub.list().0);
            let due = [self.world.tick(), self.clock.next_deadline()].into_iter().flatten().min();
            let due = due.expect("something is due, or it will never be so");
            self.clock.advance_to(due);
            self.world.tick();
            self.settle();
        }
        self.clock.monotonic() - start
    }

    /// Stores a workspace and lets the loop follow.
    pub(crate) fn put(&mut self, workspace: Workspace) {
        self.intent.put(workspace);
        self.settle();
    }

    /// Changes a workspace and lets the loop follow.
    pub(crate) fn edit(&mut self, name: &str, change: impl FnOnce(&mut Workspace)) {
        self.intent.edit(name, change);
        self.settle();
    }

    /// Asks for the deletion of a workspace and lets the loop follow.
    pub(crate) fn delete(&mut self, name: &str) {
        let now = self.clock.wall();
        self.edit(name, |workspace| workspace.metadata.deletion_timestamp = Some(now));
    }

    pub(crate) fn restart(&mut self, name: &str) {
        let now = self.clock.wall();
        self.edit(name, |workspace| workspace.metadata.restarted_at = Some(now));
    }

    /// Changes the engine behind everybody's back and lets the loop follow.
    pub(crate) fn meddle<T>(&mut self, change: impl FnOnce(&mut Engine) -> T) -> T {
        let result = self.world.meddle(change);
        self.settle();
        result
    }

    pub(crate) fn try_view(&self, name: &str) -> Option<Arc<Shown>> {
        self.hub.get(name)
    }

    pub(crate) fn view(&self, name: &str) -> Arc<Shown> {
        self.try_view(name).unwrap_or_else(|| panic!("nothing is shown of {name}"))
    }

    pub(crate) fn is(&self, name: &str, kind: ConditionType) -> bool {
        self.try_view(name).is_some_and(|view| view.is_true(kind))
    }

    pub(crate) fn is_ready(&self, name: &str) -> bool {
        self.is(name, ConditionType::Ready)
    }

    /// Reason and message of a condition.
    pub(crate) fn says(&self, name: &str, kind: ConditionType) -> (String, String) {
        let view = self.view(name);
        let condition = view.condition(kind).unwrap_or_else(|| panic!("nothing said of {kind:?}"));
        (condition.reason.clone(), condition.message.clone())
    }

    /// The reasons of the events of a workspace, with how often where that is more than once.
    pub(crate) fn events(&self, of: &str) -> Vec<String> {
        let events = self.controller.events(Some(&name(of)));
        let short = |event: &perry::model::Event| match event.count {
            1 => event.reason.clone(),
            count => format!("{} x{count}", event.reason),
        };
        events.iter().map(short).collect()
    }

    /// The id of a workspace's container.
    pub(crate) fn container(&self, of: &str) -> Option<String> {
        let wanted = format!("workspace-{of}");
        self.world.with(|engine| engine.containers.values().find(|one| one.name == wanted).map(|one| one.id.clone()))
    }

    /// The version of what watchers were told.
    pub(crate) fn version(&self) -> u64 {
        self.hub.list().1.n()
    }

    /// Whether [`Controller::run`] has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.run.is_none()
    }
}

type Change = Box<dyn FnMut(&Desired, &mut Observed) + Send>;

/// Changes what is seen, after the look. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Tamper(Arc<Mutex<Option<Change>>>);

impl Tamper {
    pub(crate) fn with(&self, change: impl FnMut(&Desired, &mut Observed) + Send + 'static) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Box::new(change));
    }

    pub(crate) fn stop(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

/// A fake runtime that a test can tamper with, and that tells of progress.
struct Tampered {
    inner: FakeRuntime,
    tamper: Tamper,
}

#[async_trait]
impl Runtime for Tampered {
    async fn observe(&self, desired: &Desired) -> Observed {
        let mut observed = self.inner.observe(desired).await;
        if let Some(change) = &mut *self.tamper.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            change(desired, &mut observed);
        }
        observed
    }

    async fn apply(&self, action: &Action, progress: Progress<'_>) -> Result<(), RuntimeError> {
        if matches!(action, Action::EnsureImage { .. }) {
            progress("step 1 of 2");
        }
        self.inner.apply(action, progress).await
    }

    fn events(&self) -> Pin<Box<dyn Stream<Item = Hint> + Send>> {
        self.inner.events()
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        self.inner.engine().await
    }

    async fn build_image(&self, image: &str, variant: Variant, progress: Progress<'_>) -> Result<(), RuntimeError> {
        self.inner.build_image(image, variant, progress).await
    }

    async fn sync(&self, desired: &Desired) -> Result<Vec<FileFault>, RuntimeError> {
        self.inner.sync(desired).await
    }

    async fn ports_in_use(&self) -> std::collections::BTreeSet<u16> {
        self.inner.ports_in_use().await
    }

    async fn disk(&self, desired: &Desired) -> Result<DiskUsage, RuntimeError> {
        self.inner.disk(desired).await
    }

    async fn orphans(&self, known: &std::collections::BTreeSet<Uid>) -> Result<Orphans, RuntimeError> {
        self.inner.orphans(known).await
    }
}
