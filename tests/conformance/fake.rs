//! The fake engine as a world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use perry::clock::SystemClock;
use perry::model::desired::Owner;
use perry::model::observed::ContainerState;
use perry::model::{Action, Desired, Uid};
use perry::runtime::Runtime;
use perry::runtime::docker::labels;
use perry::runtime::fake::{self, Container, Delivery, FakeRuntime, Fate, Life, Script, Sight, Smooth};

use crate::world::{EXIT_WITH, World};

const IMAGE: &str = "image:there";
const EXECUTABLE: &str = "executable-of-the-fake";

/// Nothing goes wrong, but a container exits where its environment says so.
#[derive(Default)]
struct Obedient {
    exits: BTreeMap<Uid, i64>,
}

impl Script for Obedient {
    fn call(&mut self, action: &Action) -> Fate {
        if let Action::CreateContainer { container, owner, .. } = action
            && let Some(code) = container.env.get(EXIT_WITH)
        {
            self.exits.insert(owner.uid.clone(), code.parse().expect("a code"));
        }
        Smooth.call(action)
    }
    fn look(&mut self, desired: &Desired) -> Sight {
        Smooth.look(desired)
    }
    fn hint(&mut self) -> Delivery {
        Smooth.hint()
    }
    fn started(&mut self, owner: &Owner) -> Life {
        Life { exits: self.exits.get(&owner.uid).map(|code| (Duration::from_millis(1), *code)), ..Life::default() }
    }
}

pub(crate) struct FakeWorld {
    world: fake::World,
    runtime: FakeRuntime,
    next: AtomicU64,
}

impl FakeWorld {
    pub(crate) async fn new() -> Self {
        let world = fake::World::new(Arc::new(SystemClock::new()), Obedient::default());
        world.meddle(|engine| engine.images.insert(IMAGE.to_owned(), "image-id".to_owned()));
        let runtime = world.runtime("agent-of-the-fake", EXECUTABLE);
        Self { world, runtime, next: AtomicU64::new(1) }
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

fn owner(labelled: &BTreeMap<String, String>) -> Option<Owner> {
    Some(Owner {
        agent: labelled.get(labels::AGENT)?.clone(),
        uid: Uid(labelled.get(labels::UID)?.clone()),
        name: labelled.get(labels::NAME)?.parse().ok()?,
    })
}

#[async_trait]
impl World for FakeWorld {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }
    fn unreachable(&self) -> Box<dyn Runtime> {
        let world = fake::World::new(Arc::new(SystemClock::new()), Smooth);
        world.meddle(|engine| engine.up = false);
        Box::new(world.runtime("agent-of-the-fake", EXECUTABLE))
    }
    fn agent(&self) -> String {
        "agent-of-the-fake".to_owned()
    }
    fn image(&self) -> String {
        IMAGE.to_owned()
    }
    fn unique(&self, what: &str) -> String {
        format!("{what}-{}", self.next())
    }
    fn free_port(&self) -> u16 {
        20_000 + u16::try_from(self.next()).expect("few ports")
    }
    async fn listen(&self, port: u16) {
        self.world.meddle(|engine| engine.taken.insert(port));
    }
    async fn kill(&self, id: &str) {
        self.world.meddle(|engine| engine.exit(id, 137));
    }
    async fn pause(&self, id: &str) {
        let pause = |container: &mut Container| container.state = ContainerState::Paused;
        self.world.meddle(|engine| engine.containers.get_mut(id).map(pause));
    }
    async fn remove_container(&self, id: &str) {
        self.world.meddle(|engine| engine.containers.remove(id));
    }
    async fn remove_volume(&self, name: &str) {
        self.world.meddle(|engine| engine.volumes.remove(name));
    }
    async fn remove_network(&self, name: &str) {
        self.world.meddle(|engine| engine.networks.remove(name));
    }
    async fn foreign_container(&self, name: &str, labels: BTreeMap<String, String>) -> String {
        let id = format!("foreign-{}", self.next());
        let mut container = Container::stranger(&id, name, owner(&labels));
        container.state = ContainerState::Created;
        self.world.meddle(|engine| engine.containers.insert(id.clone(), container));
        id
    }
    async fn foreign_volume(&self, name: &str, labels: BTreeMap<String, String>) {
        self.world.meddle(|engine| engine.put_volume(name, owner(&labels)));
    }
    async fn networks(&self, name: &str) -> Vec<String> {
        self.world.with(|engine| engine.networks.get(name).cloned().into_iter().collect())
    }
}
