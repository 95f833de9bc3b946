//! The composition root: the only place that names concrete types together. An agent is a locked folder, a store, a
//! runtime, the loop over both, and the API in front.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures::StreamExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{self, Api, Auth, Guard, Limits, Metrics, Shutdown};
use crate::cli::LogFormat;
use crate::clock::{Clock, SystemClock};
use crate::contract::sessions::MessagesAsked;
use crate::contract::{Message, Table};
use crate::controller::{self, Controller};
use crate::model::admission::{self, admit_outside};
use crate::model::desired::{DOCKER_DATA, HOME};
use crate::model::files::{AgentLock, CONFIG};
use crate::model::{ConditionType, Config, LiveConfig, Name, Shown, State, Uid};
use crate::plan;
use crate::runtime::Attach;
use crate::runtime::docker::{self, Docker, Host};
use crate::runtime::executable::Executable;
use crate::runtime::secret::Key;
use crate::sessions::{self, Changes, Sessions, Workspaces};
use crate::store::audit::{Audit, Record, Records};
use crate::store::identity::{self, Identity};
use crate::store::lock::HeldLock;
use crate::store::migrate::{self, FoundAdoption};
use crate::store::sources::HostFiles;
use crate::store::tokens::Tokens;
use crate::store::{Admit, OsDisk, Store, StoreError, client, config, folder};
use crate::watch::{Hub, Subscription, WatchError};

/// How long after a broken-off call to the engine, or after the agent's start, that call may still take effect. The
/// engine's own work on a create is over in well under a second; a machine under load gets some more.
const DOUBT: Duration = Duration::from_secs(5);
/// How long passes under way may take to end when the agent does.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is tried to look into containers from before Perry, while there are any that nobody looked into.
const ADOPTION_POLL: Duration = Duration::from_secs(5);
/// The folder inside the agent's that is mounted into workspaces, one folder each.
const RUN_FOLDER: &str = "run";
/// The index of sessions, a cache.
const SESSIONS: &str = "sessions.db";

/// Runs an agent on this folder until it is told to end, by signal or by `agent.kill`.
///
/// # Errors
/// Another agent has the folder, a file of it cannot be used, or the API's address is taken.
pub fn run(config_dir: &Path, log: LogFormat) -> anyhow::Result<()> {
    log_to_stderr(log);
    for note in folder::prepare(config_dir)? {
        tracing::warn!("{note}");
    }
    let folder = config_dir.canonicalize().with_context(|| format!("{} cannot be used", config_dir.display()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    let info = AgentLock { pid, address: None, version, started_at: clock.wall() };
    let unusable = |error| unusable(&folder, error);
    let lock = HeldLock::take(&folder, info).map_err(unusable)?;
    let disk = OsDisk::new(&folder);
    let config = Arc::new(LiveConfig::new(config::load(&disk)?));
    let records: Arc<dyn Records> = Arc::new(Audit::new(&folder));
    let store = Store::open(&folder, admit(&config, &clock, &records), clock.clone()).map_err(unusable)?;
    let store = Arc::new(store);
    let identity = identity::load(&disk).map_err(unusable)?;
    let tokens = Tokens::open(Box::new(disk.clone()), clock.clone()).map_err(unusable)?;
    client::ensure_token(&disk, &identity.id, &tokens).context("the token of this folder's command line")?;
    for warning in store.warnings() {
        tracing::warn!("{}", warning.message);
    }
    let agent = Agent { config, clock, store, identity, tokens: Arc::new(tokens), records };
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    executor.block_on(agent.serve(&folder, lock))
}

/// Errors of the store name a file; at a start nobody has said yet which folder that is in.
fn unusable(folder: &Path, error: StoreError) -> anyhow::Error {
    match error {
        StoreError::InUse { .. } => error.into(),
        error => anyhow::Error::from(error)
            .context(format!("{} cannot be used (--config-dir names another folder)", folder.display())),
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PERRY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // In tests several agents may share a process; the first one's log serves all.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

fn admit(config: &Arc<LiveConfig>, clock: &Arc<dyn Clock>, records: &Arc<dyn Records>) -> Admit {
    let (config, clock, records) = (config.clone(), clock.clone(), records.clone());
    Box::new(move |old, new| {
        let uid = Uid(uuid::Uuid::new_v4().to_string());
        let (now, config) = (clock.wall(), config.get());
        let settings = admission::Settings {
            config: &config,
            now,
            uid,
            if_generation: None,
            allow_replace: true,
            in_use: &admission::NOT_KNOWN,
        };
        let outside = admit_outside(old, new, &settings)?;
        outside.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        edited(old, &outside.state, now, &*records);
        Ok(outside.state)
    })
}

/// Writes down what somebody changed in state.json by hand. Nobody can tell who.
fn edited(old: &State, new: &State, at: jiff::Timestamp, records: &dyn Records) {
    let names = old.workspaces.keys().chain(new.workspaces.keys()).collect::<std::collections::BTreeSet<_>>();
    let differs = |name: &&&crate::model::Name| old.workspaces.get(**name) != new.workspaces.get(**name);
    let of: Vec<String> = names.iter().filter(differs).map(ToString::to_string).collect();
    if !of.is_empty() {
        let what = crate::model::files::STATE;
        records.record(&Record { at, who: None, token: None, from: None, what, of: &of, result: "ok", why: None });
    }
}

/// Everything that lives as long as the agent.
struct Agent {
    config: Arc<LiveConfig>,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    identity: Identity,
    tokens: Arc<Tokens>,
    records: Arc<dyn Records>,
}

impl Agent {
    async fn serve(self, folder: &Path, mut lock: HeldLock) -> anyhow::Result<()> {
        let executable = Executable::own().context("the agent's own executable cannot be read")?;
        let config = self.config.get();
        let host = Host::from_environment(config.docker.host.as_deref())?;
        let listening = api::listen(&config).await?;
        let address = *listening.addresses().first().context("no address to listen on")?;
        let settings = plan::Settings {
            agent: self.identity.id.clone(),
            config: Config::clone(&config),
            executable: executable.hash().to_owned(),
        };
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let sources = Arc::new(HostFiles::new(&home, self.clock.clone()));
        let docker = Arc::new(Docker::new(docker::Settings {
            host,
            agent: self.identity.id.clone(),
            key: Key::new(self.identity.key.bytes().to_vec()),
            executable,
            run_folder: folder.join(RUN_FOLDER),
            sources: sources.clone(),
            ssh_agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from).filter(|_| config.ssh.forward_agent),
        }));
        let hub = Hub::new(&uuid::Uuid::new_v4().simple().to_string(), crate::watch::Limits::default())?;
        let controller = Controller::new(controller::Parts {
            intent: self.store.clone(),
            runtime: docker.clone(),
            clock: self.clock.clone(),
            hub: hub.clone(),
            settings,
            doubt: DOUBT,
            seed: u64::from_le_bytes(uuid::Uuid::new_v4().into_bytes()[..8].try_into()?),
        });
        let shutdown = Shutdown::new();
        let sessions = Sessions::open(&folder.join(SESSIONS)).context("the index of sessions")?;
        let api_identity = self.api_identity(&config, listening.addresses());
        let hostname = api_identity.hostname.clone();
        let procedures = Arc::new(Api::new(api::Parts {
            store: self.store.clone(),
            hub: hub.clone(),
            controller: controller.clone(),
            attach: docker.clone(),
            sessions: sessions.clone(),
            config: self.config.clone(),
            identity: api_identity,
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
            tokens: self.tokens.clone(),
            disk: Arc::new(Mutex::new(Box::new(OsDisk::new(folder)))),
        }));
        let router = api::router(api::Door {
            terminals: procedures.clone(),
            service: Arc::new(Table(procedures)),
            guard: Guard::new(&self.identity.id, &hostname, listening.addresses(), &config.allowed_origins)?,
            auth: Auth::new(self.tokens.clone(), self.clock.clone()),
            records: self.records.clone(),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::new(controller.clone(), hub.clone())),
            limits: Limits::default(),
            shutdown: shutdown.clone(),
        });
        let workspaces = Inside {
            store: self.store.clone(),
            hub: hub.clone(),
            attach: docker.clone(),
            views: hub.subscribe(None).into(),
        };
        tokio::spawn(sessions.run(Arc::new(workspaces)));
        let looping = tokio::spawn(controller.clone().run());
        let sources = Following { folder: folder.to_owned(), sources, config: self.config.clone() };
        tokio::spawn(sources.follow(docker.clone(), controller.clone()));
        tokio::spawn(complete_adoptions(self.store.clone(), docker, self.clock.clone()));
        let secure = config.tls.is_some();
        lock.announce(&format!("{}{}", if secure { "https://" } else { "" }, reachable(address)))?;
        tracing::info!("listening on {}://{address}", if secure { "https" } else { "http" });
        tokio::spawn(end_on_signal(shutdown.clone())?);
        api::serve(listening, router, Limits::default(), shutdown).await;
        hub.close();
        if let Err(error) = self.tokens.flush() {
            tracing::warn!("when tokens were last used is lost: {}", error.chain());
        }
        controller.shutdown();
        if tokio::time::timeout(GRACE, looping).await.is_err() {
            tracing::warn!("passes were still under way after {} s; the next agent takes them up", GRACE.as_secs());
        }
        tracing::info!("ended");
        Ok(())
    }

    fn api_identity(&self, config: &Config, bound: &[SocketAddr]) -> api::Identity {
        let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let (id, started) = (self.identity.id.clone(), self.clock.wall());
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let urls = api::addresses::urls(scheme, bound);
        api::Identity { id, hostname: hostname.unwrap_or_else(|| "localhost".to_owned()), started, urls }
    }
}

/// Where the command line of this machine reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The way of the index of sessions to workspaces.
struct Inside {
    store: Arc<Store>,
    hub: Hub<Shown>,
    attach: Arc<Docker>,
    views: tokio::sync::Mutex<Subscription<Shown>>,
}

#[async_trait]
impl Workspaces for Inside {
    fn list(&self) -> Vec<sessions::Workspace> {
        let runs =
            |name: &Name| self.hub.get(name.as_str()).is_some_and(|view| view.is_true(ConditionType::ContainerRunning));
        let intent = self.store.snapshot();
        let each = intent.workspaces.values().map(|workspace| {
            let (uid, name) = (workspace.metadata.uid.clone(), workspace.metadata.name.clone());
            sessions::Workspace { uid, running: runs(&name), name }
        });
        each.collect()
    }

    async fn changed(&self) {
        let mut views = self.views.lock().await;
        match views.next().await {
            Ok(_) => {}
            Err(WatchError::Lagged) => *views = self.hub.subscribe(None),
            Err(WatchError::Closed) => std::future::pending().await,
        }
    }

    async fn follow(&self, uid: &Uid) -> Result<Changes, String> {
        let changes = self.attach.sessions(uid).await.map_err(|error| error.to_string())?;
        Ok(changes.map(|change| change.map_err(|error| error.to_string())).boxed())
    }

    async fn messages(&self, uid: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, String> {
        self.attach.messages(uid, asked).await.map_err(|error| error.to_string())
    }
}

/// What may change outside the agent: files that workspaces are brought, and the settings that say which.
struct Following {
    folder: PathBuf,
    sources: Arc<HostFiles>,
    config: Arc<LiveConfig>,
}

impl Following {
    /// Has workspaces looked at when such a file may have changed.
    async fn follow(self, docker: Arc<Docker>, controller: Arc<Controller>) {
        let disk = OsDisk::new(&self.folder);
        self.sources.watch(&self.folder.join(CONFIG));
        loop {
            self.sources.changed().await;
            match config::load(&disk) {
                Ok(new) => self.take(&new, &controller),
                // What is in force stays so.
                Err(error) => tracing::warn!("{error}"),
            }
            docker.look_at_everything();
        }
    }

    fn take(&self, new: &Config, controller: &Controller) {
        let before = self.config.get();
        let later = self.config.take(new);
        if !later.is_empty() {
            tracing::warn!("{CONFIG} has changed: {} take effect when the agent is started anew", later.join(", "));
        }
        let now = self.config.get();
        if now != before {
            tracing::info!("{CONFIG} has changed: keys and files of workspaces follow");
            controller.reconfigure(Config::clone(&now));
        }
    }
}

/// Reads what adopted containers have, as soon as the engine shows them. One that it does not know stays pending: its
/// workspace says so, and nothing of it is touched.
async fn complete_adoptions(store: Arc<Store>, docker: Arc<Docker>, clock: Arc<dyn Clock>) {
    while !migrate::pending(&store.snapshot()).is_empty() {
        for pending in migrate::pending(&store.snapshot()) {
            let Ok(Some(found)) = docker.belongings(&pending.container).await else { continue };
            let role = |(path, name): (String, String)| match path.as_str() {
                HOME => Some(("home".to_owned(), name)),
                DOCKER_DATA => Some(("docker".to_owned(), name)),
                _ => None,
            };
            let volumes = found.volumes.into_iter().filter_map(role).collect();
            let found = FoundAdoption { volumes, ports: found.ports };
            let edit = move |state: &mut State| Ok::<_, Infallible>(migrate::complete(state, &pending, found));
            if let Err(error) = store.edit(edit).await {
                tracing::warn!("an adopted container was looked into, but that could not be written: {error}");
            }
        }
        clock.sleep_until(clock.monotonic() + ADOPTION_POLL).await;
    }
}

/// Ends the agent in order at the first SIGTERM or SIGINT. Workspaces go on.
fn end_on_signal(shutdown: Shutdown) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.begin();
    })
}
