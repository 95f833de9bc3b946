//! Any mess on a fake engine: what earlier intents, outsiders and other agents left there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use perry::clock::ManualClock;
use perry::model::desired::{ContainerPlan, Owner};
use perry::model::observed::{ContainerState, Prepared};
use perry::model::workspace::Adopted;
use perry::model::{Action, Desired, Observed, Spec, Variant, Verdict, Workspace};
use perry::plan::plan;
use perry::runtime::fake::{Container, Engine, FakeRuntime, Smooth, Volume, World};
use perry::runtime::{Runtime, RuntimeError};
use proptest::prelude::*;

use super::arbitrary;
use super::fixture::{AGENT, EXECUTABLE, at, context, desired_of, of_an_earlier_uid, of_another_agent};
use super::safety::{is_own, is_own_volume};

/// A fake engine on which nothing goes wrong and nothing takes time.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) clock: ManualClock,
    runtime: FakeRuntime,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(at(10_000));
        let world = World::new(Arc::new(clock.clone()), Smooth);
        world.meddle(|engine| engine.registry = ["debian:trixie".to_owned(), "node:22".to_owned()].into());
        let runtime = world.runtime(AGENT, EXECUTABLE);
        Self { world, clock, runtime }
    }

    pub(crate) fn observe(&self, desired: &Desired) -> Observed {
        self.runtime.observe(desired).now_or_never().expect("nothing takes time")
    }

    pub(crate) fn apply(&self, action: &Action) -> Result<(), RuntimeError> {
        self.runtime.apply(action, &|_| {}).now_or_never().expect("nothing takes time")
    }

    pub(crate) fn engine(&self) -> Engine {
        self.world.with(Clone::clone)
    }

    pub(crate) fn restore(&self, engine: &Engine) {
        self.world.meddle(|now| now.clone_from(engine));
    }

    /// Looks, plans and acts until there is nothing to do, at most so many rounds.
    pub(crate) fn follow(&self, desired: &Desired, rounds: usize) -> Verdict {
        for _ in 0..rounds {
            let plan = plan(desired, &self.observe(desired), &context());
            if plan.actions.is_empty() {
                return plan.verdict;
            }
            // An engine in disorder may refuse; the next look tells.
            let _ = plan.actions.iter().try_for_each(|action| self.apply(action));
        }
        Verdict::Act
    }

    /// Makes a container straight on the engine; the network and the image must be there.
    fn put_container(&self, container: &ContainerPlan, owner: &Owner) -> Option<String> {
        let before = self.engine();
        let (container, owner) = (Box::new(container.clone()), owner.clone());
        let action = Action::CreateContainer { container, volumes: Vec::new(), owner, generation: 1 };
        self.apply(&action).ok()?;
        self.engine().containers.into_keys().find(|id| !before.containers.contains_key(id))
    }
}

/// Whose something is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    Ours,
    AnotherAgents,
    AnEarlierUids,
    Nobodys,
}

impl Whose {
    fn owner(self, own: &Owner) -> Option<Owner> {
        match self {
            Self::Ours => Some(own.clone()),
            Self::AnotherAgents => Some(of_another_agent(own)),
            Self::AnEarlierUids => Some(of_an_earlier_uid(own)),
            Self::Nobodys => None,
        }
    }
}

/// Something that happened to the engine before the planner looks.
#[derive(Debug, Clone)]
pub(crate) enum Mischief {
    /// An earlier spec of the same workspace was followed for so many rounds.
    Followed(Box<Spec>, usize),
    /// A container was made by somebody, under our name or another.
    Container {
        whose: Whose,
        named: bool,
        up: bool,
    },
    /// A volume with the name of one of ours.
    Volume(usize, Whose),
    /// One of the containers got into this state.
    State(usize, ContainerState),
    /// One of the containers lost something.
    Lost(usize, Loss),
    NetworkRemoved,
    NetworkMadeAnew,
    ImageRemoved,
    PortTaken,
    /// One of our containers and the home volume turn out to be older than Perry, and adopted.
    Adopted {
        replace: bool,
    },
}

/// What a container can lose.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    Name,
    Network,
    Prepared,
    Worker,
    Fingerprint,
    Config,
}

fn mischief() -> impl Strategy<Value = Mischief> {
    let whose =
        || prop_oneof![Just(Whose::Ours), Just(Whose::AnotherAgents), Just(Whose::AnEarlierUids), Just(Whose::Nobodys)];
    let loss = prop_oneof![
        Just(Loss::Name),
        Just(Loss::Network),
        Just(Loss::Prepared),
        Just(Loss::Worker),
        Just(Loss::Fingerprint),
        Just(Loss::Config),
    ];
    prop_oneof![
        4 => (arbitrary::spec(), 0..6_usize).prop_map(|(spec, rounds)| Mischief::Followed(Box::new(spec), rounds)),
        2 => (whose(), any::<bool>(), any::<bool>())
            .prop_map(|(whose, named, up)| Mischief::Container { whose, named, up }),
        1 => (0..4_usize, whose()).prop_map(|(which, whose)| Mischief::Volume(which, whose)),
        2 => (0..4_usize, arbitrary::state()).prop_map(|(which, state)| Mischief::State(which, state)),
        2 => (0..4_usize, loss).prop_map(|(which, loss)| Mischief::Lost(which, loss)),
        1 => Just(Mischief::NetworkRemoved),
        1 => Just(Mischief::NetworkMadeAnew),
        1 => Just(Mischief::ImageRemoved),
        1 => Just(Mischief::PortTaken),
        1 => any::<bool>().prop_map(|replace| Mischief::Adopted { replace }),
    ]
}

/// Any intent, and what happened before it.
pub(crate) fn mess() -> impl Strategy<Value = (Workspace, Vec<Mischief>)> {
    (arbitrary::workspace(), proptest::collection::vec(mischief(), 0..7)).prop_map(|(mut workspace, mischief)| {
        // Here adoption is mischief too, since the engine chooses ids.
        workspace.metadata.adopted = None;
        (workspace, mischief)
    })
}

/// Lets it all happen; the intent may be changed by it (adoption).
pub(crate) fn make(bench: &Bench, workspace: &mut Workspace, mischief: &[Mischief]) {
    for one in mischief {
        happen(bench, workspace, one);
    }
}

fn happen(bench: &Bench, workspace: &mut Workspace, mischief: &Mischief) {
    let desired = desired_of(workspace);
    match mischief {
        Mischief::Followed(spec, rounds) => {
            let mut earlier = workspace.clone();
            earlier.spec.clone_from(spec);
            earlier.metadata.deletion_timestamp = None;
            arbitrary::admit(&mut earlier);
            bench.follow(&desired_of(&earlier), *rounds);
        }
        Mischief::Container { whose, named, up } => outsider(bench, &desired, *whose, *named, *up),
        Mischief::Volume(which, whose) => {
            let volume = &desired.volumes[which % desired.volumes.len()];
            bench.world.meddle(|engine| {
                if !engine.volumes.contains_key(&volume.name) {
                    engine.put_volume(&volume.name, whose.owner(&desired.owner));
                }
            });
        }
        Mischief::State(which, state) => change(bench, *which, |engine, id| get_into(engine, id, state)),
        Mischief::Lost(which, loss) => change(bench, *which, |engine, id| {
            if let Some(container) = engine.containers.get_mut(id) {
                lose(container, *loss);
            }
        }),
        Mischief::NetworkRemoved => remove_network(bench, &desired),
        Mischief::NetworkMadeAnew => {
            remove_network(bench, &desired);
            network(bench, &desired);
        }
        Mischief::ImageRemoved => bench.world.meddle(|engine| engine.images.clear()),
        Mischief::PortTaken => bench.world.meddle(|engine| {
            // Nobody can take a port from a container that is up.
            let up =
                |container: &Container| matches!(container.state, ContainerState::Running | ContainerState::Paused);
            if !engine.containers.values().any(|container| up(container) && container.ports.contains(&22_000)) {
                engine.taken.insert(22_000);
            }
        }),
        Mischief::Adopted { replace } => adopt(bench, workspace, *replace),
    }
}

fn remove_network(bench: &Bench, desired: &Desired) {
    bench.world.meddle(|engine| engine.networks.remove(&desired.container.network));
}

fn network(bench: &Bench, desired: &Desired) {
    let (name, agent) = (desired.container.network.clone(), desired.owner.agent.clone());
    bench.apply(&Action::CreateNetwork { name, agent }).expect("a network can always be made");
}

fn outsider(bench: &Bench, desired: &Desired, whose: Whose, named: bool, up: bool) {
    network(bench, desired);
    let mut container = desired.container.clone();
    bench
        .apply(&Action::EnsureImage { image: container.image.clone(), build: Some(Variant::Full) })
        .expect("it can be built");
    let n = u16::try_from(bench.engine().containers.len()).expect("few containers");
    container.ports.iter_mut().for_each(|port| port.host_port = port.host_port % 1_000 + 40_000 + 1_000 * n);
    if !named {
        container.name = format!("else-{n}");
    }
    let Some(id) = bench.put_container(&container, &desired.owner) else { return };
    if up {
        let start = Action::StartContainer { id: id.clone(), owner: desired.owner.clone(), restarted_at: None };
        bench.apply(&start).expect("its ports are its own");
    }
    bench.world.meddle(|engine| {
        if let Some(container) = engine.containers.get_mut(&id) {
            container.owner = whose.owner(&desired.owner);
        }
    });
}

fn change(bench: &Bench, which: usize, change: impl FnOnce(&mut Engine, &str)) {
    bench.world.meddle(|engine| {
        let ids: Vec<String> = engine.containers.keys().cloned().collect();
        if let Some(id) = ids.get(which % ids.len().max(1)) {
            change(engine, id);
        }
    });
}

/// As far as a container can get into this state from the one that it is in.
fn get_into(engine: &mut Engine, id: &str, state: &ContainerState) {
    let is_running = engine.containers.get(id).is_some_and(|container| container.state == ContainerState::Running);
    match state {
        ContainerState::Running => return,
        ContainerState::Paused if is_running => {}
        ContainerState::Paused => return,
        _ => engine.exit(id, 1),
    }
    if let Some(container) = engine.containers.get_mut(id) {
        container.state = state.clone();
    }
}

fn lose(container: &mut Container, loss: Loss) {
    match loss {
        Loss::Name => container.name = format!("renamed-{}", container.id),
        // One that is not on our network is nobody's to attach.
        Loss::Network if container.owner.is_none() => {}
        Loss::Network => container.network = None,
        Loss::Prepared => container.prepared = None,
        Loss::Worker => {
            container.prepared =
                Some(Prepared { worker: "worker-0".to_owned(), config: String::new(), restarted_at: None });
        }
        Loss::Fingerprint => container.fingerprint = None,
        Loss::Config => container.config = String::new(),
    }
}

fn adopt(bench: &Bench, workspace: &mut Workspace, replace: bool) {
    // Once: the first would else be nobody's, with our volumes in use.
    if workspace.metadata.adopted.is_some() {
        return;
    }
    let owner = desired_of(workspace).owner;
    let id = bench.world.meddle(|engine| {
        let container = engine.containers.values_mut().find(|container| container.owner.as_ref() == Some(&owner))?;
        // What is older than Perry is on the engine's own network.
        (container.owner, container.network) = (None, Some("bridge".to_owned()));
        let id = container.id.clone();
        engine.networks.insert("bridge".to_owned(), "bridge".to_owned());
        if !engine.volumes.contains_key("old-home") {
            engine.put_volume("old-home", None);
        }
        Some(id)
    });
    if let Some(id) = id {
        let volumes = BTreeMap::from([("home".to_owned(), "old-home".to_owned())]);
        workspace.metadata.adopted = Some(Adopted { container: Some(id), volumes, pending: false, replace });
    }
}

/// What is not this workspace's: nothing of it may ever change.
pub(crate) fn of_others(engine: &Engine, desired: &Desired) -> (BTreeMap<String, Container>, BTreeMap<String, Volume>) {
    let mut others = (engine.containers.clone(), engine.volumes.clone());
    others.0.retain(|id, container| !is_own(desired, id, container.owner.as_ref()));
    others.1.retain(|name, volume| !is_own_volume(desired, name, &seen(volume)));
    others
}

/// This workspace's containers.
pub(crate) fn of_ours<'a>(engine: &'a Engine, desired: &Desired) -> Vec<&'a Container> {
    engine.containers.values().filter(|one| is_own(desired, &one.id, one.owner.as_ref())).collect()
}

/// The names of this workspace's volumes.
pub(crate) fn volumes_of_ours(engine: &Engine, desired: &Desired) -> Vec<String> {
    let own = |(name, volume): (&String, &Volume)| is_own_volume(desired, name, &seen(volume)).then(|| name.clone());
    engine.volumes.iter().filter_map(own).collect()
}

fn seen(volume: &Volume) -> perry::model::observed::VolumeSeen {
    let Volume { owner, created_at } = volume.clone();
    perry::model::observed::VolumeSeen { owner, created_at }
}

/// A day in which nothing happens.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
