//! The loop: what is wanted and what is there become one, whatever happens in between.
//!
//! A reason to look (a commit, an event of the engine, a timer, the start of the agent) is a key in the queue and no
//! more. A pass takes the key, loads intent, looks, plans, acts, and looks again; it is never told why it runs. All
//! passes run inside the one future [`Controller::run`], so the loop needs no executor of its own and a simulation can
//! drive it step by step.

mod events;
mod handle;
mod memory;
mod pass;
mod policy;
mod prune;
mod startup;
mod stats;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use handle::{Handle, Preview};
pub use prune::{PruneError, Pruned};
pub use stats::{BOUNDS, Stats, Times};

use crate::clock::Clock;
use crate::model::{Config, Event, Name, Reason, Severity, Shown, Workspace};
use crate::plan::{Picture, Settings};
use crate::queue::{Backoff, Claim, Jitter, WorkQueue};
use crate::runtime::{Hint, Runtime};
use crate::store::Intent;
use crate::watch::Hub;
use events::EventLog;
use memory::Memory;

/// Passes that look or act at once. A pass is almost all waiting, so this is far above the number of processors; it keeps
/// a burst of a thousand applies from opening a thousand connections to the engine. A pass that fetches an image, which
/// may take half an hour, does not count: the runtime has permits of its own for that.
const PASSES: usize = 64;

/// What the controller works with.
pub struct Parts {
    /// What is wanted.
    pub intent: Arc<dyn Intent>,
    /// What is there.
    pub runtime: Arc<dyn Runtime>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where views go.
    pub hub: Hub<Shown>,
    /// What is the same for all workspaces.
    pub settings: Settings,
    /// How long after a broken-off call, or the start of the agent, a call may still take effect.
    pub doubt: Duration,
    /// Decides all jitter.
    pub seed: u64,
}

/// The loop over all workspaces of an agent.
pub struct Controller {
    parts: Parts,
    /// Those of the parts, until they change.
    settings: RwLock<Arc<Settings>>,
    queue: WorkQueue<Name>,
    memory: Mutex<BTreeMap<Name, Memory>>,
    backoff: Mutex<Backoff<Name>>,
    /// The same for looks that saw nothing: how long the engine was away says nothing about what is tried afterwards.
    blind: Mutex<Backoff<Name>>,
    jitter: Mutex<Jitter>,
    events: EventLog,
    stats: Mutex<Stats>,
    slots: Arc<Semaphore>,
    /// No pass is to begin, and what can be broken off is.
    stopping: AtomicBool,
}

/// A pass's share of [`PASSES`].
type Slot = OwnedSemaphorePermit;

impl Controller {
    /// A controller that does nothing until [`run`](Self::run).
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            queue: WorkQueue::new(parts.clock.clone()),
            memory: Mutex::new(BTreeMap::new()),
            backoff: Mutex::new(Backoff::new(parts.seed)),
            blind: Mutex::new(Backoff::new(parts.seed.wrapping_add(2))),
            jitter: Mutex::new(Jitter::new(parts.seed.wrapping_add(1))),
            events: EventLog::new(),
            stats: Mutex::default(),
            slots: Arc::new(Semaphore::new(PASSES)),
            stopping: AtomicBool::new(false),
            settings: RwLock::new(Arc::new(parts.settings.clone())),
            parts,
        })
    }

    /// Runs until [`shutdown`](Self::shutdown). Calls of an earlier agent may still take effect when it starts, so
    /// nothing counts as finally gone at first.
    pub async fn run(self: Arc<Self>) {
        let (mut hints, mut changes) = (self.parts.runtime.events(), self.parts.intent.changes());
        self.begin(self.parts.clock.monotonic() + self.parts.doubt);
        let mut passes = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = passes.next() => {}
                Some(name) = changes.next() => self.intent_changed(&name),
                Some(hint) = hints.next() => match hint {
                    Hint::Workspace(name) => self.queue.add(name),
                    Hint::Everything => self.parts.intent.list().into_keys().for_each(|name| self.queue.add(name)),
                },
                next = self.next_pass() => match next {
                    Some((claim, slot)) => passes.push(self.clone().guarded_pass(claim, slot)),
                    None => break,
                },
            }
        }
        while passes.next().await.is_some() {}
    }

    /// Starts no pass any more; [`run`](Self::run) ends when those under way have. What can be broken off without doubt
    /// (fetching an image) is.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.queue.shutdown();
        locked(&self.memory).values().for_each(|memory| memory.intent_changed.notify_waiters());
    }

    /// Goes on with these settings, by which every workspace is looked at anew.
    pub fn reconfigure(&self, config: Config) {
        let settings = Settings { config, ..Settings::clone(&self.settings()) };
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.parts.intent.list().into_keys().for_each(|name| self.queue.add(name));
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cancel-safe: a future that is dropped has taken nothing.
    async fn next_pass(&self) -> Option<(Claim<Name>, Slot)> {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        Some((self.queue.next().await?, slot))
    }

    /// Keys waiting and passes under way: for measuring when the loop has settled.
    pub fn depth(&self) -> crate::queue::Depth {
        self.queue.depth()
    }

    /// Shows all that is wanted, not yet looked at, and has it looked at.
    fn begin(&self, in_doubt_until: Duration) {
        for (name, workspace) in self.parts.intent.list() {
            self.memory_of(&workspace, |memory| memory.in_doubt_until = memory.in_doubt_until.max(in_doubt_until));
            self.publish(&name);
            self.queue.add(name);
        }
    }

    fn intent_changed(&self, name: &Name) {
        if let Some(workspace) = self.parts.intent.get(name) {
            self.memory_of(&workspace, |memory| memory.intent_changed.notify_waiters());
            self.publish(name);
        }
        self.queue.add(name.clone());
    }

    /// One pass; a panic in it is an event and a back-off, not a dead daemon.
    async fn guarded_pass(self: Arc<Self>, claim: Claim<Name>, slot: Slot) {
        let name: Name = claim.clone();
        let next = AssertUnwindSafe(self.pass(&name, slot)).catch_unwind().await;
        let delay = match next {
            Ok(next) => next,
            Err(_) => {
                locked(&self.stats).panics += 1;
                self.panicked(&name)
            }
        };
        locked(&self.stats).passes += 1;
        if let Some(delay) = delay {
            self.queue.add_after(name, delay);
        }
        claim.done();
    }

    fn panicked(&self, name: &Name) -> Option<Duration> {
        let workspace = self.parts.intent.get(name)?;
        let reason = Reason::new("Panic", "a pass panicked; this is a bug in Perry, see the agent's log");
        // To show the failure may be what panics.
        let failed =
            AssertUnwindSafe(|| self.failed(&workspace, reason, &[], |memory, reason| memory.failed(reason, None)));
        std::panic::catch_unwind(failed).unwrap_or_else(|_| Some(self.back_off(&workspace)))
    }

    /// What the loop has done, and how much is under way.
    fn counted(&self) -> Stats {
        let depth = self.queue.depth();
        Stats { waiting: depth.waiting as u64, in_pass: depth.in_pass as u64, ..locked(&self.stats).clone() }
    }

    fn back_off(&self, workspace: &Workspace) -> Duration {
        locked(&self.stats).back_offs += 1;
        locked(&self.backoff).failed(&workspace.metadata.name, workspace.metadata.generation)
    }

    fn back_off_blind(&self, workspace: &Workspace) -> Duration {
        locked(&self.stats).back_offs += 1;
        locked(&self.blind).failed(&workspace.metadata.name, workspace.metadata.generation)
    }

    fn resync(&self) -> Duration {
        locked(&self.jitter).resync()
    }

    /// The memory of a workspace, as of its stored intent: a pass for an earlier one may still be at work.
    fn memory_of<T>(&self, workspace: &Workspace, use_it: impl FnOnce(&mut Memory) -> T) -> T {
        let name = &workspace.metadata.name;
        let mut memory = locked(&self.memory);
        let memory = memory.entry(name.clone()).or_default();
        if let Some(stored) = self.parts.intent.get(name) {
            memory.meet(&stored);
        }
        let value = use_it(memory);
        for (step, took) in memory.timeline.take_finished() {
            locked(&self.stats).steps.entry(step).or_default().add(took);
        }
        value
    }

    /// Shows what is known of a workspace to whoever watches: by its stored intent, whichever a pass works for.
    fn publish(&self, name: &Name) {
        let (wall, now) = (self.parts.clock.wall(), self.parts.clock.monotonic());
        // Read and published under the lock: an older picture must not overtake a newer one.
        let mut memory = locked(&self.memory);
        let Some(workspace) = self.parts.intent.get(name) else { return };
        let memory = memory.entry(name.clone()).or_default();
        memory.meet(&workspace);
        if memory.is_quiet() {
            return;
        }
        let view = crate::plan::project(&Picture {
            workspace: &workspace,
            image: &self.settings().config.image_tag,
            look: memory.look.as_ref(),
            observed_generation: memory.observed_generation,
            failure: memory.failure.as_ref(),
            overdue: memory.overdue(now),
            startup: memory.timeline.startup().as_ref(),
            before: &memory.conditions,
            now: wall,
        });
        memory.conditions.clone_from(&view.conditions);
        self.parts.hub.publish(view);
    }

    fn event(&self, workspace: &Workspace, severity: Severity, reason: &str, message: impl Into<String>) {
        let (name, uid) = (workspace.metadata.name.clone(), workspace.metadata.uid.clone());
        let (reason, message, at) = (reason.to_owned(), message.into(), self.parts.clock.wall());
        self.events.record(Event { name, uid, severity, reason, message, at, count: 1 });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A pass that panicked left at worst a memory that a restart would have lost too.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::{Stream, stream};

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::Uid;
    use crate::runtime::fake::{Smooth, World};
    use crate::store::IntentError;
    use crate::watch::Limits;

    /// Nothing is wanted.
    struct Nothing;

    #[async_trait::async_trait]
    impl Intent for Nothing {
        fn get(&self, _: &Name) -> Option<Arc<Workspace>> {
            None
        }
        fn list(&self) -> BTreeMap<Name, Arc<Workspace>> {
            BTreeMap::new()
        }
        async fn forget(&self, _: &Name, _: &Uid) -> Result<(), IntentError> {
            Ok(())
        }
        fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
            Box::pin(stream::pending())
        }
    }

    #[test]
    fn nothing_is_remembered_of_a_name_that_is_not_wanted_any_more() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let (agent, executable) = ("agent-a".to_owned(), "worker-1".to_owned());
        let controller = Controller::new(Parts {
            intent: Arc::new(Nothing),
            runtime: Arc::new(World::new(clock.clone(), Smooth).runtime(&agent, &executable)),
            clock,
            hub: Hub::new("boot", Limits::default()).expect("a plain word"),
            settings: Settings { agent, config: Config::default(), executable },
            doubt: Duration::ZERO,
            seed: 1,
        });
        let name: Name = "w".parse().expect("a name");
        locked(&controller.memory).entry(name.clone()).or_default();
        locked(&controller.backoff).failed(&name, 1);
        controller.queue.add(name.clone());
        let (claim, slot) = controller.next_pass().now_or_never().flatten().expect("the key is due");
        assert!(controller.clone().guarded_pass(claim, slot).now_or_never().is_some());
        assert!(locked(&controller.memory).is_empty());
        assert_eq!(locked(&controller.backoff).failures(&name), 0);
        assert_eq!(controller.depth(), crate::queue::Depth::default());
    }
}
