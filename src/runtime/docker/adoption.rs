//! Looks into containers from before Perry.

use std::collections::BTreeMap;

use bollard::models::ContainerInspectResponse;

use super::Docker;
use super::observe::inspect;
use crate::runtime::RuntimeError;

/// What a container from before Perry has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongings {
    /// The names of its volumes by where they are mounted.
    pub volumes: BTreeMap<String, String>,
    /// The port inside of each host port that it publishes.
    pub ports: BTreeMap<u16, u16>,
}

impl Docker {
    /// What a container has, whosever it is; `None` where there is none of this id.
    ///
    /// # Errors
    /// The engine could not be asked.
    pub async fn belongings(&self, container: &str) -> Result<Option<Belongings>, RuntimeError> {
        Ok(inspect(self, container).await?.map(|seen| Belongings { volumes: volumes(&seen), ports: ports(&seen) }))
    }
}

fn volumes(seen: &ContainerInspectResponse) -> BTreeMap<String, String> {
    let mounts = seen.mounts.iter().flatten().filter(|mount| mount.typ.as_deref() == Some("volume"));
    mounts.filter_map(|mount| Some((mount.destination.clone()?, mount.name.clone()?))).collect()
}

fn ports(seen: &ContainerInspectResponse) -> BTreeMap<u16, u16> {
    // As configured: a stopped container publishes nothing at present.
    let bindings = seen.host_config.as_ref().and_then(|config| config.port_bindings.as_ref());
    let mut ports = BTreeMap::new();
    for (inside, hosts) in bindings.into_iter().flatten() {
        let Some(inside) = inside.split('/').next().and_then(|port| port.parse().ok()) else { continue };
        let hosts = hosts.iter().flatten().filter_map(|host| host.host_port.as_ref()?.parse().ok());
        ports.extend(hosts.map(|host: u16| (host, inside)));
    }
    ports
}
