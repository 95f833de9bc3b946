//! The fingerprint: a hash of what needs a new container. It is made of intent alone, never of `config.json`, so that a
//! changed setting replaces no running container; and of the image's name, so that building an image replaces none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::model::workspace::{Resources, SSH_PORT_NAME, VolumeSpec};
use crate::model::{Name, Spec, Workspace};

use super::derive::LOOPBACK;

#[derive(Serialize)]
struct Fingerprinted<'a> {
    image: &'a Option<String>,
    env: &'a BTreeMap<String, String>,
    /// Inside, on the host, and the host's address: what a port is called is nothing to a container.
    ports: BTreeSet<(u16, Option<u16>, &'a str)>,
    ssh: (&'a Option<String>, Option<&'a u16>),
    volumes: BTreeMap<&'a Name, &'a VolumeSpec>,
    /// Only what no engine changes in a container that is there.
    resources: Resources,
    docker: bool,
}

/// What stands between the hash and the moment of the latest upgrade, where there was one: it needs a new container as
/// a changed spec does, and the label of a container says which upgrade it was made for.
const UPGRADED: char = '@';

/// The fingerprint of a workspace's container.
pub(super) fn of(workspace: &Workspace) -> String {
    let Workspace { metadata, spec } = workspace;
    let ports = spec.ports.iter().map(|port| {
        let host_port = metadata.host_ports.get(&port.name).copied();
        (port.port, host_port, port.bind.as_deref().unwrap_or(LOOPBACK))
    });
    let hash = of_json(&Fingerprinted {
        image: &spec.image,
        env: &spec.env,
        ports: ports.collect(),
        ssh: (&spec.ssh.bind, metadata.host_ports.get(SSH_PORT_NAME)),
        volumes: spec.volumes.iter().map(|volume| (&volume.name, volume)).collect(),
        resources: Resources { shm: spec.resources.shm, ..Resources::default() },
        docker: spec.docker,
    });
    match metadata.upgraded_at {
        Some(at) => format!("{hash}{UPGRADED}{}", at.as_millisecond()),
        None => hash,
    }
}

/// Whether a container of the one fingerprint was made for another upgrade than one of the other.
pub(super) fn is_upgrade(from: Option<&str>, to: &str) -> bool {
    fn upgrade(fingerprint: &str) -> Option<&str> {
        fingerprint.split_once(UPGRADED).map(|(_, at)| at)
    }
    upgrade(to).is_some() && from.and_then(upgrade) != upgrade(to)
}

/// A hash of a value by its JSON: 32 hexadecimal digits.
pub(super) fn of_json(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("plain data has a JSON form");
    let mut text = String::with_capacity(32);
    for byte in &Sha256::digest(&json)[..16] {
        write!(text, "{byte:02x}").expect("a String takes every write");
    }
    text
}

/// The spec as JSON without environment, which may hold secrets and which every label shows.
pub(super) fn recoverable_spec(workspace: &Workspace) -> String {
    let spec = Spec { env: BTreeMap::new(), ..workspace.spec.clone() };
    serde_json::to_string(&spec).expect("plain data has a JSON form")
}
