//! A fake engine for tests, simulation and benchmarks. It holds to the same conformance bodies as Docker, so it cannot
//! drift; a [`Script`] decides what goes wrong. Time stands still unless the clock is moved, and everything that is due
//! happens in [`World::tick`].

mod engine;
mod index;
mod objects;
mod observe;
mod rights;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::mpsc;
use futures::{Stream, StreamExt, future, stream};

pub use engine::Engine;
pub use objects::{Container, Volume};
pub use script::{Blind, Delivery, Fate, Life, Reply, Script, Sight, Smooth};

use index::Indexed;

use super::{Hint, Orphans, Progress, Runtime, RuntimeError};
use crate::clock::Clock;
use crate::model::observed::{EngineSeen, FileFault, Seen};
use crate::model::{Action, Desired, DiskUsage, Name, Observed, Uid, Variant};

/// An engine and everything on it. Outlives the agents that use it; clones share it.
#[derive(Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
}

struct Inner {
    engine: Indexed,
    script: Box<dyn Script>,
    witness: Option<Witness>,
    pending: BTreeMap<(Duration, u64), Pending>,
    next: u64,
    subscribers: Vec<mpsc::UnboundedSender<Hint>>,
    /// What each workspace was last looked at for: the intent behind the actions that follow.
    looked_at: BTreeMap<Name, Desired>,
}

enum Pending {
    Effect { action: Box<Action>, agent: String, behind: Option<Box<Desired>>, reply: Cell },
    Hint(Hint),
    Exit { id: String, starts: u32, code: i64 },
    Nudge(Name),
}

type Cell = Arc<Mutex<Option<Result<(), RuntimeError>>>>;

/// Is told of every action: when it is called and when it takes effect.
pub type Witness = Box<dyn FnMut(Moment<'_>) + Send>;

/// A moment that a [`Witness`] is told of.
#[derive(Debug)]
pub struct Moment<'a> {
    /// What is called for.
    pub action: &'a Action,
    /// The intent that was last looked for on behalf of that workspace, by the agent that calls.
    pub behind: Option<&'a Desired>,
    /// The engine as it was.
    pub before: &'a Engine,
    /// The engine after the action took effect or was refused; `None` when it is only being called for.
    pub after: Option<&'a Engine>,
}

impl World {
    /// An empty engine.
    pub fn new(clock: Arc<dyn Clock>, script: impl Script + 'static) -> Self {
        let inner = Inner {
            engine: Indexed::default(),
            script: Box::new(script),
            witness: None,
            pending: BTreeMap::new(),
            next: 0,
            subscribers: Vec::new(),
            looked_at: BTreeMap::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), clock }
    }

    /// Has every action told to `witness`.
    pub fn watch(&self, witness: Witness) {
        self.lock().witness = Some(witness);
    }

    /// Replaces what goes wrong.
    pub fn set_script(&self, script: impl Script + 'static) {
        self.lock().script = Box::new(script);
    }

    /// Looks at the engine as it is.
    pub fn with<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.lock().engine)
    }

    /// Changes the engine behind everybody's back; agents are told as the script has it.
    pub fn meddle<T>(&self, change: impl FnOnce(&mut Engine) -> T) -> T {
        let mut inner = self.lock();
        let before = inner.engine.clone();
        let result = change(&mut inner.engine);
        let now = self.clock.monotonic();
        inner.tell_changes(&before, now);
        result
    }

    /// What is there of everybody's, as an agent with this id sees it.
    pub fn runtime(&self, agent: &str, executable: &str) -> FakeRuntime {
        FakeRuntime { world: self.clone(), agent: agent.to_owned(), executable: executable.to_owned() }
    }

    /// Lets everything happen that is due; the earliest that is not.
    pub fn tick(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        loop {
            let (&(at, _), _) = inner.pending.first_key_value()?;
            if at > now {
                return Some(at);
            }
            if let Some((_, pending)) = inner.pending.pop_first() {
                inner.happen(pending, now, self.clock.wall());
            }
        }
    }

    /// Every agent that listened is gone. Calls on their way are lost where `lose` says so, and the others still take
    /// effect, at the latest after `within`.
    pub fn agents_died(&self, within: Duration, mut lose: impl FnMut() -> bool) {
        let latest = self.clock.monotonic() + within;
        let mut inner = self.lock();
        inner.subscribers.clear();
        inner.looked_at.clear();
        let pending = std::mem::take(&mut inner.pending);
        for ((at, number), pending) in pending {
            let call = matches!(pending, Pending::Effect { .. });
            if !call || !lose() {
                inner.pending.insert((if call { at.min(latest) } else { at }, number), pending);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn schedule(&mut self, at: Duration, pending: Pending) {
        self.next += 1;
        self.pending.insert((at, self.next), pending);
    }

    fn happen(&mut self, pending: Pending, now: Duration, wall: jiff::Timestamp) {
        match pending {
            Pending::Hint(hint) => self.send(&hint),
            Pending::Nudge(name) => self.tell(&name, now),
            Pending::Exit { id, starts, code } => {
                let owner = self.engine.containers.get(&id).and_then(|container| container.owner.clone());
                self.engine.ends(&id, starts, code);
                owner.into_iter().for_each(|owner| self.tell(&owner.name, now));
            }
            Pending::Effect { action, agent, behind, reply } => {
                let result = self.take_effect(&action, &agent, behind.as_deref(), now, wall);
                *reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        }
    }

    fn take_effect(
        &mut self,
        action: &Action,
        agent: &str,
        behind: Option<&Desired>,
        now: Duration,
        wall: jiff::Timestamp,
    ) -> Result<(), RuntimeError> {
        let owner = self.engine.owner_of(action);
        let before = self.witness.is_some().then(|| self.engine.clone());
        let adopts = |id: &str| {
            let adopted = self.looked_at.values().filter_map(|desired| desired.adopted.as_ref());
            adopted.into_iter().any(|adopted| adopted.is(id))
        };
        let permitted = self.engine.permits(action, agent, adopts);
        let result = permitted.and_then(|()| self.engine.apply(action, now, wall));
        if let (Some(witness), Some(before)) = (&mut self.witness, &before) {
            witness(Moment { action, behind, before, after: Some(&self.engine) });
        }
        if result.is_ok() {
            self.lives_on(action, now);
            owner.into_iter().for_each(|owner| self.tell(&owner.name, now));
        }
        result
    }

    /// What a start sets off: the worker comes up, or everything ends soon.
    fn lives_on(&mut self, action: &Action, now: Duration) {
        let Action::StartContainer { id, owner, .. } = action else { return };
        // One that ran already goes on as it was.
        let Some(starts) = self.engine.unbooted(id) else { return };
        let life = self.script.started(owner);
        self.engine.boots(id, now, &life);
        let mut nudges = vec![life.worker, life.ssh, life.docker];
        nudges.sort();
        nudges.dedup();
        for after in nudges.into_iter().filter(|after| !after.is_zero()) {
            self.schedule(now + after, Pending::Nudge(owner.name.clone()));
        }
        if let Some((after, code)) = life.exits {
            self.schedule(now + after, Pending::Exit { id: id.clone(), starts, code });
        }
    }

    fn tell_changes(&mut self, before: &Engine, now: Duration) {
        for name in self.engine.changed_since(before) {
            self.tell(&name, now);
        }
        if self.engine.up && (!before.up || self.engine.networks != before.networks) {
            self.send(&Hint::Everything);
        }
    }

    fn tell(&mut self, name: &Name, now: Duration) {
        let hint = Hint::Workspace(name.clone());
        match self.script.hint() {
            Delivery::Once => self.send(&hint),
            Delivery::Twice => {
                self.send(&hint);
                self.send(&hint);
            }
            Delivery::Late(delay) => self.schedule(now + delay, Pending::Hint(hint)),
            Delivery::Dropped => {}
        }
    }

    fn send(&mut self, hint: &Hint) {
        self.subscribers.retain(|subscriber| subscriber.unbounded_send(hint.clone()).is_ok());
    }
}

/// One agent's way to a [`World`].
pub struct FakeRuntime {
    world: World,
    agent: String,
    executable: String,
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn observe(&self, desired: &Desired) -> Observed {
        self.world.tick();
        let sight = {
            let mut inner = self.world.lock();
            inner.looked_at.insert(desired.owner.name.clone(), desired.clone());
            inner.script.look(desired)
        };
        let clock = &self.world.clock;
        match sight {
            Sight::Never => future::pending().await,
            Sight::Partial { after, blind } => {
                if !after.is_zero() {
                    clock.sleep_until(clock.monotonic() + after).await;
                }
                self.world.tick();
                let mut inner = self.world.lock();
                let (engine, near) = inner.engine.near(desired);
                observe::look(engine, near, desired, &self.executable, clock.monotonic(), &blind)
            }
        }
    }

    async fn apply(&self, action: &Action, _: Progress<'_>) -> Result<(), RuntimeError> {
        self.world.tick();
        let (clock, reply) = (&self.world.clock, Cell::default());
        let answer = self.call(action, &reply);
        let (delay, error) = match answer {
            Reply::Never => return future::pending().await,
            Reply::After(delay) => (delay, None),
            Reply::Error(delay, error) => (delay, Some(error)),
        };
        if !delay.is_zero() {
            clock.sleep_until(clock.monotonic() + delay).await;
        }
        self.world.tick();
        let done = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        match error {
            Some(error) => Err(error),
            None => done.unwrap_or_else(|| Err(RuntimeError::Failed("the call was lost".to_owned()))),
        }
    }

    fn events(&self) -> Pin<Box<dyn Stream<Item = Hint> + Send>> {
        let (sender, receiver) = mpsc::unbounded();
        self.world.lock().subscribers.push(sender);
        Box::pin(stream::once(future::ready(Hint::Everything)).chain(receiver).chain(stream::pending()))
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        self.world.with(observe::engine)
    }

    async fn build_image(&self, image: &str, _: Variant, _: Progress<'_>) -> Result<(), RuntimeError> {
        self.world.meddle(|engine| engine.build(image));
        Ok(())
    }

    async fn disk(&self, desired: &Desired) -> Result<DiskUsage, RuntimeError> {
        self.world.with(|engine| match engine.up {
            true => Ok(observe::disk(engine, desired)),
            false => Err(RuntimeError::Unreachable("the fake engine is down".to_owned())),
        })
    }

    async fn sync(&self, desired: &Desired) -> Result<Vec<FileFault>, RuntimeError> {
        let id = self.world.with(|engine| engine.running(&desired.owner));
        let id = id.ok_or_else(|| RuntimeError::Failed("the workspace is not running".to_owned()))?;
        let (owner, files) = (desired.owner.clone(), desired.files.bring.clone());
        self.apply(&Action::SyncFiles { id, owner, files }, &|_| ()).await?;
        Ok(self.world.with(|engine| engine.sources(&desired.files.bring).faults))
    }

    async fn ports_in_use(&self) -> BTreeSet<u16> {
        self.world.with(|engine| engine.taken.clone())
    }

    async fn orphans(&self, known: &BTreeSet<Uid>) -> Result<Orphans, RuntimeError> {
        self.world.with(|engine| match engine.up {
            true => Ok(engine.orphans(&self.agent, known)),
            false => Err(RuntimeError::Unreachable("the fake engine is down".to_owned())),
        })
    }
}

impl FakeRuntime {
    /// Puts the call on its way, as the script has it.
    fn call(&self, action: &Action, reply: &Cell) -> Reply {
        let now = self.world.clock.monotonic();
        let mut inner = self.world.lock();
        let behind = inner.engine.owner_of(action).and_then(|owner| inner.looked_at.get(&owner.name).cloned());
        let Inner { engine, witness, .. } = &mut *inner;
        if let Some(witness) = witness {
            witness(Moment { action, behind: behind.as_ref(), before: engine, after: None });
        }
        let fate = inner.script.call(action);
        if matches!(action, Action::InstallWorker { .. }) {
            // What an agent installs is what it is made of.
            inner.engine.executable.clone_from(&self.executable);
        }
        if let Some(after) = fate.effect {
            let (action, behind) = (Box::new(action.clone()), behind.map(Box::new));
            let agent = self.agent.clone();
            inner.schedule(now + after, Pending::Effect { action, agent, behind, reply: reply.clone() });
        }
        drop(inner);
        self.world.tick();
        fate.reply
    }
}
