//! What the engine is told of a new container: pure.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use super::labels;
use crate::contract::worker::{EXECUTABLE, SOCKET_FOLDER};
use crate::model::action::STOP_GRACE;
use crate::model::desired::{ContainerPlan, Limits, Owner, PortPlan, VolumePlan};
use crate::model::observed::SYSBOX;

/// What a container is made from.
pub(super) struct Parts<'a> {
    pub(super) plan: &'a ContainerPlan,
    pub(super) volumes: &'a [VolumePlan],
    pub(super) owner: &'a Owner,
    pub(super) generation: u64,
    /// The folder for the worker's socket, where engine and agent share a machine.
    pub(super) socket_folder: Option<&'a Path>,
    /// The engine has the safer runtime.
    pub(super) sysbox: bool,
}

/// The body of the request.
pub(super) fn body(parts: &Parts<'_>) -> ContainerCreateBody {
    let plan = parts.plan;
    ContainerCreateBody {
        hostname: Some(plan.hostname.clone()),
        user: Some("0:0".to_owned()),
        exposed_ports: Some(plan.ports.iter().map(inside).collect()),
        env: Some(plan.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        image: Some(plan.image.clone()),
        entrypoint: Some([EXECUTABLE, "worker", "init"].map(str::to_owned).into()),
        cmd: Some(Vec::new()),
        labels: Some(labels::of_container(parts.owner, parts.generation, plan)),
        // Whatever the image says: PID 1 is ours, and its health is what the worker says.
        stop_signal: Some("SIGTERM".to_owned()),
        stop_timeout: Some(i64::try_from(STOP_GRACE.as_secs()).unwrap_or(i64::MAX)),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host_config(parts)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(parts: &Parts<'_>) -> HostConfig {
    let plan = parts.plan;
    let (sysbox, privileged) = (plan.docker && parts.sysbox, plan.docker && !parts.sysbox);
    HostConfig {
        network_mode: Some(plan.network.clone()),
        port_bindings: Some(bindings(&plan.ports)),
        mounts: Some(mounts(parts)),
        privileged: Some(privileged),
        runtime: sysbox.then(|| SYSBOX.to_owned()),
        // Only the controller starts a container again.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        init: Some(false),
        nano_cpus: plan.limits.cpu_millis.map(nano_cpus),
        memory: plan.limits.memory.map(bytes),
        // Swap is no way around the limit.
        memory_swap: plan.limits.memory.map(bytes),
        pids_limit: plan.limits.pids.map(i64::from),
        shm_size: plan.shm.map(bytes),
        log_config: Some(log_config()),
        ..HostConfig::default()
    }
}

/// What the engine is told of changed limits. All of them: what is left out stays as it is.
pub(super) fn limits(limits: &Limits) -> ContainerUpdateBody {
    ContainerUpdateBody {
        nano_cpus: limits.cpu_millis.map(nano_cpus),
        memory: limits.memory.map(bytes),
        memory_swap: limits.memory.map(bytes),
        pids_limit: Some(limits.pids.map_or(-1, i64::from)),
        ..ContainerUpdateBody::default()
    }
}

fn nano_cpus(millis: u32) -> i64 {
    i64::from(millis) * 1_000_000
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// At most 30 MB on disk, which `docker logs` can read.
fn log_config() -> HostConfigLogConfig {
    let config = [("max-size", "10m"), ("max-file", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("local".to_owned()), config: Some(config.into()) }
}

fn inside(port: &PortPlan) -> String {
    format!("{}/tcp", port.port)
}

fn bindings(ports: &[PortPlan]) -> PortMap {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in ports {
        let binding = PortBinding { host_ip: Some(port.bind.clone()), host_port: Some(port.host_port.to_string()) };
        bindings.entry(inside(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

fn mounts(parts: &Parts<'_>) -> Vec<Mount> {
    let volumes = parts.volumes.iter().map(|volume| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(volume.path.clone()),
        // Should the volume vanish between the look at it and this call, the engine makes an empty one: with an owner.
        volume_options: Some(MountVolumeOptions {
            labels: (!volume.adopted).then(|| labels::of_owner(parts.owner)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    });
    let socket = parts.socket_folder.map(|folder| Mount {
        typ: Some(MountType::BIND),
        source: Some(folder.to_string_lossy().into_owned()),
        target: Some(SOCKET_FOLDER.to_owned()),
        ..Mount::default()
    });
    volumes.chain(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uid;

    fn plan(docker: bool) -> ContainerPlan {
        let port = |name: &str, port, host_port| PortPlan {
            name: name.parse().expect("a name"),
            port,
            host_port,
            bind: "127.0.0.1".to_owned(),
        };
        ContainerPlan {
            name: "workspace-demo".to_owned(),
            hostname: "demo".to_owned(),
            image: "workspace-base".to_owned(),
            build_image: Some(crate::model::Variant::Full),
            network: "perry".to_owned(),
            env: [("A".to_owned(), "1=2".to_owned())].into(),
            ports: vec![port("ssh", 22, 22000), port("again", 22, 22001)],
            docker,
            limits: Limits { cpu_millis: Some(1500), memory: Some(1 << 30), pids: Some(100) },
            shm: Some(64 << 20),
            fingerprint: "f".to_owned(),
            spec: "{}".to_owned(),
        }
    }

    fn made(docker: bool, sysbox: bool, socket_folder: Option<&Path>) -> ContainerCreateBody {
        let owner = Owner { agent: "a".to_owned(), uid: Uid("u".to_owned()), name: "demo".parse().expect("a name") };
        let volumes = [VolumePlan { name: "v".to_owned(), path: "/home/workspace".to_owned(), adopted: false }];
        body(&Parts { plan: &plan(docker), volumes: &volumes, owner: &owner, generation: 7, socket_folder, sysbox })
    }

    #[test]
    fn docker_inside_is_privileged_only_without_a_safer_runtime() {
        let host = |docker, sysbox| made(docker, sysbox, None).host_config.expect("a host config");
        let separated = |docker, sysbox| (host(docker, sysbox).privileged, host(docker, sysbox).runtime);
        assert_eq!(separated(true, false), (Some(true), None));
        assert_eq!(separated(true, true), (Some(false), Some(SYSBOX.to_owned())));
        assert_eq!(separated(false, true), (Some(false), None));
        assert_eq!(separated(false, false), (Some(false), None));
    }

    #[test]
    fn two_host_ports_may_lead_to_one_port() {
        let host = made(true, false, None).host_config.expect("a host config");
        let ports = host.port_bindings.expect("ports");
        let ports = ports["22/tcp"].as_ref().expect("bindings");
        assert_eq!(ports.iter().filter_map(|port| port.host_port.as_deref()).collect::<Vec<_>>(), ["22000", "22001"]);
        assert!(ports.iter().all(|port| port.host_ip.as_deref() == Some("127.0.0.1")));
    }

    #[test]
    fn the_worker_is_started_with_the_wanted_limits() {
        let body = made(true, false, Some(Path::new("/run/u/socket")));
        assert_eq!(body.entrypoint.as_deref(), Some(&["/.perry/perry", "worker", "init"].map(str::to_owned)[..]));
        assert_eq!(body.env.as_deref(), Some(&["A=1=2".to_owned()][..]));
        assert_eq!(body.labels.as_ref().map(|labels| labels[labels::GENERATION].as_str()), Some("7"));
        let host = body.host_config.expect("a host config");
        assert_eq!((host.nano_cpus, host.memory, host.pids_limit), (Some(1_500_000_000), Some(1 << 30), Some(100)));
        let targets: Vec<_> = host.mounts.iter().flatten().filter_map(|mount| mount.target.as_deref()).collect();
        assert_eq!(targets, ["/home/workspace", "/run/perry"]);
    }
}
