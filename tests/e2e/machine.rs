//! A machine with an engine of the test's own, which may be stopped, killed and cut from power: a container with a
//! Docker engine inside. Its processes, mounts, interfaces and rules are in the container and go with it; the engine of
//! the machine that runs the tests is not touched.

use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use bollard::Docker as Client;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::StreamExt as _;

use crate::agent::{Agent, Options, SOCKET};
use crate::engine::Engine;
use crate::{BASE, PATIENCE};

/// Every machine bears it, with the number of the process that made it.
const LABEL: &str = "perry.test.machine";
/// In seconds: where the tests are killed, their machines end by themselves, and the next run removes them.
const LIFE: &str = "1800";
const LOG: &str = "/var/log/dockerd.log";

/// How an engine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is asked to (SIGTERM) and stops its containers first.
    Asked,
    /// Between two instructions (SIGKILL). Its containers live on.
    Killed,
}

/// How agent and engine lie to each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lies {
    /// On one machine, as far as the agent can tell: workers are reached by sockets in a folder of the agent's.
    Together,
    /// On two: workers are reached through the engine.
    Apart,
}

/// The machine; it is removed when this is dropped.
pub(crate) struct Machine {
    /// Seen in the machine as it is here.
    folder: tempfile::TempDir,
    /// Where it runs.
    below: Engine,
    name: String,
}

impl Machine {
    /// A machine whose engine answers.
    pub(crate) async fn start(lies: Lies) -> Self {
        let below = Engine::labelled(LABEL.to_owned());
        sweep(&below).await;
        let name = format!("perry-e2e-machine-{}", uuid::Uuid::new_v4().simple());
        let folder = tempfile::tempdir().expect("a folder");
        let body = body(&name, lies, folder.path());
        // Before it is made, so that it goes whatever happens.
        let machine = Self { folder, below, name };
        let options = CreateContainerOptionsBuilder::new().name(&machine.name).build();
        let created = machine.below.client().create_container(Some(options), body).await;
        created.unwrap_or_else(|error| {
            panic!("{error}: this test needs an engine (scripts/engine.sh) and {BASE} (`make image`)")
        });
        machine.power_on().await;
        machine.engine_up().await;
        machine
    }

    /// An agent whose engine is this machine's.
    pub(crate) async fn agent(&self) -> Agent {
        let machine = Some(self.folder.path().to_owned());
        Agent::start_with(Options { machine, ..Options::default() }).await
    }

    /// Starts the engine and waits until it answers.
    pub(crate) async fn engine_up(&self) {
        let socket = self.folder.path().join(SOCKET);
        let group = nix::unistd::getgid();
        self.begin(&format!(
            "exec dockerd --host unix://{} --group {group} --bridge none >>{LOG} 2>&1",
            socket.display()
        ))
        .await;
        let began = Instant::now();
        while !answers(&socket).await {
            if began.elapsed() > PATIENCE {
                panic!("no engine in the machine:\n{}", self.sh(&format!("tail -n 30 {LOG}")).await.1);
            }
            // Nothing tells when a socket of somebody else's is there.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the engine and waits until it has ended.
    pub(crate) async fn engine_down(&self, end: End) {
        let signal = if end == End::Asked { "TERM" } else { "KILL" };
        let script = format!(
            "pid=$(cat /run/docker.pid) && kill -{signal} $pid && while [ -d /proc/$pid ]; do sleep 0.01; done"
        );
        self.ok(&script).await;
    }

    /// Every process of the machine ends at this moment: engine, containers and all.
    pub(crate) async fn power_off(&self) {
        self.below.client().kill_container(&self.name, None).await.expect("killed");
        let off = async {
            let mut waiting = self.below.client().wait_container(&self.name, None);
            // It ends with the exit code, an error for this client where it is not 0.
            while waiting.next().await.is_some() {}
        };
        tokio::time::timeout(PATIENCE, off).await.expect("in time");
    }

    /// It has its disk as it was. The engine is not started.
    pub(crate) async fn power_on(&self) {
        self.below.client().start_container(&self.name, None).await.expect("started");
    }

    /// Whether somebody listens on a port of the machine's loopback.
    pub(crate) async fn listens(&self, port: u16) -> bool {
        self.sh(&format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'")).await.0 == 0
    }

    async fn ok(&self, script: &str) -> String {
        let (code, said) = self.sh(script).await;
        assert_eq!(code, 0, "{script}: {said}");
        said
    }

    /// Runs a script in the machine; its exit code and what it said.
    async fn sh(&self, script: &str) -> (i64, String) {
        let exec = self.exec(script).await;
        let client = self.below.client();
        let StartExecResults::Attached { mut output, .. } = client.start_exec(&exec, None).await.expect("started")
        else {
            panic!("attached")
        };
        let mut said = String::new();
        let run = async {
            while let Some(part) = output.next().await {
                said.push_str(&part.expect("output").to_string());
            }
        };
        tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| panic!("never ends: {script}"));
        (client.inspect_exec(&exec).await.expect("inspected").exit_code.expect("it ended"), said)
    }

    /// Starts a script in the machine.
    async fn begin(&self, script: &str) {
        let exec = self.exec(script).await;
        let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.below.client().start_exec(&exec, Some(options)).await.expect("started");
    }

    async fn exec(&self, script: &str) -> String {
        let options = CreateExecOptions {
            cmd: Some(vec!["sh", "-c", script]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        self.below.client().create_exec(&self.name, options).await.expect("a machine that is on").id
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let (name, failing) = (self.name.clone(), std::thread::panicking());
        // A runtime of its own, since this one may be ending.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(remove(&Engine::labelled(LABEL.to_owned()), &name))
        });
        let removed = removing.join().expect("no panic");
        assert!(failing || removed.is_ok(), "{removed:?}");
    }
}

async fn answers(socket: &Path) -> bool {
    // The client refuses the name of a socket that is not there, and one that was left goes when the engine starts.
    match Client::connect_with_unix(&socket.to_string_lossy(), 120, bollard::API_DEFAULT_VERSION) {
        Ok(client) => client.ping().await.is_ok(),
        Err(_) => false,
    }
}

fn body(name: &str, lies: Lies, folder: &Path) -> ContainerCreateBody {
    let ours = nix::unistd::gethostname().expect("a name").into_string().expect("text");
    let folder = folder.to_str().expect("text");
    ContainerCreateBody {
        image: Some(BASE.to_owned()),
        entrypoint: Some(vec!["sleep".to_owned(), LIFE.to_owned()]),
        // By its name an agent knows whether the engine is on its own machine.
        hostname: Some(match lies {
            Lies::Together => ours,
            Lies::Apart => name[name.len() - 12..].to_owned(),
        }),
        labels: Some([(LABEL.to_owned(), std::process::id().to_string())].into()),
        // The engine's store cannot be in an overlay.
        volumes: Some(vec!["/var/lib/docker".to_owned()]),
        host_config: Some(HostConfig {
            privileged: Some(true),
            // What reaps.
            init: Some(true),
            binds: Some(vec![format!("{folder}:{folder}")]),
            // What a machine forgets when it is cut from power: pid files for one.
            tmpfs: Some([("/run".to_owned(), String::new())].into()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

async fn remove(engine: &Engine, name: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    engine.client().remove_container(name, Some(options)).await
}

/// Removes the machines of test runs that were killed.
async fn sweep(engine: &Engine) {
    static ONCE: Once = Once::new();
    let mut first = false;
    ONCE.call_once(|| first = true);
    if !first {
        return;
    }
    for one in engine.containers().await {
        let (id, labels) = (one.id.expect("an id"), one.labels.unwrap_or_default());
        if labels.get(LABEL).is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Another run may sweep at the same time.
            remove(engine, &id).await.ok();
        }
    }
}
