//! The floor of a start: the same container made straight through the engine's API and asked every 2 ms for the same
//! things that make a workspace Ready: the worker, sshd and dockerd inside answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::future::join_all;
use perry::contract::worker::{BOOTSTRAP, Bootstrap, EXECUTABLE, SOCKET_FOLDER, Socket};
use perry::model::View;
use perry::model::desired::WorkerPlan;
use perry::runtime::executable::Executable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::common::agent::{Agent, MARK, PATIENCE};
use crate::common::ms;
use crate::worker_client;

const POLL: Duration = Duration::from_millis(2);
const SECRET: &str = "bench";
/// What somebody would start by hand, without a worker.
const PLAIN: &str = "set -e; keys=/home/workspace/.perry/ssh; mkdir -p $keys /run/sshd; \
    ssh-keygen -q -t ed25519 -N '' -f $keys/ssh_host_ed25519_key; /usr/sbin/sshd; exec dockerd";

/// What the engine is told by hand.
pub(crate) struct Raw {
    engine: Docker,
    /// Of the container that Perry made.
    body: ContainerCreateBody,
    archive: Bytes,
    folder: PathBuf,
    mark: (String, String),
}

/// A container that was started by hand, with what goes with it.
struct Started {
    id: String,
    volumes: [String; 2],
}

impl Raw {
    /// As Perry made the container of this view.
    pub(crate) async fn like(agent: &Agent, view: &View) -> Self {
        let engine = Docker::connect_with_defaults().expect("an engine");
        let id = view.container_id.as_deref().expect("a container");
        let found = engine.inspect_container(id, None).await.expect("it is there");
        let mark = (MARK.to_owned(), agent.id.clone());
        let folder = agent.folder().join("straight");
        let mut body = body_of(found);
        body.labels = Some([mark.clone()].into());
        Self { engine, body, archive: archive(), folder, mark }
    }

    /// From the first call until everything answers, in milliseconds; then everything is removed.
    pub(crate) async fn time(&self, round: usize, with_worker: bool) -> f64 {
        let began = Instant::now();
        let started = self.start(&format!("{round}-{with_worker}"), 0, with_worker).await;
        let took = ms(began.elapsed());
        self.remove(&started).await;
        took
    }

    /// So many at once: until all of them answer.
    pub(crate) async fn time_many(&self, round: usize, count: u16) -> f64 {
        let names: Vec<(u16, String)> = (0..count).map(|slot| (slot, format!("{round}-{slot}"))).collect();
        let began = Instant::now();
        let started = join_all(names.iter().map(|(slot, name)| self.start(name, *slot, true))).await;
        let took = ms(began.elapsed());
        join_all(started.iter().map(|one| self.remove(one))).await;
        took
    }

    /// Makes and starts one, and waits until everything in it answers.
    async fn start(&self, name: &str, slot: u16, with_worker: bool) -> Started {
        let name = format!("perry-bench-{}-{name}", &self.mark.1[..8]);
        let volumes = [format!("{name}-docker"), format!("{name}-home")];
        let folder = self.folder.join(slot.to_string());
        fs::create_dir_all(&folder).expect("made");
        let socket = folder.join(Socket::Worker.file_name());
        fs::remove_file(&socket).ok();
        let body = self.body_with(&volumes, &folder, slot, with_worker);
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
        tokio::time::timeout(PATIENCE, async {
            let worker = async {
                if with_worker {
                    worker_answers(&socket).await
                }
            };
            tokio::join!(worker, ssh_answers(&found), docker_answers(&found));
        })
        .await
        .expect("in time");
        Started { id, volumes }
    }

    fn body_with(&self, volumes: &[String; 2], folder: &Path, slot: u16, with_worker: bool) -> ContainerCreateBody {
        let mut body = self.body.clone();
        let mount = |typ, source: &str, target: &str| Mount {
            typ: Some(typ),
            source: Some(source.to_owned()),
            target: Some(target.to_owned()),
            ..Mount::default()
        };
        let host = body.host_config.as_mut().expect("a host config");
        host.mounts = Some(vec![
            mount(MountType::VOLUME, &volumes[0], "/var/lib/docker"),
            mount(MountType::VOLUME, &volumes[1], "/home/workspace"),
            mount(MountType::BIND, folder.to_str().expect("UTF-8"), SOCKET_FOLDER),
        ]);
        // Each its own, of those that Perry gave back.
        for binding in host.port_bindings.iter_mut().flatten().filter_map(|(_, bindings)| bindings.as_mut()).flatten() {
            let port = binding.host_port.as_ref().and_then(|port| port.parse::<u16>().ok()).expect("a port");
            binding.host_port = Some((port + slot).to_string());
        }
        if !with_worker {
            body.entrypoint = Some(["sh", "-c", PLAIN].map(str::to_owned).into());
        }
        body
    }

    async fn remove(&self, started: &Started) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        self.engine.remove_container(&started.id, Some(options)).await.expect("removed");
        for volume in &started.volumes {
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
    let executable = Executable::read(&crate::common::perry()).expect("the binary");
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
