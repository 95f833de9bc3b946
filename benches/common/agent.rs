//! A real agent on the real engine, in a folder of its own. What it made goes when it is dropped.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use perry::client::{Client, Watch};
use perry::contract::{ApplyInput, NameInput, WatchKind};
use perry::model::files::{AGENT_ID, AGENT_LOCK, AgentLock, CLIENT, ClientConfig};
use perry::model::{Name, Shown, View};
use perry::runtime::docker::labels;
use serde_json::json;

/// Longer than anything here takes: only a failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The label of what a bench makes without the agent; its value is the agent's id.
pub(crate) const MARK: &str = "perry-bench";

/// The agent, and a client of it.
pub(crate) struct Agent {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) client: Client,
    pub(crate) id: String,
}

impl Agent {
    /// Starts one whose workspaces take these ports for ssh.
    pub(crate) fn start(ssh_ports: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let config = json!({
            "port": 0, "workspacePrefix": format!("{name}-"), "docker": {"network": name}, "sshPorts": ssh_ports,
        });
        fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
        let child = Command::new(super::perry())
            .args(["agent", "run"])
            .env("PERRY_CONFIG_DIR", folder.path())
            .env("PERRY_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let address = address(folder.path());
        let id = fs::read_to_string(folder.path().join(AGENT_ID)).expect("an id").trim().to_owned();
        let text = fs::read(folder.path().join(CLIENT)).expect("the agent wrote it");
        let tokens = serde_json::from_slice::<ClientConfig>(&text).expect("JSON").tokens;
        let client = Client::new(&address).with_token(tokens[&id].clone());
        Self { child, folder, client, id }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Applies a manifest: the first view of each workspace.
    pub(crate) async fn apply(&self, manifest: &str) -> Vec<Arc<Shown>> {
        let input = ApplyInput { manifest: Some(manifest.to_owned()), ..ApplyInput::default() };
        let applied = self.client.apply_workspaces(&input).await.expect("applied");
        applied.results.into_iter().map(|one| one.workspace.expect("a view")).collect()
    }

    /// Deletes a workspace and waits until it is gone.
    pub(crate) async fn delete(&self, watcher: &mut Watcher, name: &Name) {
        self.client.delete_workspace(&NameInput { name: name.clone() }).await.expect("deleted");
        while watcher.views.contains_key(name) {
            watcher.follow().await;
        }
    }
}

/// Somebody who watches all workspaces.
pub(crate) struct Watcher {
    watch: Watch,
    views: BTreeMap<Name, Arc<Shown>>,
}

impl Watcher {
    pub(crate) fn new(client: &Client) -> Self {
        Self { watch: client.watch(), views: BTreeMap::new() }
    }

    /// The view of a workspace once this is so, at once where it is.
    pub(crate) async fn until(&mut self, name: &Name, so: impl Fn(&View) -> bool) -> Arc<Shown> {
        loop {
            if let Some(view) = self.views.get(name).filter(|view| so(view)) {
                return view.clone();
            }
            self.follow().await;
        }
    }

    async fn follow(&mut self) {
        let frame = tokio::time::timeout(PATIENCE, self.watch.next()).await.expect("in time").expect("a frame");
        match (frame.kind, frame.workspace) {
            (WatchKind::Deleted, Some(view)) => drop(self.views.remove(&view.name)),
            (_, Some(view)) => drop(self.views.insert(view.name.clone(), view)),
            _ => {}
        }
    }
}

fn address(folder: &Path) -> String {
    let began = Instant::now();
    loop {
        let lock = fs::read(folder.join(AGENT_LOCK)).ok().and_then(|text| AgentLock::parse(&text));
        if let Some(address) = lock.and_then(|lock| lock.address) {
            return address;
        }
        assert!(began.elapsed() < PATIENCE, "the agent does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let id = self.id.clone();
        // A runtime of its own, since the bench's may be ending.
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(sweep(&id));
        });
        swept.join().expect("swept");
    }
}

/// Removes everything that bears the agent's label or [`MARK`]: first what others are used by.
async fn sweep(id: &str) {
    let engine = Docker::connect_with_defaults().expect("an engine");
    let labels = [format!("{}={id}", labels::AGENT), format!("{MARK}={id}")];
    let filters = labels.map(|label| HashMap::from([("label", vec![label])]));
    for filters in &filters {
        let options = ListContainersOptionsBuilder::new().all(true).filters(filters).build();
        for one in engine.list_containers(Some(options)).await.expect("listed") {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            engine.remove_container(&one.id.expect("an id"), Some(options)).await.expect("removed");
        }
    }
    for filters in &filters {
        let options = ListVolumesOptionsBuilder::new().filters(filters).build();
        for one in engine.list_volumes(Some(options)).await.expect("listed").volumes.unwrap_or_default() {
            engine.remove_volume(&one.name, None::<RemoveVolumeOptions>).await.expect("removed");
        }
        let options = ListNetworksOptionsBuilder::new().filters(filters).build();
        for one in engine.list_networks(Some(options)).await.expect("listed") {
            engine.remove_network(&one.id.expect("an id")).await.expect("removed");
        }
    }
}
