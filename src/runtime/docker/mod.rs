//! Docker, through its API.

mod adoption;
mod base;
mod container;
mod create;
mod engine;
mod events;
mod fault;
mod files;
mod host;
mod image;
mod install;
pub mod labels;
mod logs;
mod network;
mod observe;
mod orphans;
mod ports;
mod progress;
mod raw;
mod reference;
mod usage;
mod volume;
mod watched;
mod ways;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, StreamExt as _, stream};

pub use self::adoption::Belongings;
use self::engine::Engine;
use self::fault::Fault;
pub use self::host::{Host, HostError};
use self::image::Images;
use self::watched::Watched;
use self::ways::Ways;
use super::executable::Executable;
use super::folder::Folder;
use super::hints::Hints;
use super::link::Links;
use super::secret::Key;
use super::{Attach, Duplex, Hint, LogLines, LogsWanted, Orphans, Progress, Runtime, RuntimeError, SessionChanges};
use crate::contract::sessions::{Message, MessagesAsked};
use crate::contract::terminals::TerminalRequest;
use crate::contract::usage::Measured;
use crate::contract::worker::{ExecRequest, ExecResponse};
use crate::model::observed::{EngineSeen, FileFault, Seen};
use crate::model::sync::Sources;
use crate::model::{Action, Desired, DiskUsage, Observed, Uid, Variant};

/// What a [`Docker`] needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where the engine listens.
    pub host: Host,
    /// The agent's id: what bears another's is not touched.
    pub agent: String,
    /// What the workspaces' secrets are made from.
    pub key: Key,
    /// What is put into every container.
    pub executable: Executable,
    /// An absolute path, kept from boot to boot: stopped containers have parts of it mounted.
    pub run_folder: PathBuf,
    /// Files of the host that workspaces are brought.
    pub sources: Arc<dyn Sources>,
    /// The socket of this machine's ssh agent, where `spec.clone` may use it.
    pub ssh_agent: Option<PathBuf>,
}

/// Workspaces on a Docker engine. It may be down at any time; it is connected to when it is needed.
pub struct Docker {
    engine: Arc<Engine>,
    agent: String,
    key: Key,
    executable: Executable,
    run_folder: PathBuf,
    watched: Arc<Watched>,
    hints: Arc<Hints>,
    links: Links,
    images: Images,
    sources: Arc<dyn Sources>,
}

impl Docker {
    /// Nothing is connected to yet.
    pub fn new(settings: Settings) -> Self {
        let Settings { host, agent, key, executable, run_folder, sources, ssh_agent } = settings;
        let (engine, hints) = (Arc::new(Engine::new(host)), Arc::new(Hints::default()));
        let ways = Ways { engine: Arc::clone(&engine), run_folder: run_folder.clone() };
        let links = Links::new(Arc::new(ways), key.clone(), Arc::clone(&hints)).lending(ssh_agent);
        let (watched, images) = (Arc::new(Watched::default()), Images::new());
        Self { engine, agent, key, executable, run_folder, watched, hints, links, images, sources }
    }

    /// Has every workspace looked at: something outside the engine has changed that many may depend on.
    pub fn look_at_everything(&self) {
        self.hints.everything();
    }

    fn folder(&self, uid: &Uid) -> io::Result<Folder> {
        Folder::new(&self.run_folder, uid)
    }

    fn run_folder(&self) -> &Path {
        &self.run_folder
    }

    async fn act(&self, action: &Action, progress: Progress<'_>) -> Result<(), RuntimeError> {
        match action {
            Action::EnsureImage { image, build } => image::ensure(self, image, *build, progress).await,
            Action::RefreshImage { image } => image::refresh(self, image, progress).await,
            Action::CreateNetwork { name, agent } => network::create(self, name, agent).await,
            Action::CreateVolume { volume, owner } => volume::create(self, volume, owner).await,
            Action::CreateContainer { container, volumes, owner, generation } => {
                container::create(self, container, volumes, owner, *generation).await
            }
            Action::InstallWorker { id, owner, worker } => install::install(self, id, owner, worker).await,
            Action::ReattachNetwork { id, network } => network::reattach(self, id, network).await,
            Action::StartContainer { id, owner, restarted_at } => {
                container::start(self, id, owner, *restarted_at).await
            }
            Action::ConfigureWorker { id, owner, worker } => return install::configure(self, id, owner, worker).await,
            // What could not be brought is seen at the next look.
            Action::SyncFiles { owner, files, .. } => return files::bring(self, &owner.uid, files).await.map(drop),
            Action::UpdateLimits { id, limits } => container::limit(self, id, limits).await,
            Action::UnpauseContainer { id } => container::unpause(self, id).await,
            Action::StopContainer { id } => container::stop(self, id).await,
            Action::RemoveContainer { id } => container::remove(self, id).await,
            Action::RemoveVolume { name, created_at, owner } => {
                volume::remove(self, name, created_at, owner.as_ref()).await
            }
        }
        .map_err(RuntimeError::from)
    }
}

#[async_trait]
impl Runtime for Docker {
    async fn observe(&self, desired: &Desired) -> Observed {
        observe::observe(self, desired).await
    }

    async fn apply(&self, action: &Action, progress: Progress<'_>) -> Result<(), RuntimeError> {
        let deadline = action.deadline();
        let act = tokio::time::timeout(deadline, self.act(action, progress));
        act.await.unwrap_or_else(|_| Err(Fault::Timeout(deadline.as_secs()).into()))
    }

    fn events(&self) -> Pin<Box<dyn Stream<Item = Hint> + Send>> {
        let (engine, watched, hints) = (Arc::clone(&self.engine), Arc::clone(&self.watched), Arc::clone(&self.hints));
        let follow = events::follow(engine, watched, self.agent.clone(), Arc::clone(&hints));
        let hints = stream::unfold(hints, |hints| async move { Some((hints.next().await, hints)) });
        // The second never yields anything; it reads on whenever the first is waited for.
        stream::select(hints, stream::once(follow).filter_map(|()| async { None })).boxed()
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        match self.engine.refresh().await {
            Ok(session) => Seen::Present(session.seen.clone()),
            Err(fault) => Seen::Unknown(RuntimeError::from(fault).to_string()),
        }
    }

    async fn build_image(&self, image: &str, variant: Variant, progress: Progress<'_>) -> Result<(), RuntimeError> {
        Ok(image::rebuild(self, image, variant, progress).await?)
    }

    async fn disk(&self, desired: &Desired) -> Result<DiskUsage, RuntimeError> {
        Ok(usage::disk(self, desired).await?)
    }

    async fn sync(&self, desired: &Desired) -> Result<Vec<FileFault>, RuntimeError> {
        files::bring(self, &desired.owner.uid, &desired.files.bring).await
    }

    async fn ports_in_use(&self) -> BTreeSet<u16> {
        match self.engine.session().await {
            Ok(session) if session.local => {
                crate::listening::tcp(Path::new("/proc")).iter().map(std::net::SocketAddr::port).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    async fn orphans(&self, known: &BTreeSet<Uid>) -> Result<Orphans, RuntimeError> {
        Ok(orphans::list(self, known).await?)
    }
}

#[async_trait]
impl Attach for Docker {
    async fn dial(&self, uid: &Uid) -> Result<Box<dyn Duplex>, RuntimeError> {
        self.links.dial(uid).await
    }

    async fn terminals(&self, uid: &Uid, request: TerminalRequest) -> Result<Box<dyn Duplex>, RuntimeError> {
        self.links.terminals(uid, request).await
    }

    async fn logs(&self, uid: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
        logs::read(self, uid, wanted).await
    }

    async fn usage(&self, uid: &Uid) -> Result<Measured, RuntimeError> {
        self.links.usage(uid).await
    }

    async fn sessions(&self, uid: &Uid) -> Result<SessionChanges, RuntimeError> {
        self.links.sessions(uid).await
    }

    async fn messages(&self, uid: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, RuntimeError> {
        self.links.messages(uid, asked).await
    }

    async fn exec(&self, uid: &Uid, request: ExecRequest) -> Result<ExecResponse, RuntimeError> {
        self.links.exec(uid, &request).await
    }
}
