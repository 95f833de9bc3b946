//! An agent: the real binary as a process, with a folder, an id, names and ports of its own.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use perry::client::{Client, Goal, Progress, Wait};
use perry::contract::types::{ApplyInput, NameInput};
use perry::contract::{WatchFrame, WatchKind};
use perry::model::files::{AGENT_ID, AGENT_LOCK, AgentLock, CLIENT, ClientConfig};
use perry::model::{ConditionType, Name, Secret, Shown, View};
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::engine::Engine;

/// Host ports of each agent: for ssh and for published ports.
const PORTS: (u16, u16) = (40, 10);
/// Below the ports that the kernel gives out by itself, and off Perry's defaults.
const FIRST_PORT: u16 = 12_000;

/// The program: the release binary where `make test` built one, else the one of this build.
fn program() -> PathBuf {
    std::env::var_os("PERRY_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_perry")), PathBuf::from)
}

/// What the agent of a folder has the command line say who it is.
fn token(folder: &Path) -> Secret {
    let text = std::fs::read(folder.join(CLIENT)).expect("the agent wrote it before it listened");
    let client: ClientConfig = serde_json::from_slice(&text).expect("JSON");
    let id = std::fs::read_to_string(folder.join(AGENT_ID)).expect("an id");
    client.tokens[id.trim()].clone()
}

/// What a command line printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The engine's, in the folder of a machine.
pub(crate) const SOCKET: &str = "docker.sock";

/// What agents differ in.
#[derive(Default)]
pub(crate) struct Options {
    /// The socket of the engine; left out: that of the environment.
    pub(crate) docker_host: Option<String>,
    /// An engine of the test's own has its socket there, and sees that folder as it is here. The agent's own folder is
    /// made in it, and what the agent makes on that engine goes with the engine.
    pub(crate) machine: Option<PathBuf>,
    /// Another program than the one that is tested.
    pub(crate) program: Option<PathBuf>,
    /// More of the agent's environment.
    pub(crate) env: Vec<(&'static str, PathBuf)>,
    /// More keys of `config.json`.
    pub(crate) settings: serde_json::Value,
}

impl Options {
    fn engine(&self, agent: &str) -> Engine {
        let engine = Engine::of_agent(agent);
        self.machine.iter().fold(engine, |engine, folder| engine.at(&folder.join(SOCKET)))
    }

    fn docker_host(&self) -> Option<String> {
        let own = self.machine.iter().map(|folder| format!("unix://{}", folder.join(SOCKET).display())).next();
        self.docker_host.clone().or(own)
    }
}

/// An agent with everything it makes, which goes when it is dropped.
pub(crate) struct Agent {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) engine: Engine,
    /// What comes before its workspaces' names on the engine.
    pub(crate) prefix: String,
    /// An image that has nothing but a shell.
    pub(crate) image: String,
    options: Options,
    process: Option<Child>,
    client: Client,
}

impl Agent {
    /// A new agent that runs, with an image for its workspaces.
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let place = options.machine.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::tempdir_in(place).expect("a folder");
        let unique = uuid::Uuid::new_v4().simple().to_string()[..10].to_owned();
        let first = free_ports();
        let published = first + PORTS.0;
        let mut config = serde_json::json!({
            "port": 0,
            "workspacePrefix": format!("e2e-{unique}-"),
            "sshPorts": format!("{first}-{}", published - 1),
            "publishedPorts": format!("{published}-{}", published + PORTS.1 - 1),
            "docker": { "network": format!("perry-e2e-{unique}") },
        });
        if let (Some(config), Some(more)) = (config.as_object_mut(), options.settings.as_object()) {
            config.extend(more.clone());
        }
        std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
        let image = format!("perry-test:e2e-{unique}");
        let engine = options.engine("nobody");
        engine.import_shell(&image).await;
        let mut agent = Self {
            folder,
            engine,
            prefix: format!("e2e-{unique}-"),
            image,
            options,
            process: None,
            client: Client::new("127.0.0.1:1"),
        };
        agent.resume().await;
        let id = std::fs::read_to_string(agent.folder.path().join(AGENT_ID)).expect("an id");
        agent.engine = agent.options.engine(id.trim());
        agent
    }

    /// Starts a process on the folder and waits until it listens.
    pub(crate) async fn resume(&mut self) {
        let began = Instant::now();
        let mut child = self.spawn();
        let id = child.id().expect("a process");
        loop {
            if let Some(address) = address(self.folder.path(), id) {
                self.client = Client::new(&address).with_token(token(self.folder.path()));
                self.process = Some(child);
                return;
            }
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "no agent: {ended:?}\n{}", self.log());
            // Nothing tells when a file in the folder has been written, short of what is tested.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Kills the process, and starts one of another version: the same program with another hash, as what follows the end of
    /// an ELF file is not looked at.
    pub(crate) async fn upgrade(&mut self) {
        self.sigkill().await;
        let newer = self.folder.path().join("newer");
        std::fs::copy(self.program(), &newer).expect("copied");
        File::options().append(true).open(&newer).and_then(|mut file| file.write_all(b"\n")).expect("written");
        self.options.program = Some(newer);
        self.resume().await;
    }

    fn program(&self) -> PathBuf {
        self.options.program.clone().unwrap_or_else(program)
    }

    /// Another agent process on this folder.
    pub(crate) fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = self.command(&["agent", "run"]);
        command.stderr(log).kill_on_drop(true).spawn().expect("the program starts")
    }

    /// A command line against this agent, without input.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(args).env("PERRY_CONFIG_DIR", self.folder.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        command.envs(self.options.docker_host().map(|host| ("DOCKER_HOST", host)));
        command
    }

    /// Starts a command line against this agent.
    pub(crate) fn begin(&self, args: &[&str], stdout: Stdio) -> Child {
        self.command(args).stdout(stdout).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("the program starts")
    }

    /// Runs a command line against this agent.
    pub(crate) async fn perry(&self, args: &[&str]) -> Said {
        let output = self.command(args).output().await.expect("the program runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The same for a command that must succeed; what it printed.
    pub(crate) async fn ok(&self, args: &[&str]) -> String {
        let said = self.perry(args).await;
        assert_eq!(said.code, Some(0), "perry {args:?}: {}\n{}", said.stderr, self.log());
        said.stdout
    }

    /// The same for a command that must end with this code; what it said on stderr.
    pub(crate) async fn fails(&self, code: i32, args: &[&str]) -> String {
        let said = self.perry(args).await;
        assert_eq!(said.code, Some(code), "perry {args:?}: {} {}\n{}", said.stdout, said.stderr, self.log());
        said.stderr
    }

    /// Ends the process at this very moment.
    pub(crate) async fn sigkill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.expect("killed");
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().expect("it runs");
        tokio::time::timeout(PATIENCE, process.wait()).await.expect("in time").expect("its status")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).expect("it runs")
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("e2e.log")
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// A manifest of a workspace on the tiny image, with these further lines of its spec.
    pub(crate) fn manifest(&self, name: &str, spec: &str) -> String {
        let header = format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: {name} }}\nspec:\n");
        let image = if spec.contains("image:") { String::new() } else { format!("  image: {}\n", self.image) };
        let more: String = spec.lines().map(|line| format!("  {}\n", line.trim())).collect();
        format!("{header}{image}  docker: false\n{more}")
    }

    /// Applies a workspace on the tiny image; its intent as stored.
    pub(crate) async fn apply(&self, name: &str, spec: &str) -> Arc<Shown> {
        let input = ApplyInput { manifest: Some(self.manifest(name, spec)), ..ApplyInput::default() };
        let output = self.client.apply_workspaces(&input).await.unwrap_or_else(|error| panic!("{error}"));
        output.results[0].workspace.clone().expect("a workspace")
    }

    /// Applies and waits until it can be used.
    pub(crate) async fn ready(&self, name: &str, spec: &str) -> Arc<Shown> {
        let view = self.apply(name, spec).await;
        self.reach(Wait::since(&view, Goal::Ready)).await.expect("a workspace")
    }

    /// Asks for deletion and waits for it.
    pub(crate) async fn delete(&self, name: &str) {
        self.client.delete_workspace(&of(name)).await.expect("accepted");
        self.reach(Wait::new(parse(name), Goal::Deleted)).await;
    }

    /// Waits as `perry wait` does, but also through a stall.
    pub(crate) async fn reach(&self, mut wait: Wait) -> Option<Arc<Shown>> {
        let mut watch = self.client.watch();
        let mut last = String::new();
        let reaching = async {
            loop {
                let frame = watch.next().await.expect("an agent");
                match wait.frame(&frame) {
                    Progress::Reached(view) => return view,
                    Progress::Gone(view) => panic!("{} was deleted meanwhile", view.name),
                    progress => last = format!("{progress:#?}"),
                }
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reaching).await;
        reached.unwrap_or_else(|_| panic!("never: {wait:?}\n{last}\n{}", self.log()))
    }

    /// Waits until what is seen of a workspace is so.
    pub(crate) async fn until(&self, name: &str, what: &str, holds: impl Fn(&View) -> bool) -> Arc<Shown> {
        let mut seen = self.watch(name).await;
        seen.until(self, what, holds).await
    }

    /// Watches a workspace from now on.
    pub(crate) async fn watch(&self, name: &str) -> Seen {
        let mut watch = self.client.watch();
        let mut seen = Vec::new();
        loop {
            let frame = watch.next().await.expect("an agent");
            if frame.kind == WatchKind::Bookmark {
                return Seen { watch, name: parse(name), first: seen };
            }
            seen.push(frame);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.start_kill().ok();
        }
        if self.options.machine.is_some() {
            return;
        }
        let id = std::fs::read_to_string(self.folder.path().join(AGENT_ID)).unwrap_or_default();
        let (image, failing) = (self.image.clone(), std::thread::panicking());
        // A runtime of its own, since this one may be ending.
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(Engine::of_agent(id.trim()).clean(Some(&image)))
        });
        let cleaned = cleaned.join().expect("no panic");
        assert!(failing || cleaned.is_ok(), "{cleaned:?}");
    }
}

/// A watch of one workspace.
pub(crate) struct Seen {
    watch: perry::client::Watch,
    name: Name,
    first: Vec<WatchFrame>,
}

impl Seen {
    /// The next that is seen of it; `None` when it is gone.
    pub(crate) async fn next(&mut self) -> Option<Arc<Shown>> {
        loop {
            let frame =
                if self.first.is_empty() { self.watch.next().await.expect("an agent") } else { self.first.remove(0) };
            let Some(view) = frame.workspace.filter(|view| view.name == self.name) else { continue };
            return (frame.kind != WatchKind::Deleted).then_some(view);
        }
    }

    pub(crate) async fn until(&mut self, agent: &Agent, what: &str, holds: impl Fn(&View) -> bool) -> Arc<Shown> {
        let mut last = None;
        let seeing = async {
            loop {
                if let Some(view) = self.next().await {
                    if holds(&view) {
                        return view;
                    }
                    last = Some(view);
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seeing).await;
        seen.unwrap_or_else(|_| panic!("never: {what}\n{last:#?}\n{}", agent.log()))
    }
}

/// Whether it can be used.
pub(crate) fn is_ready(view: &View) -> bool {
    view.is_true(ConditionType::Ready)
}

pub(crate) fn parse(name: &str) -> Name {
    name.parse().expect("a name")
}

pub(crate) fn of(name: &str) -> NameInput {
    NameInput { name: parse(name) }
}

/// Where the agent of that process listens, once it does.
fn address(folder: &Path, process: u32) -> Option<String> {
    let lock = AgentLock::parse(&std::fs::read(folder.join(AGENT_LOCK)).ok()?)?;
    lock.address.filter(|_| lock.pid == process)
}

/// A range of ports that nobody listens on and no other agent of this run has.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let size = PORTS.0 + PORTS.1;
    // Runs at the same time begin at different places.
    let offset = u16::try_from(std::process::id() % 8).expect("small") * size * 20;
    loop {
        let first = FIRST_PORT + (offset + NEXT.fetch_add(size, Ordering::Relaxed)) % 9_000;
        if (first..first + size).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}
