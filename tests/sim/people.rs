//! What people and other programs do to a world, by a seed.

use std::sync::Arc;

use jiff::Timestamp;
use perry::model::admission::{self, NOT_KNOWN, Rejection, Settings};
use perry::model::desired::Owner;
use perry::model::observed::ContainerState;
use perry::model::workspace::{PortSpec, VolumeSpec};
use perry::model::{Config, Document, Name, Run, Spec, State, Uid};
use perry::runtime::fake::{Container, Engine};

use super::chaos::Chaos;

pub const PREFIX: &str = "workspace-";
pub const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA a",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA b",
];
pub const IMAGES: [&str; 3] = ["workspace-base", "debian:trixie", "nobody/has-this"];

/// One edit of intent through admission, as the API writes it. What is refused changes nothing.
pub fn edit(state: &mut State, chaos: &Chaos, now: Timestamp) {
    let name: Name = NAMES[chaos.below(3) as usize].parse().unwrap();
    let config = Config::default();
    let uid = Uid(format!("{:032x}", u128::from(chaos.bits())));
    let settings = Settings { config: &config, now, uid, if_generation: None, allow_replace: true, in_use: &NOT_KNOWN };
    let _ = match chaos.below(9) {
        0..=3 => apply(state, &name, spec(chaos), &settings),
        4 => admission::set_run(state, &name, Run::Stopped, None).map(drop),
        5 => admission::set_run(state, &name, Run::Running, None).map(drop),
        6 => admission::restart(state, &name, now, chaos.chance(300), None).map(drop),
        _ => admission::delete(state, &name, now, None).map(drop),
    };
}

pub fn apply(state: &mut State, name: &Name, spec: Spec, settings: &Settings<'_>) -> Result<(), Rejection> {
    let current = state.workspaces.get(name).cloned();
    let admitted = admission::admit(current.as_deref(), &Document::new(name.clone(), spec), state, settings)?;
    state.workspaces.insert(name.clone(), Arc::new(admitted.workspace));
    Ok(())
}

/// What somebody makes of state.json with an editor: rubbish, half of it, nothing, or a valid change.
pub fn scribble(content: &[u8], chaos: &Chaos) -> Option<Vec<u8>> {
    match chaos.below(6) {
        0 => None,
        1 => Some(b"oops".to_vec()),
        2 => Some(content[..chaos.below(content.len() as u64 + 1) as usize].to_vec()),
        3 => Some(String::from_utf8_lossy(content).replace("\"Running\"", "\"Stopped\"").into_bytes()),
        _ => {
            let mut document: serde_json::Value = serde_json::from_slice(content).ok()?;
            document.get_mut("workspaces")?.as_object_mut()?.remove(NAMES[chaos.below(3) as usize]);
            Some(document.to_string().into_bytes())
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
        spec.ssh.authorized_keys.push(KEYS[chaos.below(2) as usize].to_owned());
    }
    spec
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
pub fn swap(engine: &mut Engine, chaos: &Chaos) {
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
