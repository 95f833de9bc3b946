//! From apply to Ready, next to the same container made straight through the engine's API and asked every 2 ms for the
//! same things: the worker, sshd and dockerd inside answer.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;
#[allow(dead_code, reason = "the tests of the worker use more of it")]
#[path = "../tests/worker_client/mod.rs"]
mod worker_client;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use common::agent::{Agent, MARK, Watcher};
use common::{begin, manifest, median, ms, quantile, ratio, tell};
use perry::contract::worker::{BOOTSTRAP, Bootstrap, EXECUTABLE, SOCKET_FOLDER, SOCKET_NAME};
use perry::model::desired::WorkerPlan;
use perry::model::{ConditionType, Name, View};
use perry::runtime::executable::Executable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const PAIRS: usize = 20;
const POLL: Duration = Duration::from_millis(2);
const SECRET: &str = "bench";
/// What somebody would start by hand, without a worker.
const PLAIN: &str = "set -e; keys=/home/workspace/.perry/ssh; mkdir -p $keys /run/sshd; \
    ssh-keygen -q -t ed25519 -N '' -f $keys/ssh_host_ed25519_key; /usr/sbin/sshd; exec dockerd";

#[tokio::main]
async fn main() {
    begin("start");
    let agent = Agent::start("31100-31199");
    let mut watcher = Watcher::new(&agent.client);
    let (mut by_perry, mut straight, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut steps = BTreeMap::<String, Vec<f64>>::new();
    let mut made = None;
    for round in 0..=PAIRS {
        let name: Name = format!("w{round}").parse().expect("a name");
        let began = Instant::now();
        agent.apply(&manifest(name.as_str(), "")).await;
        let view = watcher.until(&name, |view| view.is_true(ConditionType::Ready)).await;
        let took = ms(began.elapsed());
        let raw = match made.take() {
            Some(raw) => raw,
            None => Raw::like(&agent, &view).await,
        };
        agent.delete(&mut watcher, &name).await;
        let (with_worker, by_shell) = (raw.time(round, true).await, raw.time(round, false).await);
        made = Some(raw);
        // The first round fills caches and makes the network; it does not count.
        if round > 0 {
            by_perry.push(took);
            straight.push(with_worker);
            plain.push(by_shell);
            note(&view, &mut steps);
        }
    }
    println!("  {PAIRS} rounds, interleaved, medians:");
    tell("perry: apply to Ready", median(&by_perry), "ms", None);
    tell("perry: the slowest", quantile(&by_perry, 1.0), "ms", None);
    tell("the same container, straight", median(&straight), "ms", None);
    tell("a shell that starts sshd and dockerd, no worker, straight", median(&plain), "ms", None);
    tell("ratio to the same container", ratio(&by_perry, &straight), "", Some(1.25));
    tell("ratio to the shell", ratio(&by_perry, &plain), "", None);
    println!("  startup.steps, medians; the last three begin together, when the container has started:");
    steps.iter().for_each(|(step, took)| tell(step, median(took), "ms", None));
}

fn note(view: &View, steps: &mut BTreeMap<String, Vec<f64>>) {
    let startup = view.startup.as_ref().expect("steps");
    for (at, step) in startup.steps.iter().enumerate() {
        let took = u32::try_from(step.duration_ms.expect("it is done")).expect("less than a month");
        steps.entry(format!("{} {}", at + 1, step.name)).or_default().push(took.into());
    }
}

/// What the engine is told by hand.
struct Raw {
    engine: Docker,
    /// Of the container that Perry made.
    body: ContainerCreateBody,
    archive: Bytes,
    socket_folder: PathBuf,
    mark: (String, String),
}

impl Raw {
    /// As Perry made the container of this view.
    async fn like(agent: &Agent, view: &View) -> Self {
        let engine = Docker::connect_with_defaults().expect("an engine");
        let id = view.container_id.as_deref().expect("a container");
        let found = engine.inspect_container(id, None).await.expect("it is there");
        let mark = (MARK.to_owned(), agent.id.clone());
        let socket_folder = agent.folder().join("straight");
        fs::create_dir(&socket_folder).expect("made");
        let mut body = body_of(found);
        body.labels = Some([mark.clone()].into());
        Self { engine, body, archive: archive(), socket_folder, mark }
    }

    /// From the first call until everything answers, in milliseconds; then everything is removed.
    async fn time(&self, round: usize, with_worker: bool) -> f64 {
        let name = format!("perry-bench-{}-{round}-{with_worker}", &self.mark.1[..8]);
        let volumes = [format!("{name}-docker"), format!("{name}-home")];
        let body = self.body_with(&volumes, with_worker);
        let socket = self.socket_folder.join(SOCKET_NAME);
        fs::remove_file(&socket).ok();
        let began = Instant::now();
        for volume in &volumes {
            let labels = Some([self.mark.clone()].into());
            let request = VolumeCreateRequest { name: Some(volume.clone()), labels, ..Default::default() };
            self.engine.create_volume(request).await.expect("made");
        }
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let id = self.engine.create_container(Some(options), body).await.expect("made").id;
        if with_worker {
            let options = UploadToContainerOptionsBuilder::new().path("/").build();
            let body = bollard::body_full(self.archive.clone());
            self.engine.upload_to_container(&id, Some(options), body).await.expect("put in");
        }
        self.engine.start_container(&id, None).await.expect("started");
        let found = self.engine.inspect_container(&id, None).await.expect("it is there");
        tokio::time::timeout(common::agent::PATIENCE, async {
            let worker = async {
                if with_worker {
                    worker_answers(&socket).await
                }
            };
            tokio::join!(worker, ssh_answers(&found), docker_answers(&found));
        })
        .await
        .expect("in time");
        let took = ms(began.elapsed());
        self.remove(&id, &volumes).await;
        took
    }

    fn body_with(&self, volumes: &[String; 2], with_worker: bool) -> ContainerCreateBody {
        let mut body = self.body.clone();
        let mount = |typ, source: &str, target: &str| Mount {
            typ: Some(typ),
            source: Some(source.to_owned()),
            target: Some(target.to_owned()),
            ..Mount::default()
        };
        let socket_folder = self.socket_folder.to_str().expect("UTF-8");
        body.host_config.as_mut().expect("a host config").mounts = Some(vec![
            mount(MountType::VOLUME, &volumes[0], "/var/lib/docker"),
            mount(MountType::VOLUME, &volumes[1], "/home/workspace"),
            mount(MountType::BIND, socket_folder, SOCKET_FOLDER),
        ]);
        if !with_worker {
            body.entrypoint = Some(["sh", "-c", PLAIN].map(str::to_owned).into());
        }
        body
    }

    async fn remove(&self, id: &str, volumes: &[String; 2]) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        self.engine.remove_container(id, Some(options)).await.expect("removed");
        for volume in volumes {
            self.engine.remove_volume(volume, None::<RemoveVolumeOptions>).await.expect("removed");
        }
    }
}

/// What a container was made from, as the engine tells it.
fn body_of(found: ContainerInspectResponse) -> ContainerCreateBody {
    let config = serde_json::to_value(found.config.expect("a config")).expect("JSON");
    let body: ContainerCreateBody = serde_json::from_value(config).expect("the same fields");
    ContainerCreateBody { host_config: found.host_config, ..body }
}

/// What the agent would put in.
fn archive() -> Bytes {
    let executable = Executable::read(&common::perry()).expect("the binary");
    let plan = WorkerPlan { docker: true, hash: "bench".to_owned(), ..WorkerPlan::default() };
    let bootstrap = Bootstrap {
        uid: "bench".to_owned(),
        name: "bench".to_owned(),
        secret: SECRET.to_owned(),
        executable: executable.hash().to_owned(),
        plan,
    };
    let bootstrap = serde_json::to_vec(&bootstrap).expect("JSON");
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, content) in [(EXECUTABLE, 0o755, &*executable.bytes()), (BOOTSTRAP, 0o600, &bootstrap)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path.trim_start_matches('/'), content).expect("packed");
    }
    tar.into_inner().expect("packed").into()
}

async fn worker_answers(socket: &Path) {
    loop {
        if let Ok(client) = worker_client::Client::connect(socket, Some(SECRET)).await {
            client.health().await;
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// At the container's own address: the published port would answer for it before sshd does.
async fn ssh_answers(found: &ContainerInspectResponse) {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref()).expect("networks");
    let address = networks.values().find_map(|network| network.ip_address.clone()).expect("an address");
    let greets = async || {
        let mut greeting = [0; 4];
        TcpStream::connect((address.as_str(), 22)).await?.read_exact(&mut greeting).await?;
        std::io::Result::Ok(greeting == *b"SSH-")
    };
    while !matches!(greets().await, Ok(true)) {
        tokio::time::sleep(POLL).await;
    }
}

/// At its socket, through the container's own root folder.
async fn docker_answers(found: &ContainerInspectResponse) {
    let pid = found.state.as_ref().and_then(|state| state.pid).expect("a process");
    let socket = format!("/proc/{pid}/root/run/docker.sock");
    let pings = async || {
        let mut stream = UnixStream::connect(&socket).await?;
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head.ends_with(b" 200"))
    };
    while !matches!(pings().await, Ok(true)) {
        tokio::time::sleep(POLL).await;
    }
}
