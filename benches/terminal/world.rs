//! A workspace, and every way into it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use perry::model::{ConditionType, Name};

use crate::common::agent::{Agent, Watcher};
use crate::common::manifest;
use crate::cpu::Servers;
use crate::line::{Exec, Line, Local, Node, Perry};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Perry,
    Exec,
    DockerCli,
    Ssh,
    Node,
}

/// In the order in which they are asked.
pub(crate) const PEERS: [Peer; 5] = [Peer::Perry, Peer::Exec, Peer::DockerCli, Peer::Ssh, Peer::Node];
pub(crate) const PERRY: usize = 0;
pub(crate) const EXEC: usize = 1;

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Perry => "perry",
            Self::Exec => "the engine's exec stream",
            Self::DockerCli => "docker exec -it",
            Self::Ssh => "ssh",
            Self::Node => "node-pty + ws",
        }
    }

    pub(crate) fn servers(self) -> Servers {
        const ENGINE: [&str; 2] = ["dockerd", "containerd"];
        Servers(match self {
            Self::Perry => &["perry agent run", "worker terminals"],
            Self::Exec => &ENGINE,
            Self::DockerCli => &["dockerd", "containerd", "docker exec"],
            Self::Ssh => &["sshd", "docker-proxy"],
            Self::Node => &["dockerd", "containerd", "docker exec", "server.mjs"],
        })
    }
}

pub(crate) struct World {
    pub(crate) agent: Agent,
    pub(crate) name: Name,
    container: String,
    keys: tempfile::TempDir,
    ssh: u16,
    node: Child,
    node_port: u16,
}

impl World {
    pub(crate) async fn start() -> Self {
        let keys = tempfile::tempdir().expect("a folder");
        let key = keys.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen runs").success());
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
        let agent = Agent::start("31200-31299");
        let name: Name = "bench".parse().expect("a name");
        agent.apply(&manifest("bench", &format!("ssh: {{ authorizedKeys: [ {:?} ] }}", public.trim()))).await;
        let mut watcher = Watcher::new(&agent.client);
        let view = watcher.until(&name, |view| view.is_true(ConditionType::Ready)).await;
        let (node, node_port) = node();
        let container = container(&agent.id);
        Self { agent, name, container, keys, ssh: view.ports["ssh"], node, node_port }
    }

    /// A terminal of a peer's with a program.
    pub(crate) async fn open(&self, peer: Peer, command: &[&str]) -> Box<dyn Line> {
        match peer {
            Peer::Perry => Box::new(self.perry(&random(), command).await),
            Peer::Exec => Box::new(Exec::open(&self.container, command).await),
            Peer::DockerCli => Box::new(Local::open(&self.docker(command))),
            Peer::Ssh => Box::new(Local::open(&self.ssh(command))),
            Peer::Node => Box::new(Node::open(self.node_port, &self.docker(command)).await),
        }
    }

    pub(crate) async fn perry(&self, terminal: &str, command: &[&str]) -> Perry {
        Perry::open(&self.agent.client, &self.name, terminal, command).await
    }

    fn docker(&self, command: &[&str]) -> Vec<String> {
        let exec = ["docker", "exec", "-it", "-u", "workspace", &self.container];
        exec.iter().chain(command).map(|word| (*word).to_owned()).collect()
    }

    fn ssh(&self, command: &[&str]) -> Vec<String> {
        let quoted: Vec<String> = command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        let key = self.keys.path().join("key").display().to_string();
        let port = self.ssh.to_string();
        let hosts = "UserKnownHostsFile=/dev/null";
        let options =
            ["-F", "/dev/null", "-tt", "-q", "-o", "StrictHostKeyChecking=no", "-o", hosts, "-i", &key, "-p", &port];
        let words = ["ssh"].into_iter().chain(options).chain(["workspace@127.0.0.1"]).map(str::to_owned);
        words.chain([quoted.join(" ")]).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.node.kill().ok();
        self.node.wait().ok();
    }
}

pub(crate) fn random() -> String {
    format!("t-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

/// The only container of an agent.
fn container(agent: &str) -> String {
    let filter = format!("label={}={agent}", perry::runtime::docker::labels::AGENT);
    let found = Command::new("docker").args(["ps", "-q", "--filter", &filter]).output().expect("docker runs");
    String::from_utf8(found.stdout).expect("text").trim().to_owned()
}

fn node() -> (Child, u16) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/node-pty");
    if !folder.join("node_modules").is_dir() {
        let installed = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&folder).status();
        assert!(installed.expect("npm runs").success());
    }
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(folder).stdout(Stdio::piped());
    let mut child = command.spawn().expect("node runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    (child, line.trim().parse().expect("a port"))
}
