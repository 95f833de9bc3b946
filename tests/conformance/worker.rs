//! The real worker in a real container that has nothing but a shell, reached by its link.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use perry::contract::worker::ExecRequest;
use perry::model::observed::{Seen, Service, WorkerSeen};
use perry::model::{Action, Uid};
use perry::runtime::docker::{Docker, Host};
use perry::runtime::executable::Executable;
use perry::runtime::{Attach as _, Duplex, Hint, Runtime as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::docker::DockerWorld;
use super::world::{Subject, stop};

const PATIENCE: Duration = Duration::from_secs(60);

fn perry() -> Executable {
    Executable::read(Path::new(env!("CARGO_BIN_EXE_perry"))).expect("the program")
}

/// The same program with another hash: what follows the end of an ELF file is not looked at.
fn newer() -> Executable {
    let mut bytes = perry().bytes().to_vec();
    bytes.push(0);
    Executable::from(bytes)
}

fn command(words: &[&str]) -> ExecRequest {
    ExecRequest { command: words.iter().map(|word| (*word).to_owned()).collect(), timeout: Some(30) }
}

/// Looks until the worker says this.
async fn until(docker: &Docker, subject: &Subject<'_>, wanted: impl Fn(&WorkerSeen) -> bool) -> WorkerSeen {
    let looking = async {
        loop {
            match docker.observe(&subject.desired).await.worker {
                Seen::Present(worker) if wanted(&worker) => return worker,
                Seen::Unknown(why) => panic!("nobody could look: {why}"),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("the worker")
}

#[tokio::test]
async fn a_worker_is_seen_soon_after_the_start_and_runs_commands() {
    let world = DockerWorld::with(perry()).await;
    let subject = Subject::new(&world, "demo");
    let mut events = world.docker().events();
    subject.started().await;
    let worker = until(world.docker(), &subject, |_| true).await;
    assert_eq!(worker.executable, perry().hash());
    assert_eq!(worker.config, subject.desired.worker.hash);
    assert_eq!(worker.ssh, Service::NotInImage);
    let uid = &subject.desired.owner.uid;
    let answer = world.docker().exec(uid, command(&["sh", "-c", "echo out; echo err >&2; exit 3"])).await.expect("run");
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str(), answer.exit_code), ("out\n", "err\n", 3));
    world.docker().dial(uid).await.expect("a connection of one's own");
    let mine = Hint::Workspace(subject.desired.owner.name.clone());
    let hint = async { while events.next().await.expect("a hint") != mine {} };
    tokio::time::timeout(PATIENCE, hint).await.expect("a hint");
}

#[tokio::test]
async fn a_worker_takes_another_configuration_and_is_replaced_while_it_runs() {
    let world = DockerWorld::with(perry()).await;
    let mut subject = Subject::new(&world, "demo");
    let id = subject.started().await;
    until(world.docker(), &subject, |worker| worker.config == "h").await;
    subject.desired.worker.hash = "h-2".to_owned();
    let (owner, worker) = (subject.desired.owner.clone(), subject.desired.worker.clone());
    subject.done(Action::ConfigureWorker { id: id.clone(), owner, worker }).await;
    until(world.docker(), &subject, |worker| worker.config == "h-2").await;

    let started = subject.container().await.started_at;
    let upgraded = world.another(None, newer());
    until(&upgraded, &subject, |worker| worker.executable == perry().hash()).await;
    upgraded.apply(&subject.install(&id), &|_| ()).await.expect("installed");
    until(&upgraded, &subject, |worker| worker.executable == newer().hash() && worker.config == "h-2").await;
    let now = subject.container().await;
    assert_eq!(now.started_at, started, "the container runs on");
    assert_eq!(now.prepared.expect("prepared").worker, newer().hash());
}

#[tokio::test]
async fn a_stopped_workspace_has_no_worker_and_runs_nothing() {
    let world = DockerWorld::with(perry()).await;
    let subject = Subject::new(&world, "demo");
    let id = subject.started().await;
    until(world.docker(), &subject, |_| true).await;
    subject.done(stop(&id)).await;
    assert_eq!(subject.look().await.worker, Seen::Absent);
    world.docker().exec(&subject.desired.owner.uid, command(&["true"])).await.expect_err("not running");
    world.docker().exec(&Uid("nobody".to_owned()), command(&["true"])).await.expect_err("unknown");
    subject.done(subject.start(&id)).await;
    until(world.docker(), &subject, |_| true).await;
    world.docker().exec(&subject.desired.owner.uid, command(&["true"])).await.expect("run");
}

/// An engine behind a port is taken for a remote one: there is no socket to share, so everything goes through the engine.
#[tokio::test]
async fn the_worker_of_a_remote_engine_is_reached_through_the_engine() {
    let world = DockerWorld::with(perry()).await;
    let subject = Subject::new(&world, "demo");
    let remote = world.another(Some(forwarded().await), perry());
    let apply =
        async |action: Action| remote.apply(&action, &|_| ()).await.unwrap_or_else(|error| panic!("{action}: {error}"));
    apply(subject.create_network()).await;
    apply(subject.create_volume(0)).await;
    apply(subject.create_volume(1)).await;
    apply(subject.create_container()).await;
    let id = subject.container().await.id;
    apply(subject.install(&id)).await;
    apply(subject.start(&id)).await;
    until(&remote, &subject, |worker| worker.executable == perry().hash()).await;
    let answer = remote.exec(&subject.desired.owner.uid, command(&["sh", "-c", "echo $0 remote"])).await.expect("run");
    assert_eq!(answer.stdout, "sh remote\n");
    for _ in 0..6 {
        greeted(remote.dial(&subject.desired.owner.uid).await.expect("a connection")).await;
    }
    let found = world.client().inspect_container(&id, None).await.expect("inspected");
    let mounts = found.mounts.unwrap_or_default();
    assert!(mounts.iter().all(|mount| mount.destination.as_deref() != Some("/run/perry")), "no folder of this machine");
}

/// Sends what an HTTP/2 client begins with, and waits for the server's first bytes.
async fn greeted(mut stream: Box<dyn Duplex>) {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    let mut first = [0; 9];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut first)).await;
    read.expect("an answer in time").expect("an answer");
    assert_eq!(first[3], 4, "a SETTINGS frame");
}

/// A port of this machine that leads to the engine's socket.
async fn forwarded() -> Host {
    let Host::Unix(socket) = Host::from_environment(None).expect("a host") else { panic!("an engine on a socket") };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut engine = UnixStream::connect(socket).await.expect("the engine");
                // Either side may end it.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
            });
        }
    });
    Host::Tcp(address.to_string())
}
