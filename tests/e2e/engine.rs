//! The engine, past Perry: what a person does with the `docker` command.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use bollard::Docker as Client;
use bollard::models::{ContainerInspectResponse, ContainerSummary, Network, Volume, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use futures::StreamExt as _;
use perry::runtime::docker::labels;

type Filters = HashMap<&'static str, Vec<String>>;

/// An engine, as seen by somebody who looks for the objects with one label.
pub(crate) struct Engine {
    client: Client,
    label: String,
}

/// Everything that bears the label.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Objects {
    pub(crate) containers: Vec<String>,
    pub(crate) volumes: Vec<String>,
}

impl Engine {
    /// Sees what bears this agent's id.
    pub(crate) fn of_agent(id: &str) -> Self {
        Self::labelled(format!("{}={id}", labels::AGENT))
    }

    /// Sees what bears this label.
    pub(crate) fn labelled(label: String) -> Self {
        let client = Client::connect_with_defaults().expect("an engine; scripts/engine.sh starts one");
        Self { client, label }
    }

    /// The same on another engine than that of the environment.
    pub(crate) fn at(self, socket: &Path) -> Self {
        let client = Client::connect_with_unix(&socket.to_string_lossy(), 120, bollard::API_DEFAULT_VERSION);
        Self { client: client.expect("a socket's path"), ..self }
    }

    /// The engine without any glasses.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    fn filters(&self) -> Filters {
        [("label", vec![self.label.clone()])].into()
    }

    /// Containers with the label, in every state.
    pub(crate) async fn containers(&self) -> Vec<ContainerSummary> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&self.filters()).build();
        self.client.list_containers(Some(options)).await.expect("an engine that lists; scripts/engine.sh starts one")
    }

    pub(crate) async fn volumes(&self) -> Vec<Volume> {
        let options = ListVolumesOptionsBuilder::new().filters(&self.filters()).build();
        self.client.list_volumes(Some(options)).await.expect("listed").volumes.unwrap_or_default()
    }

    pub(crate) async fn networks(&self) -> Vec<Network> {
        let options = ListNetworksOptionsBuilder::new().filters(&self.filters()).build();
        self.client.list_networks(Some(options)).await.expect("listed")
    }

    /// The names of containers and volumes with the label, sorted.
    pub(crate) async fn objects(&self) -> Objects {
        let name = |one: ContainerSummary| one.names.unwrap_or_default().concat().trim_start_matches('/').to_owned();
        let mut containers: Vec<String> = self.containers().await.into_iter().map(name).collect();
        let mut volumes: Vec<String> = self.volumes().await.into_iter().map(|one| one.name).collect();
        containers.sort();
        volumes.sort();
        Objects { containers, volumes }
    }

    pub(crate) async fn inspect(&self, container: &str) -> ContainerInspectResponse {
        self.client.inspect_container(container, None).await.expect("inspected")
    }

    /// When a container was started; together with its id that says whether it was touched.
    pub(crate) async fn started_at(&self, container: &str) -> String {
        let state = self.inspect(container).await.state.expect("a state");
        state.started_at.expect("a time").to_string()
    }

    pub(crate) async fn remove_container(&self, container: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        self.client.remove_container(container, Some(options)).await.expect("removed");
    }

    pub(crate) async fn remove_volume(&self, name: &str) {
        self.client.remove_volume(name, None::<RemoveVolumeOptions>).await.expect("removed");
    }

    /// Makes a volume that bears the label and nothing of Perry's.
    pub(crate) async fn make_volume(&self, name: &str) {
        let (key, value) = self.label.split_once('=').expect("a label");
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some([(key.to_owned(), value.to_owned())].into()),
            ..VolumeCreateRequest::default()
        };
        self.client.create_volume(request).await.expect("created");
    }

    /// Imports an image that has nothing but a shell.
    pub(crate) async fn import_shell(&self, image: &str) {
        let (repository, tag) = image.split_once(':').expect("a tag");
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
        let body = bollard::body_full(shell().into());
        let mut progress = self.client.create_image(Some(options), Some(body), None);
        while let Some(line) = progress.next().await {
            line.expect("an engine that imports; scripts/engine.sh starts one");
        }
    }

    /// Removes everything with the label. It goes on after a failure, and tells what is left.
    pub(crate) async fn clean(&self, image: Option<&str>) -> Result<(), bollard::errors::Error> {
        let mut result = Ok(());
        for one in self.containers().await {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let removed = self.client.remove_container(&one.id.unwrap_or_default(), Some(options)).await;
            result = result.and(removed);
        }
        for one in self.volumes().await {
            result = result.and(self.client.remove_volume(&one.name, None::<RemoveVolumeOptions>).await);
        }
        for one in self.networks().await {
            result = result.and(self.client.remove_network(&one.id.unwrap_or_default()).await);
        }
        if let Some(image) = image {
            result = result.and(self.client.remove_image(image, None::<RemoveImageOptions>, None).await.map(drop));
        }
        result
    }
}

/// This machine's own `sh` and `sleep` with the libraries they need, as a tar.
fn shell() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(true);
    let mut files: Vec<String> = vec!["/bin/sh".to_owned(), "/bin/sleep".to_owned()];
    let ldd = Command::new("ldd").args(&files).output().expect("ldd");
    let needed = String::from_utf8(ldd.stdout).expect("text");
    let libraries = needed.split_whitespace().filter(|word| word.starts_with("/lib") && !word.ends_with(':'));
    files.extend(libraries.map(str::to_owned));
    files.sort();
    files.dedup();
    for file in files {
        tar.append_path_with_name(&file, file.trim_start_matches('/')).expect(&file);
    }
    tar.into_inner().expect("a tar")
}
