//! What people and other programs do to a world, by a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use perry::model::desired::Owner;
use perry::model::observed::ContainerState;
use perry::model::workspace::{PortSpec, VolumeSpec};
use perry::model::{Metadata, Name, Run, Spec, State, Uid, Workspace};
use perry::runtime::fake::{Container, Engine};

use super::chaos::Chaos;

pub const PREFIX: &str = "workspace-";
pub const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
pub const IMAGES: [&str; 3] = ["workspace-base", "debian:trixie", "nobody/has-this"];

/// One edit of intent, as the API would write it.
pub fn edit(state: &mut State, chaos: &Chaos, now: Timestamp) {
    let name: Name = NAMES[chaos.below(3) as usize].parse().unwrap();
    match chaos.below(10) {
        0..=3 => apply(state, &name, chaos, now),
        4 => change(state, &name, |workspace| workspace.spec.run = Some(Run::Stopped)),
        5 => change(state, &name, |workspace| workspace.spec.run = Some(Run::Running)),
        6 => change(state, &name, |workspace| {
            workspace.spec.run = Some(Run::Running);
            workspace.metadata.restarted_at = Some(now);
        }),
        7 | 8 => change(state, &name, |workspace| {
            workspace.metadata.deletion_timestamp.get_or_insert(now);
        }),
        // Somebody edits state.json, or loses it.
        _ if chaos.chance(300) => drop(state.workspaces.remove(name.as_str())),
        _ => {}
    }
}

fn change(state: &mut State, name: &Name, edit: impl FnOnce(&mut Workspace)) {
    if let Some(stored) = state.workspaces.get_mut(name.as_str()) {
        let mut workspace = Workspace::clone(stored);
        edit(&mut workspace);
        if workspace != **stored && (stored.metadata.deletion_timestamp.is_none()) {
            workspace.metadata.generation += 1;
            *stored = Arc::new(workspace);
        }
    }
}

fn spec(chaos: &Chaos) -> Spec {
    let mut spec = Spec { image: Some(IMAGES[[0, 0, 1, 2][chaos.below(4) as usize]].to_owned()), ..Spec::default() };
    spec.docker = chaos.chance(700);
    if chaos.chance(500) {
        spec.env.insert("A".to_owned(), chaos.below(3).to_string());
    }
    if chaos.chance(300) {
        spec.volumes.push(VolumeSpec { name: "cache".parse().unwrap(), path: "/cache".to_owned() });
    }
    if chaos.chance(300) {
        spec.ports.push(PortSpec { name: "http".parse().unwrap(), port: 3000, host_port: None, bind: None });
    }
    if chaos.chance(300) {
        spec.ssh.authorized_keys.push(format!("ssh-ed25519 key{}", chaos.below(3)));
    }
    spec
}

fn free_port(state: &State, from: u16) -> u16 {
    let taken = |port: u16| state.workspaces.values().any(|w| w.metadata.host_ports.values().any(|used| *used == port));
    (from..).find(|port| !taken(*port)).unwrap()
}

fn apply(state: &mut State, name: &Name, chaos: &Chaos, now: Timestamp) {
    let spec = spec(chaos);
    if state.workspaces.contains_key(name.as_str()) {
        let port = free_port(state, 23000);
        change(state, name, |workspace| {
            workspace.metadata.host_ports.retain(|port, _| port.as_str() == "ssh");
            if !spec.ports.is_empty() {
                workspace.metadata.host_ports.insert("http".parse().unwrap(), port);
            }
            workspace.spec = Spec { run: workspace.spec.run, ..spec };
        });
        return;
    }
    let mut host_ports = BTreeMap::from([("ssh".parse().unwrap(), free_port(state, 22000))]);
    if !spec.ports.is_empty() {
        host_ports.insert("http".parse().unwrap(), free_port(state, 23000));
    }
    let metadata = Metadata {
        name: name.clone(),
        uid: Uid(format!("{:016x}", chaos.bits())),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: 1,
        created: now,
        deletion_timestamp: None,
        restarted_at: None,
        prefix: PREFIX.to_owned(),
        host_ports,
        adopted: None,
    };
    let workspace = Workspace { metadata, spec: Spec { run: Some(Run::Running), ..spec } };
    state.workspaces.insert(name.clone(), Arc::new(workspace));
}

/// Something that happens on the engine behind the agent's back.
pub fn meddle(engine: &mut Engine, chaos: &Chaos) {
    let ids: Vec<String> = engine.containers.keys().cloned().collect();
    let some = |chaos: &Chaos| ids.get(chaos.below(ids.len().max(1) as u64) as usize).cloned();
    match chaos.below(14) {
        0 | 1 => drop(some(chaos).map(|id| engine.exit(&id, 137))),
        2 => drop(some(chaos).map(|id| {
            if let Some(container) = engine.containers.get_mut(&id)
                && container.state == ContainerState::Running
            {
                container.state = ContainerState::Paused;
            }
        })),
        3 => drop(some(chaos).map(|id| engine.containers.remove(&id))),
        4 => remove_unused_volume(engine, chaos),
        5 => {
            let used = |engine: &Engine, network: &str| {
                engine
                    .containers
                    .values()
                    .any(|c| c.state == ContainerState::Running && c.network.as_deref() == Some(network))
            };
            if let Some(id) = engine.networks.get("perry").cloned()
                && !used(engine, &id)
            {
                engine.networks.remove("perry");
            }
        }
        6 => drop(engine.images.remove(IMAGES[chaos.below(3) as usize])),
        7 => {
            engine.up = false;
            let all: Vec<String> = engine.containers.keys().cloned().collect();
            all.iter().for_each(|id| engine.exit(id, 255));
        }
        8 => engine.up = true,
        9 => drop(engine.taken.insert(if chaos.chance(500) { 22000 } else { 23000 })),
        10 => engine.taken.clear(),
        _ => swap(engine, chaos),
    }
}

fn remove_unused_volume(engine: &mut Engine, chaos: &Chaos) {
    let used: Vec<String> = engine.containers.values().flat_map(|container| container.volumes.clone()).collect();
    let free: Vec<String> = engine.volumes.keys().filter(|name| !used.contains(name)).cloned().collect();
    if let Some(name) = free.get(chaos.below(free.len().max(1) as u64) as usize) {
        engine.volumes.remove(name);
    }
}

/// Somebody puts a thing of their own where one of ours was, or will be.
fn swap(engine: &mut Engine, chaos: &Chaos) {
    let name = format!("{PREFIX}{}", NAMES[chaos.below(3) as usize]);
    let owner = chaos.chance(500).then(|| stranger(&name));
    if chaos.chance(400) {
        let used = engine.containers.values().any(|container| container.volumes.contains(&format!("{name}-home")));
        if !used {
            engine.put_volume(&format!("{name}-home"), owner);
        }
        return;
    }
    engine.containers.retain(|_, container| container.name != name);
    let id = format!("f{:011x}", chaos.below(1 << 40));
    let container = Container::stranger(&id, &name, owner);
    engine.containers.insert(id, container);
}

fn stranger(name: &str) -> Owner {
    let name = name.strip_prefix(PREFIX).unwrap().parse().unwrap();
    Owner { agent: "another-agent".to_owned(), uid: Uid("another-uid".to_owned()), name }
}

/// The strangers go away again: what is left to be right is ours.
pub fn strangers_leave(engine: &mut Engine) {
    engine.up = true;
    engine.taken.clear();
    engine
        .containers
        .retain(|_, container| container.owner.as_ref().is_some_and(|owner| owner.agent != "another-agent"));
    engine.volumes.retain(|_, volume| volume.owner.as_ref().is_some_and(|owner| owner.agent != "another-agent"));
}
