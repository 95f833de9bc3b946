//! The real engine.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use futures::StreamExt as _;
use perry::clock::SystemClock;
use perry::runtime::Runtime;
use perry::runtime::docker::{Docker, Host, Settings, labels};
use perry::runtime::executable::Executable;
use perry::runtime::secret::Key;
use perry::store::sources::HostFiles;

use super::world::World;

/// What marks the meddler's objects, so that they are cleaned up.
const MARK: &str = "perry-test";
/// What stands in for the worker: it runs until it is told to end, or exits as its environment says.
const STAND_IN: &str = "#!/bin/sh
trap 'exit 0' TERM
[ -z \"$EXIT_WITH\" ] || exit \"$EXIT_WITH\"
while :; do sleep 1000 & wait $!; done
";

/// A world on the engine of this machine; its objects go when it is dropped.
pub(crate) struct DockerWorld {
    id: String,
    client: Client,
    docker: Docker,
    run_folder: tempfile::TempDir,
    listeners: Mutex<Vec<TcpListener>>,
}

impl DockerWorld {
    /// A world whose containers run a stand-in for the worker.
    pub(crate) async fn new() -> Self {
        Self::with(Executable::from(STAND_IN.as_bytes().to_vec())).await
    }

    /// A world whose containers run this.
    pub(crate) async fn with(executable: Executable) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let run_folder = tempfile::tempdir().expect("a folder");
        let host = Host::from_environment(None).expect("a host");
        let docker = Docker::new(settings(host, &id, run_folder.path(), executable));
        let world = Self { id, client: client(), docker, run_folder, listeners: Mutex::new(Vec::new()) };
        world.import().await;
        world
    }

    /// The runtime with everything that only the real one has.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The engine, past the runtime.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Another agent process of the same agent, with this executable and, where one is given, by this way.
    pub(crate) fn another(&self, host: Option<Host>, executable: Executable) -> Docker {
        let host = host.unwrap_or_else(|| Host::from_environment(None).expect("a host"));
        Docker::new(settings(host, &self.id, self.run_folder.path(), executable))
    }

    /// The smallest image that can run the stand-in: this machine's own shell.
    async fn import(&self) {
        let image = self.image();
        let (repository, tag) = image.split_once(':').expect("a tag");
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
        let body = bollard::body_full(shell_image().into());
        let mut progress = self.client.create_image(Some(options), Some(body), None);
        while let Some(line) = progress.next().await {
            line.expect("imported");
        }
    }
}

fn client() -> Client {
    Client::connect_with_defaults().expect("an engine; scripts/engine.sh starts one")
}

fn settings(host: Host, agent: &str, run_folder: &Path, executable: Executable) -> Settings {
    Settings {
        host,
        agent: agent.to_owned(),
        key: Key::new(vec![7; 32]),
        executable,
        run_folder: run_folder.to_owned(),
        sources: Arc::new(HostFiles::new(run_folder, Arc::new(SystemClock::new()))),
        ssh_agent: None,
    }
}

/// `sh` and `sleep` with the libraries they need.
fn shell_image() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(true);
    let mut files: Vec<String> = vec!["/bin/sh".to_owned(), "/bin/sleep".to_owned()];
    let ldd = Command::new("ldd").args(&files).output().expect("ldd");
    let needed = String::from_utf8(ldd.stdout).expect("text");
    files.extend(
        needed.split_whitespace().filter(|word| word.starts_with("/lib") && !word.ends_with(':')).map(str::to_owned),
    );
    files.sort();
    files.dedup();
    for file in files {
        tar.append_path_with_name(&file, file.trim_start_matches('/')).expect(&file);
    }
    tar.into_inner().expect("a tar")
}

#[async_trait]
impl World for DockerWorld {
    fn runtime(&self) -> &dyn Runtime {
        &self.docker
    }

    fn unreachable(&self) -> Box<dyn Runtime> {
        let host = Host::Unix(self.run_folder.path().join("nobody.sock"));
        Box::new(self.another(Some(host), Executable::from(Vec::new())))
    }

    fn agent(&self) -> String {
        self.id.clone()
    }

    fn image(&self) -> String {
        format!("perry-test:{}", self.id)
    }

    fn unique(&self, what: &str) -> String {
        format!("perry-test-{}-{what}", self.id)
    }

    fn free_port(&self) -> u16 {
        // Free again at once; the kernel gives the same one out again only after all others.
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
    }

    async fn listen(&self, port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a listener");
        self.listeners.lock().expect("not poisoned").push(listener);
    }

    async fn kill(&self, id: &str) {
        self.client.kill_container(id, None).await.expect("killed");
        let mut ended = self.client.wait_container(id, None);
        // The code that it ended with is an error of the client's.
        let _ = ended.next().await;
    }

    async fn pause(&self, id: &str) {
        self.client.pause_container(id).await.expect("paused");
    }

    async fn remove_container(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        self.client.remove_container(id, Some(options)).await.expect("removed");
    }

    async fn remove_volume(&self, name: &str) {
        self.client.remove_volume(name, None::<RemoveVolumeOptions>).await.expect("removed");
    }

    async fn remove_network(&self, name: &str) {
        self.client.remove_network(name).await.expect("removed");
    }

    async fn foreign_container(&self, name: &str, labels: BTreeMap<String, String>) -> String {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let body = ContainerCreateBody {
            image: Some(self.image()),
            cmd: Some(["/bin/sleep", "1000"].map(str::to_owned).into()),
            labels: Some(self.marked(labels)),
            ..ContainerCreateBody::default()
        };
        self.client.create_container(Some(options), body).await.expect("created").id
    }

    async fn foreign_volume(&self, name: &str, labels: BTreeMap<String, String>) {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(self.marked(labels)),
            ..VolumeCreateRequest::default()
        };
        self.client.create_volume(request).await.expect("created");
    }

    async fn networks(&self, name: &str) -> Vec<String> {
        let options = ListNetworksOptionsBuilder::new().filters(&[("name", vec![name])].into()).build();
        let listed = self.client.list_networks(Some(options)).await.expect("listed");
        listed
            .into_iter()
            .filter(|network| network.name.as_deref() == Some(name))
            .filter_map(|network| network.id)
            .collect()
    }
}

impl DockerWorld {
    fn marked(&self, labels: BTreeMap<String, String>) -> HashMap<String, String> {
        labels.into_iter().chain([(MARK.to_owned(), self.id.clone())]).collect()
    }
}

impl Drop for DockerWorld {
    fn drop(&mut self) {
        let (id, image) = (self.id.clone(), self.image());
        // A runtime of its own, since this one may be ending.
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(clean_up(&id, &image));
        });
        cleaned.join().expect("cleaned up");
    }
}

async fn clean_up(id: &str, image: &str) {
    let client = client();
    for label in [format!("{}={id}", labels::AGENT), format!("{MARK}={id}")] {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        for one in client.list_containers(Some(options)).await.expect("listed") {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            client.remove_container(&one.id.expect("an id"), Some(options)).await.expect("removed");
        }
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        for one in client.list_volumes(Some(options)).await.expect("listed").volumes.unwrap_or_default() {
            client.remove_volume(&one.name, None::<RemoveVolumeOptions>).await.expect("removed");
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        for one in client.list_networks(Some(options)).await.expect("listed") {
            client.remove_network(&one.id.expect("an id")).await.expect("removed");
        }
    }
    client.remove_image(image, None::<RemoveImageOptions>, None).await.expect("removed");
}
