//! A real agent in this process, but for its engine (the fake one) and its store (memory): what a command line does
//! goes through the real API, admission and loop.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};
use perry::api::{self, Api, Auth, Door, Edit, Guard, Identity, Intents, Limits, Parts, Shutdown};
use perry::clock::{Clock, SystemClock};
use perry::contract::sessions::{CodingAgent, Message, MessagesAsked, SessionChange};
use perry::contract::usage::{Disk, Measured};
use perry::contract::worker::{ExecRequest, ExecResponse};
use perry::contract::{LogLine, Table};
use perry::controller::Controller;
use perry::model::files::{AGENT_ID, AGENT_LOCK, AgentLock, CLIENT};
use perry::model::{Config, LiveConfig, Name, Role, Run, Shown, State, Uid, Workspace};
use perry::plan;
use perry::runtime::fake::{Script, World};
use perry::runtime::{Attach, Duplex, LogLines, LogsWanted, RuntimeError, SessionChanges};
use perry::sessions::{Changes, Sessions, Workspaces};
use perry::store::audit::Audit;
use perry::store::tokens::{Tokens, Wanted};
use perry::store::{Intent, IntentError, OsDisk};
use perry::watch::Hub;
use tokio::sync::{Notify, broadcast};

use crate::told;

/// Which agent it is.
pub(crate) const ID: &str = "0f3f1c52-8a6e-4f0e-9b53-6c9a1d2e3f40";

/// A running agent, and a folder of settings whose client.json names it. It ends when dropped.
pub(crate) struct Agent {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) world: World,
    pub(crate) address: std::net::SocketAddr,
    /// An admin's.
    pub(crate) token: String,
    shutdown: Shutdown,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Agent {
    pub(crate) fn start(script: impl Script + 'static) -> Self {
        Self::start_with(script, Config { port: 0, ..Config::default() })
    }

    pub(crate) fn start_with(script: impl Script + 'static, config: Config) -> Self {
        let scheme = if config.tls.is_some() { "https://" } else { "" };
        let (tell, told) = std::sync::mpsc::channel();
        let shutdown = Shutdown::new();
        let end = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(script, config, end, |address, world, token| {
                tell.send((address, world, token)).expect("somebody waits");
            }));
        });
        let (address, world, token) = told.recv().expect("it starts");
        let folder = tempfile::tempdir().expect("a folder");
        let worker = format!("{scheme}{address}");
        let client = serde_json::json!({"worker": worker, "tokens": {worker.clone(): token}});
        std::fs::write(folder.path().join(CLIENT), client.to_string()).expect("written");
        Self { folder, world, address, token, shutdown, thread: Some(thread) }
    }

    /// A folder as an agent leaves it that was killed while it listened at this agent's address.
    pub(crate) fn left_by(&self, id: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = AgentLock {
            pid: 1,
            address: Some(self.address.to_string()),
            version: "0.1.0".to_owned(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        };
        std::fs::write(folder.path().join(AGENT_LOCK), serde_json::to_vec(&lock).expect("JSON")).expect("written");
        std::fs::write(folder.path().join(AGENT_ID), format!("{id}\n")).expect("written");
        let client = serde_json::json!({"tokens": {id: self.token}});
        std::fs::write(folder.path().join(CLIENT), client.to_string()).expect("written");
        folder
    }

    /// The folder of this agent itself; its client.json names no other.
    pub(crate) fn own_folder(&self) -> tempfile::TempDir {
        self.left_by(ID)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.begin();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn serve(
    script: impl Script + 'static,
    config: Config,
    shutdown: Shutdown,
    started: impl FnOnce(std::net::SocketAddr, World, String),
) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let world = World::new(clock.clone(), script);
    let store = Arc::new(Store::default());
    let hub: Hub<Shown> = Hub::new("boot", perry::watch::Limits::default()).expect("a boot id");
    let settings = plan::Settings { agent: ID.to_owned(), config: config.clone(), executable: "hash".to_owned() };
    let controller = Controller::new(perry::controller::Parts {
        intent: store.clone(),
        runtime: Arc::new(world.runtime(ID, "hash")),
        clock: clock.clone(),
        hub: hub.clone(),
        settings,
        doubt: std::time::Duration::ZERO,
        seed: 1,
    });
    let folder = tempfile::tempdir().expect("a folder");
    let disk = OsDisk::new(folder.path());
    let tokens = Arc::new(Tokens::open(Box::new(disk.clone()), clock.clone()).expect("none yet"));
    let name = "admin".parse().expect("a name");
    let wanted = Wanted { name, role: Role::Admin, workspaces: None, allow_host: false, expires_in: None };
    let (token, _) = tokens.create(wanted).expect("made");
    let sessions = Sessions::open(&folder.path().join("sessions.db")).expect("an index");
    tokio::spawn(sessions.clone().run(store.clone()));
    let listening = api::listen(&config).await.expect("a free port");
    let address = listening.addresses()[0];
    let api = Api::new(Parts {
        store: store.clone(),
        hub,
        controller: controller.clone(),
        attach: Arc::new(Echo),
        sessions: sessions.clone(),
        config: Arc::new(LiveConfig::new(config.clone())),
        identity: Identity {
            id: ID.to_owned(),
            hostname: "devbox".to_owned(),
            started: clock.wall(),
            urls: vec![format!("http://{address}")],
        },
        clock: clock.clone(),
        shutdown: shutdown.clone(),
        tokens: tokens.clone(),
        disk: Arc::new(Mutex::new(Box::new(disk))),
    });
    started(address, world, token.0);
    let api = Arc::new(api);
    let router = api::router(Door {
        terminals: api.clone(),
        service: Arc::new(Table(api)),
        guard: Guard::new(ID, "devbox", listening.addresses(), &[]).expect("good origins"),
        auth: Auth::new(tokens, clock.clone()),
        records: Arc::new(Audit::new(folder.path())),
        clock,
        metrics: Arc::default(),
        limits: Limits::default(),
        shutdown: shutdown.clone(),
    });
    let ended = async {
        shutdown.begun().await;
        controller.shutdown();
    };
    futures::join!(controller.clone().run(), api::serve(listening, router, Limits::default(), shutdown.clone()), ended);
}

/// Intent in memory.
struct Store {
    state: Mutex<Arc<State>>,
    changes: broadcast::Sender<Name>,
    /// The workspaces are others, or are to run otherwise.
    moved: Notify,
}

impl Default for Store {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: broadcast::Sender::new(1024), moved: Notify::new() }
    }
}

impl Store {
    fn read(&self) -> Arc<State> {
        self.state.lock().expect("state").clone()
    }
}

#[async_trait]
impl Intents for Store {
    fn snapshot(&self) -> Arc<State> {
        self.read()
    }

    async fn commit(&self, edit: Edit) -> Result<(), IntentError> {
        let mut state = self.state.lock().expect("state");
        let mut next = State::clone(&state);
        if edit(&mut next) {
            *state = Arc::new(next);
            self.moved.notify_one();
        }
        Ok(())
    }
}

#[async_trait]
impl Intent for Store {
    fn get(&self, name: &Name) -> Option<Arc<Workspace>> {
        self.read().workspaces.get(name).cloned()
    }

    fn list(&self) -> BTreeMap<Name, Arc<Workspace>> {
        self.read().workspaces.clone()
    }

    async fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError> {
        let mut state = self.state.lock().expect("state");
        let gone = |one: &Arc<Workspace>| one.metadata.uid == *uid && one.metadata.deletion_timestamp.is_some();
        if state.workspaces.get(name).is_some_and(gone) {
            Arc::make_mut(&mut state).workspaces.remove(name);
            self.changes.send(name.clone()).ok();
            self.moved.notify_one();
        }
        Ok(())
    }

    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        let receiver = self.changes.subscribe();
        let names =
            futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await.ok()?, receiver)) });
        names.boxed()
    }
}

#[async_trait]
impl Workspaces for Store {
    fn list(&self) -> Vec<perry::sessions::Workspace> {
        let state = self.read();
        let each = state.workspaces.values().map(|workspace| perry::sessions::Workspace {
            uid: workspace.metadata.uid.clone(),
            name: workspace.metadata.name.clone(),
            // That it is to run has to do here.
            running: workspace.spec.run() == Run::Running,
        });
        each.collect()
    }

    async fn changed(&self) {
        self.moved.notified().await;
    }

    async fn follow(&self, _: &Uid) -> Result<Changes, String> {
        let sessions = [(CodingAgent::Claude, "aaaa-1", 3), (CodingAgent::Codex, "bbbb-2", 120)];
        let sessions =
            sessions.map(|(agent, id, count)| Ok(told::upserted(told::session(agent, id, count), Vec::new())));
        let ends = [SessionChange::Reset, SessionChange::Bookmark].map(Ok);
        let [reset, bookmark] = ends;
        let all = [reset].into_iter().chain(sessions).chain([bookmark]);
        Ok(stream::iter(all).chain(stream::pending()).boxed())
    }

    async fn messages(&self, _: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, String> {
        Ok(told::messages(asked, if asked.session == "aaaa-1" { 3 } else { 120 }))
    }
}

/// Commands say what they were; `false` fails.
struct Echo;

#[async_trait]
impl Attach for Echo {
    async fn dial(&self, _: &Uid) -> Result<Box<dyn Duplex>, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn terminals(
        &self,
        _: &Uid,
        _: perry::contract::terminals::TerminalRequest,
    ) -> Result<Box<dyn Duplex>, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn logs(&self, _: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
        let from = wanted.source.as_str();
        let lines = (1..=3).map(|number| format!("line {number} of {from}\u{1b}[2J"));
        let lines: Vec<String> = lines.collect();
        let skip = lines.len().saturating_sub(wanted.tail as usize);
        let line = move |line| Ok(LogLine { source: wanted.source, from: from.to_owned(), line });
        Ok(stream::iter(lines.into_iter().skip(skip).map(line)).boxed())
    }

    async fn sessions(&self, _: &Uid) -> Result<SessionChanges, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn messages(&self, _: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, RuntimeError> {
        Ok(told::messages(asked, if asked.session == "aaaa-1" { 3 } else { 120 }))
    }

    async fn usage(&self, _: &Uid) -> Result<Measured, RuntimeError> {
        let disk = Disk { home: Some(3 << 20), docker: None };
        let limits = (1 << 20, Some(1 << 30));
        Ok(Measured { cpu_seconds: 7.0, memory: limits.0, memory_limit: limits.1, disk, ports: vec![22, 3000] })
    }

    async fn exec(&self, _: &Uid, request: ExecRequest) -> Result<ExecResponse, RuntimeError> {
        let exit_code = if request.command[0] == "false" { 7 } else { 0 };
        let stdout = format!("{}\n", request.command.join(" "));
        Ok(ExecResponse { stdout, stderr: "told on stderr\n".to_owned(), exit_code, truncated: false })
    }
}
