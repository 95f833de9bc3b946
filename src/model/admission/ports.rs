//! Host ports: the lowest free of a range, kept as long as the workspace exists, never given twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::model::config::PortRange;
use crate::model::workspace::SSH_PORT_NAME;
use crate::model::{Config, Issues, Name, Spec, State};

use super::{ConflictReason, Rejection, Settings};

/// Which host ports are not free for one workspace.
pub(super) struct Taken<'a> {
    state: &'a State,
    config: &'a Config,
    /// Ports that somebody listens on, of whom nothing is known here.
    in_use: &'a BTreeSet<u16>,
    /// A bit for each port: of the other workspaces, stopped and leaving ones included, and of the agent.
    bits: Vec<u64>,
}

impl<'a> Taken<'a> {
    /// What is taken for `name`: by others, by the agent, and `reserved`.
    pub(super) fn beside(name: &Name, state: &'a State, settings: &Settings<'a>, reserved: &BTreeSet<u16>) -> Self {
        let (config, in_use) = (settings.config, settings.in_use);
        let mut taken = Self { state, config, in_use, bits: vec![0; 1024] };
        taken.add(0);
        taken.add(config.port);
        let others = state.workspaces.iter().filter(|(other, _)| *other != name);
        others.flat_map(|(_, other)| other.metadata.host_ports.values()).for_each(|port| taken.add(*port));
        reserved.iter().for_each(|port| taken.add(*port));
        taken
    }

    fn add(&mut self, port: u16) {
        self.bits[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    fn has(&self, port: u16) -> bool {
        self.bits[usize::from(port >> 6)] & (1 << (port & 63)) != 0
    }

    fn is_free(&self, port: u16) -> bool {
        !self.has(port) && !self.in_use.contains(&port)
    }

    fn owner(&self, name: &Name, port: u16) -> Option<&Name> {
        let mut others = self.state.workspaces.iter().filter(|(other, _)| *other != name);
        others.find(|(_, other)| other.metadata.host_ports.values().any(|one| *one == port)).map(|(owner, _)| owner)
    }

    fn lowest_free(&self, range: PortRange, own: &BTreeMap<Name, u16>) -> Option<u16> {
        range.ports().find(|port| self.is_free(*port) && !own.values().any(|one| one == port))
    }

    /// Up to three free ports, the nearest above first.
    fn near(&self, port: u16) -> String {
        let range: RangeInclusive<u16> = port..=port.saturating_add(1000);
        let free = range.filter(|port| self.is_free(*port)).take(3);
        free.map(|port| port.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// The host port of each port of `spec` and of ssh: the fixed one, else the one that was `kept`, else the lowest free.
pub(super) fn allocate(
    name: &Name,
    spec: &Spec,
    kept: &BTreeMap<Name, u16>,
    taken: &Taken<'_>,
) -> Result<BTreeMap<Name, u16>, Rejection> {
    let mut given = BTreeMap::new();
    for (index, port) in spec.ports.iter().enumerate() {
        if let Some(fixed) = port.host_port {
            let at = format!("spec.ports.{index}.hostPort");
            check_fixed(name, fixed, kept, taken).map_err(|rejection| rejection.at(&at))?;
            given.insert(port.name.clone(), fixed);
        }
    }
    let ssh: Name = SSH_PORT_NAME.parse().expect("ssh is a name");
    let wanted = || std::iter::once(&ssh).chain(spec.ports.iter().map(|port| &port.name));
    let mut issues = Issues::default();
    for (port, number) in wanted().filter_map(|port| kept.get(port).map(|number| (port, *number))) {
        if given.contains_key(port) {
            continue;
        }
        if let Some((other, _)) = given.iter().find(|(_, given)| **given == number) {
            let index = spec.ports.iter().position(|one| one.name == *other).unwrap_or_default();
            let message = format!("{number} is the host port of {port} in this workspace: take another, such as {}", {
                taken.near(number.saturating_add(1))
            });
            issues.push(&format!("spec.ports.{index}.hostPort"), message);
        } else {
            given.insert(port.clone(), number);
        }
    }
    issues.into_result(()).map_err(Rejection::Invalid)?;
    for port in wanted() {
        if !given.contains_key(port) {
            let number = allocate_one(name, port, &given, taken)?;
            given.insert(port.clone(), number);
        }
    }
    Ok(given)
}

fn check_fixed(name: &Name, port: u16, kept: &BTreeMap<Name, u16>, taken: &Taken<'_>) -> Result<(), Rejection> {
    let newly_asked_for = !kept.values().any(|one| *one == port);
    let whose = match taken.owner(name, port) {
        Some(owner) => format!("workspace {owner}"),
        None if port == taken.config.port => "the agent itself".to_owned(),
        // On one that it has the workspace's own container listens.
        None if newly_asked_for && taken.in_use.contains(&port) => "another program on this machine".to_owned(),
        // What other documents of the same apply ask for is told by the one of them that comes second.
        None => return Ok(()),
    };
    let message = format!("host port {port} belongs to {whose} already");
    let hint = format!("free ones near it: {}; without hostPort one is chosen", taken.near(port));
    Err(Rejection::conflict(ConflictReason::PortTaken, name, message, hint))
}

fn allocate_one(name: &Name, port: &Name, given: &BTreeMap<Name, u16>, taken: &Taken<'_>) -> Result<u16, Rejection> {
    let config = taken.config;
    let (key, range) = if port.as_str() == SSH_PORT_NAME {
        ("sshPorts", config.ssh_ports)
    } else {
        ("publishedPorts", config.published_ports)
    };
    taken.lowest_free(range, given).ok_or_else(|| {
        let message = format!("no host port is free for {port}: all of {key} ({range}) are given out");
        let hint = format!("delete a workspace, or widen {key} in config.json");
        Rejection::conflict(ConflictReason::PortTaken, name, message, hint)
    })
}
