//! An agent that is real but for its engine: store on a disk, loop, API. In this process, or in one of its own, which is
//! the bench's own executable with `serve FOLDER` as arguments.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use perry::api::{self, Api, Guard, Identity, Limits, Parts, Shutdown};
use perry::client::Client;
use perry::clock::{Clock, SystemClock};
use perry::contract::ApplyInput;
use perry::contract::usage::Measured;
use perry::contract::worker::{ExecRequest, ExecResponse};
use perry::controller::Controller;
use perry::model::{Config, LiveConfig, Phase, Uid};
use perry::plan;
use perry::runtime::fake::{Smooth, World};
use perry::runtime::{Attach, Duplex, LogLines, LogsWanted, RuntimeError};
use perry::store::Store;
use perry::watch::Hub;

/// Serves in the background of the present runtime: where, and its store.
pub(crate) async fn serve(folder: &Path) -> (SocketAddr, Arc<Store>) {
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
    let api = Api::new(Parts {
        store: store.clone(),
        hub,
        controller: controller.clone(),
        attach: Arc::new(NoDoor),
        config: Arc::new(LiveConfig::new(config.clone())),
        identity: Identity { id: "bench".to_owned(), hostname: "bench".to_owned(), started: clock.wall() },
        clock,
        shutdown: shutdown.clone(),
    });
    let listening = api::listen(&config).await.expect("a free port");
    let address = listening.addresses()[0];
    let guard = Guard::new("bench", listening.addresses(), &[]).expect("good origins");
    let router = api::router(Arc::new(api), guard, Limits::default(), shutdown.clone());
    tokio::spawn(controller.run());
    tokio::spawn(api::serve(listening, router, Limits::default(), shutdown));
    (address, store)
}

/// Serves for as long as the process lives, where its arguments say so; else returns.
pub(crate) fn serve_if_told() {
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "serve") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (address, _store) = serve(Path::new(&args[at + 1])).await;
        println!("{address}");
        std::future::pending::<()>().await;
    });
}

/// Such an agent in a process of its own; it ends when dropped.
pub(crate) struct Agent {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) client: Client,
}

impl Agent {
    /// One with so many workspaces, all of them running.
    pub(crate) async fn with(workspaces: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = std::env::current_exe().expect("its path");
        let mut child =
            Command::new(own).arg("serve").arg(folder.path()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut address).expect("its address");
        let client_json = serde_json::json!({"worker": address.trim()});
        std::fs::write(folder.path().join("client.json"), client_json.to_string()).expect("written");
        let agent = Self { child, folder, client: Client::new(address.trim()) };
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

    async fn logs(&self, _: &Uid, _: LogsWanted) -> Result<LogLines, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn usage(&self, _: &Uid) -> Result<Measured, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }

    async fn exec(&self, _: &Uid, _: ExecRequest) -> Result<ExecResponse, RuntimeError> {
        Err(RuntimeError::Failed("the engine is a fake".to_owned()))
    }
}
