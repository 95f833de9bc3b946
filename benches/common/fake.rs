//! An agent that is real but for its engine: store on a disk, loop, API. In this process, or in one of its own, which is
//! the bench's own executable with `serve FOLDER` as arguments.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use perry::api::{self, Api, Auth, Door, Guard, Identity, Limits, Parts, Shutdown};
use perry::client::Client;
use perry::clock::{Clock, SystemClock};
use perry::contract::sessions::{Message, MessagesAsked};
use perry::contract::usage::Measured;
use perry::contract::worker::{ExecRequest, ExecResponse};
use perry::contract::{ApplyInput, Table};
use perry::controller::Controller;
use perry::model::{Config, LiveConfig, Phase, Role, Secret, Uid};
use perry::plan;
use perry::runtime::fake::{Smooth, World};
use perry::runtime::{Attach, Duplex, LogLines, LogsWanted, RuntimeError, SessionChanges};
use perry::store::audit::Audit;
use perry::store::tokens::{Tokens, Wanted};
use perry::store::{OsDisk, Store};
use perry::watch::Hub;

/// As many watchers as a bench likes.
const LIMITS: Limits = Limits {
    body: 1 << 20,
    arrival: Duration::from_secs(10),
    streams: 10_000,
    connections: 10_000,
    stall: Duration::from_secs(30),
    login: Duration::from_secs(10),
};

/// Serves in the background of the present runtime: where, an admin's token, and its store.
pub(crate) async fn serve(folder: &Path) -> (SocketAddr, Secret, Arc<Store>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let config = Config { port: 0, ..Config::default() };
    let world = World::new(clock.clone(), Smooth);
    let store = Arc::new(Store::open(folder, Box::new(|_, new| Ok(new)), clock.clone()).expect("a store"));
    let hub = Hub::new("boot", perry::watch::Limits::default()).expect("a plain word");
    let settings = plan::Settings { agent: "bench".to_owned(), config: config.clone(), executable: "hash".to_owned() };
    let controller = Controller::new(perry::controller::Parts {
        intent: store.clone(),
        runtime: Arc::new(world.runtime("bench", "hash")),
        clock: clock.clone(),
        hub: hub.clone(),
        settings,
        doubt: Duration::ZERO,
        seed: 1,
    });
    let shutdown = Shutdown::new();
    let disk = OsDisk::new(folder);
    let tokens = Arc::new(Tokens::open(Box::new(disk.clone()), clock.clone()).expect("none yet"));
    let name = "admin".parse().expect("a name");
    let wanted = Wanted { name, role: Role::Admin, workspaces: None, allow_host: false, expires_in: None };
    let (token, _) = tokens.create(wanted).expect("made");
    let api = Api::new(Parts {
        store: store.clone(),
        hub,
        controller: controller.clone(),
        attach: Arc::new(NoDoor),
        sessions: perry::sessions::Sessions::open(&folder.join("sessions.db")).expect("an index"),
        config: Arc::new(LiveConfig::new(config.clone())),
        identity: Identity {
            id: "bench".to_owned(),
            hostname: "bench".to_owned(),
            started: clock.wall(),
            urls: Vec::new(),
        },
        clock: clock.clone(),
        shutdown: shutdown.clone(),
        tokens: tokens.clone(),
        disk: Arc::new(Mutex::new(Box::new(disk))),
    });
    let listening = api::listen(&config).await.expect("a free port");
    let address = listening.addresses()[0];
    let api = Arc::new(api);
    let router = api::router(Door {
        terminals: api.clone(),
        service: Arc::new(Table(api)),
        guard: Guard::new("bench", "bench", listening.addresses(), &[]).expect("good origins"),
        auth: Auth::new(tokens, clock.clone()),
        records: Arc::new(Audit::new(folder)),
        clock,
        metrics: Arc::default(),
        limits: LIMITS,
        shutdown: shutdown.clone(),
    });
    tokio::spawn(controller.run());
    tokio::spawn(api::serve(listening, router, LIMITS, shutdown));
    (address, token, store)
}

/// Serves for as long as the process lives, where its arguments say so; else returns.
pub(crate) fn serve_if_told() {
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "serve") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (address, token, _store) = serve(Path::new(&args[at + 1])).await;
        println!("{address} {}", token.0);
        std::future::pending::<()>().await;
    });
}

/// Such an agent in a process of its own; it ends when dropped.
pub(crate) struct Agent {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) client: Client,
    /// An admin's.
    pub(crate) token: String,
}

impl Agent {
    /// One with so many workspaces, all of them running.
    pub(crate) async fn with(workspaces: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = std::env::current_exe().expect("its path");
        let mut child =
            Command::new(own).arg("serve").arg(folder.path()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        let (address, token) = line.trim().split_once(' ').expect("address and token");
        let client_json = serde_json::json!({"worker": address, "tokens": {address: token}});
        std::fs::write(folder.path().join("client.json"), client_json.to_string()).expect("written");
        let client = Client::new(address).with_token(Secret(token.to_owned()));
        let agent = Self { child, folder, client, token: token.to_owned() };
        agent.fill(workspaces).await;
        agent
    }

    async fn fill(&self, workspaces: usize) {
        let manifest: Vec<String> = (0..workspaces).map(|n| super::manifest(&format!("w{n:03}"), "")).collect();
        let input = ApplyInput { manifest: Some(manifest.join("---\n")), ..ApplyInput::default() };
        self.client.apply_workspaces(&input).await.expect("applied");
        let running = async || {
            let listing = self.client.list_rows().await.expect("listed");
            listing.rows().expect("rows").iter().filter(|row| row.status == Phase::Running).count()
        };
        while running().await != workspaces {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// CPU time of its process so far.
    pub(crate) fn cpu(&self) -> Duration {
        /// Of the two fields, which the kernel counts in hundredths of a second.
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        // utime and stime are fields 14 and 15; the third comes first here.
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u32>().expect("a count")).sum();
        TICK * ticks
    }

    /// Resident memory of its process, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a count");
        kib / 1024.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// There is nothing inside of a fake container.
struct NoDoor;

#[async_trait]
impl Attach for NoDoor {
    async fn dial(&self, _: &Uid) -> Result<Box<dyn Duplex>, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn terminals(
        &self,
        _: &Uid,
        _: perry::contract::terminals::TerminalRequest,
    ) -> Result<Box<dyn Duplex>, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn logs(&self, _: &Uid, _: LogsWanted) -> Result<LogLines, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn sessions(&self, _: &Uid) -> Result<SessionChanges, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn messages(&self, _: &Uid, _: &MessagesAsked) -> Result<Vec<Message>, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn usage(&self, _: &Uid) -> Result<Measured, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn exec(&self, _: &Uid, _: ExecRequest) -> Result<ExecResponse, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }
}
