//! The worker's protocol against `serve` on a real socket, with a PID 1 played by the test.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod worker_client;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use perry::contract::worker::Bootstrap;
use perry::model::desired::WorkerPlan;
use perry::model::observed::Service;
use perry::worker::bootstrap;
use perry::worker::link::{Request, Status};
use perry::worker::serve::{Places, serve};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker_client::{Client, PATIENCE, exec_body};

const SECRET: &str = "a secret of the workspace";

/// A `serve` with the PID 1 that it knows.
struct World {
    folder: TempDir,
    /// What PID 1 says; closed = PID 1 is gone.
    status: Option<mpsc::UnboundedSender<Status>>,
    requests: mpsc::UnboundedReceiver<Request>,
    serving: JoinHandle<Result<(), perry::worker::WorkerError>>,
}

fn plan(hash: &str) -> WorkerPlan {
    WorkerPlan {
        authorized_keys: vec!["ssh-ed25519 AAAA me".into()],
        docker: true,
        hash: hash.into(),
        ..WorkerPlan::default()
    }
}

fn status(config: &str, docker: Service) -> Status {
    Status { executable: "e".into(), config: config.into(), ssh: Service::NotInImage, docker, tasks: Vec::new() }
}

/// Tells what the test tells, and follows plans as PID 1 does.
async fn play_pid_one(
    stream: DuplexStream,
    mut told: mpsc::UnboundedReceiver<Status>,
    requests: mpsc::UnboundedSender<Request>,
    bootstrap: PathBuf,
) {
    let (from_serve, mut to_serve) = tokio::io::split(stream);
    let mut lines = BufReader::new(from_serve).lines();
    loop {
        let status = tokio::select! {
            status = told.recv() => match status { Some(status) => status, None => return },
            line = lines.next_line() => {
                let Some(request) = line.ok().flatten().and_then(|line| Request::parse(&line)) else { return };
                let _ = requests.send(request);
                if request != Request::Configure { continue }
                // Long enough for an answer that does not wait for this to be caught.
                tokio::time::sleep(Duration::from_millis(100)).await;
                status(&bootstrap::read(&bootstrap).unwrap().plan.hash, Service::Off)
            }
        };
        let line = serde_json::to_string(&status).unwrap() + "\n";
        if to_serve.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // What another `serve` left behind.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("worker.sock")).unwrap());
        let places = Places {
            socket: folder.path().join("worker.sock"),
            bootstrap: folder.path().join("bootstrap.json"),
            authorized_keys: folder.path().join("authorized_keys"),
            executable: folder.path().join("perry"),
            files_hash: folder.path().join("files"),
            root: folder.path().join("root"),
            logs: folder.path().join("logs"),
            own: env!("CARGO_BIN_EXE_perry").into(),
        };
        let content = Bootstrap {
            uid: "u".into(),
            name: "n".into(),
            secret: SECRET.into(),
            executable: "e".into(),
            plan: plan("h1"),
        };
        bootstrap::write(&places.bootstrap, &content).unwrap();
        let (serve_end, init_end) = tokio::io::duplex(64 << 10);
        let (from_init, to_init) = tokio::io::split(serve_end);
        let (status_in, told) = mpsc::unbounded_channel();
        let (requests_in, mut requests) = mpsc::unbounded_channel();
        status_in.send(status("h1", Service::Starting)).unwrap();
        tokio::spawn(play_pid_one(init_end, told, requests_in, places.bootstrap.clone()));
        let serving = tokio::spawn(serve(places, from_init, to_init));
        assert_eq!(tokio::time::timeout(PATIENCE, requests.recv()).await.unwrap(), Some(Request::Ready));
        Self { folder, status: Some(status_in), requests, serving }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path("worker.sock"), Some(SECRET)).await.unwrap()
    }

    fn tell(&self, status: Status) {
        self.status.as_ref().unwrap().send(status).unwrap();
    }
}

/// Waits for something that needs a moment.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers of processes with that word among their arguments.
fn running(word: &str) -> usize {
    let word = format!("\0{word}\0");
    let mut count = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        count += usize::from(line.windows(word.len()).any(|window| window == word.as_bytes()));
    }
    count
}

/// A word that no other process has among its arguments: a number of seconds to sleep.
fn unique_seconds() -> String {
    format!("{}.{}", 100_000 + std::process::id(), rand::random::<u32>())
}

#[tokio::test]
async fn nothing_is_answered_without_the_secret() {
    let world = World::new().await;
    let socket = world.path("worker.sock");
    let longer = format!("{SECRET}x");
    for secret in [None, Some(""), Some("wrong"), Some(&SECRET[1..]), Some(&longer)] {
        let client = Client::connect(&socket, secret).await.unwrap();
        for (method, path) in [
            ("GET", "/v1/health"),
            ("GET", "/v1/watch"),
            ("PUT", "/v1/config"),
            ("POST", "/v1/exec"),
            ("POST", "/v1/reload"),
            ("GET", "/nowhere"),
        ] {
            let (status, body) = client.ask(method, path, exec_body(&["true"], None)).await;
            assert_eq!(status, 401, "{method} {path} with {secret:?}: {body}");
            assert!(!body.contains(SECRET));
        }
    }
}

#[tokio::test]
async fn only_the_owner_may_connect_and_a_stale_socket_is_replaced() {
    let world = World::new().await;
    let mode = fs::metadata(world.path("worker.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(world.client().await.health().await.config, "h1");
}

#[tokio::test]
async fn health_says_what_pid_one_said_last() {
    let world = World::new().await;
    let client = world.client().await;
    let health = client.health().await;
    assert_eq!((health.version.as_str(), health.executable.as_str()), (env!("CARGO_PKG_VERSION"), "e"));
    assert_eq!((health.ssh, health.docker), (Service::NotInImage, Service::Starting));
    let (status, _) = client.ask("GET", "/v1/nothing", Vec::new()).await;
    assert_eq!(status, 404);
    let (status, _) = client.ask("POST", "/v1/health", Vec::new()).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn a_watcher_hears_the_state_at_once_and_each_last_change() {
    let world = World::new().await;
    let client = world.client().await;
    let (code, mut lines) = client.watch().await;
    assert_eq!(code, 200);
    assert_eq!(lines.next().await.unwrap().docker, Service::Starting);
    let failed = Service::Failed { message: "two\nlines".into() };
    for docker in [Service::Running, failed, Service::Off] {
        world.tell(status("h1", docker.clone()));
        assert_eq!(lines.next().await.unwrap().docker, docker);
    }
    // One that has not read meanwhile hears the last, whatever was in between.
    let (_, mut late) = client.watch().await;
    for round in 0..1000 {
        world.tell(status(&format!("r{round}"), Service::Off));
    }
    while late.next().await.unwrap().config != "r999" {}
}

#[tokio::test]
async fn watchers_are_limited_and_make_room_when_they_leave() {
    let world = World::new().await;
    let client = world.client().await;
    let mut watches = Vec::new();
    for _ in 0..64 {
        let (code, lines) = client.watch().await;
        assert_eq!(code, 200);
        watches.push(lines);
    }
    assert_eq!(client.watch().await.0, 429);
    watches.truncate(63);
    let began = Instant::now();
    while client.watch().await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "no room is made");
    }
}

#[tokio::test]
async fn a_plan_is_answered_once_it_is_followed_and_is_kept() {
    let mut world = World::new().await;
    let client = world.client().await;
    let new =
        WorkerPlan { authorized_keys: vec!["ssh-rsa BBBB you".into()], hash: "h2".into(), ..WorkerPlan::default() };
    let (code, body) = client.ask("PUT", "/v1/config", serde_json::to_vec(&new).unwrap()).await;
    assert_eq!((code, body.as_str()), (204, ""));
    let health = client.health().await;
    assert_eq!((health.config.as_str(), health.docker), ("h2", Service::Off));
    assert_eq!(world.requests.recv().await, Some(Request::Configure));
    assert_eq!(fs::read_to_string(world.path("authorized_keys")).unwrap(), "ssh-rsa BBBB you\n");
    let kept = bootstrap::read(&world.path("bootstrap.json")).unwrap();
    assert_eq!((kept.plan, kept.secret.as_str()), (new, SECRET));
}

#[tokio::test]
async fn a_wrong_plan_is_refused_by_field_and_changes_nothing() {
    let mut world = World::new().await;
    let client = world.client().await;
    let smuggled = WorkerPlan { authorized_keys: vec!["ssh-rsa A\nssh-rsa B".into()], ..plan("h2") };
    for (body, code, word) in [
        (b"{".to_vec(), 400, "EOF"),
        (br#"{"authorizedKeys":[],"docker":true}"#.to_vec(), 400, "hash"),
        (br#"{"authorizedKeys":[],"docker":"yes","hash":"h"}"#.to_vec(), 400, "boolean"),
        (serde_json::to_vec(&smuggled).unwrap(), 400, "authorizedKeys[0]"),
        (vec![b' '; (1 << 20) + 1], 413, ""),
    ] {
        let (status, text) = client.ask("PUT", "/v1/config", body).await;
        assert_eq!(status, code, "{text}");
        assert!(text.contains(word), "{text:?} does not name {word}");
    }
    assert_eq!(bootstrap::read(&world.path("bootstrap.json")).unwrap().plan, plan("h1"));
    assert!(!world.path("authorized_keys").exists());
    assert!(world.requests.try_recv().is_err(), "PID 1 was bothered");
}

#[tokio::test]
async fn a_command_answers_with_its_output_and_its_code() {
    let world = World::new().await;
    let client = world.client().await;
    let done = client.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"], None).await;
    assert_eq!((done.stdout.as_str(), done.stderr.as_str(), done.exit_code), ("out\n", "err\n", 3));
    assert!(!done.truncated);
    assert_eq!(client.exec(&["sh", "-c", "kill -9 $$"], None).await.exit_code, 137);
    assert_eq!(client.exec(&["sh", "-c", "kill -15 $$"], Some(9)).await.exit_code, 143);
    assert_eq!(client.exec(&["printf", r"\377a"], None).await.stdout, "\u{fffd}a");
    assert_eq!(client.exec(&["echo", "--", "-x"], None).await.stdout, "-- -x\n", "arguments are passed as they are");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let world = World::new().await;
    let client = world.client().await;
    let done = client.exec(&["no-such-program", "x"], None).await;
    assert_eq!((done.exit_code, done.stderr.as_str()), (127, "perry: no-such-program: not found\n"));
    let done = client.exec(&["/etc/passwd"], None).await;
    assert_eq!((done.exit_code, done.stderr.as_str()), (126, "perry: /etc/passwd: not executable\n"));
    for body in [exec_body(&[], None), exec_body(&[""], None), b"{}".to_vec(), exec_body(&["a\0"], None)] {
        let (code, text) = client.ask("POST", "/v1/exec", body).await;
        assert_eq!(code, 400, "{text}");
        assert!(text.contains("command"), "{text}");
    }
}

#[tokio::test]
async fn a_command_runs_in_its_users_home_without_input() {
    let world = World::new().await;
    let client = world.client().await;
    assert_eq!(client.exec(&["cat"], Some(20)).await.exit_code, 0, "its input is at its end");
    let done =
        client.exec(&["sh", "-c", r#"[ "$PWD" = "$HOME" ] && [ "$USER" = "$(id -un)" ] && echo "$SHELL""#], None).await;
    assert!(done.stdout.starts_with('/'), "{done:?}");
}

#[tokio::test]
async fn a_timeout_kills_the_command_and_its_children() {
    let world = World::new().await;
    let client = world.client().await;
    let seconds = unique_seconds();
    let script = format!("echo before; sleep {seconds} & sleep {seconds}; echo after");
    let done = client.exec(&["sh", "-c", &script], Some(1)).await;
    assert_eq!((done.exit_code, done.stdout.as_str()), (124, "before\n"));
    until("the children are gone", || running(&seconds) == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_command_along() {
    let world = World::new().await;
    for whole_connection in [false, true] {
        let client = world.client().await;
        let seconds = unique_seconds();
        let script = format!("sleep {seconds} & sleep {seconds}");
        let asker = client.clone();
        let asked = tokio::spawn(async move { asker.exec(&["sh", "-c", &script], None).await });
        until("both sleep", || running(&seconds) == 2).await;
        asked.abort();
        if whole_connection {
            drop(client);
            until("its children are gone", || running(&seconds) == 0).await;
        } else {
            until("its children are gone", || running(&seconds) == 0).await;
            assert_eq!(client.health().await.config, "h1", "the connection goes on");
        }
    }
}

#[tokio::test]
async fn a_flood_of_output_is_read_to_its_end_and_cut() {
    let world = World::new().await;
    let client = world.client().await;
    let done = client.exec(&["sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' y; echo end >&2"], Some(60)).await;
    assert_eq!((done.exit_code, done.stdout.len(), done.truncated), (0, 1 << 20, true));
    assert_eq!(done.stderr, "end\n", "it did not block");
    let done = client.exec(&["sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' y"], None).await;
    assert_eq!((done.stdout.len(), done.truncated), (1 << 20, false));
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_does_not_hold_up_its_answer_and_goes_on() {
    let world = World::new().await;
    let client = world.client().await;
    let proof = world.path("proof");
    let gate = world.path("gate");
    let script = format!(
        "(while [ ! -e {gate} ]; do sleep 0.01; done; echo more && echo more >{proof}) & echo started",
        gate = gate.display(),
        proof = proof.display()
    );
    let done = client.exec(&["sh", "-c", &script], Some(20)).await;
    assert_eq!((done.stdout.as_str(), done.exit_code), ("started\n", 0));
    fs::write(&gate, "").unwrap();
    until("it could write on", || proof.exists()).await;
}

#[tokio::test]
async fn commands_run_at_the_same_time_up_to_a_limit() {
    let world = World::new().await;
    let client = world.client().await;
    let gate = world.path("gate");
    let script =
        format!("echo $0 >>{gate}.in; while [ ! -e {gate} ]; do sleep 0.05; done; echo $0", gate = gate.display());
    let mut asked = Vec::new();
    for n in 0..64 {
        let (client, script) = (client.clone(), script.clone());
        asked.push(tokio::spawn(async move { client.exec(&["sh", "-c", &script, &n.to_string()], Some(60)).await }));
    }
    until("all 64 run", || fs::read_to_string(world.path("gate.in")).is_ok_and(|text| text.lines().count() == 64))
        .await;
    let (code, text) = client.ask("POST", "/v1/exec", exec_body(&["true"], None)).await;
    assert_eq!(code, 429, "{text}");
    assert_eq!(client.health().await.config, "h1", "others are answered meanwhile");
    fs::write(&gate, "").unwrap();
    for (n, task) in asked.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().stdout, format!("{n}\n"));
    }
    assert_eq!(client.exec(&["true"], None).await.exit_code, 0);
}

/// Asks for a reload. A script that was just written is busy while a command of another test, forked meanwhile, holds it.
async fn reload(client: &Client) -> (u16, String) {
    loop {
        let (code, text) = client.ask("POST", "/v1/reload", Vec::new()).await;
        if !text.contains("Text file busy") {
            return (code, text);
        }
    }
}

#[tokio::test]
async fn an_executable_that_is_not_fit_is_never_handed_to_pid_one() {
    let mut world = World::new().await;
    let client = world.client().await;
    let (new, place) = (world.path("perry.new"), world.path("perry"));
    let put = |script: &str| {
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &place).unwrap();
    };
    let (code, text) = reload(&client).await;
    assert_eq!(code, 500, "there is none: {text}");
    put("#!/bin/sh\necho 'error: torn' >&2; exit 1\n");
    let (code, text) = reload(&client).await;
    assert!(code == 500 && text.contains("error: torn"), "{text}");
    put("\x7fELF garbage");
    let (code, text) = reload(&client).await;
    assert!(code == 500 && text.contains("cannot run the new"), "{text}");
    assert!(world.requests.try_recv().is_err(), "PID 1 was told");
    put("#!/bin/sh\n[ \"$*\" = 'worker check' ]\n");
    assert_eq!(reload(&client).await.0, 202);
    assert_eq!(world.requests.recv().await, Some(Request::Reload));
}

#[tokio::test]
async fn when_pid_one_is_gone_serve_and_its_commands_end_and_answers_on_their_way_arrive() {
    let mut world = World::new().await;
    let client = world.client().await;
    let seconds = unique_seconds();
    let command = exec_body(&["sleep", &seconds], None);
    let asker = client.clone();
    let asked = tokio::spawn(async move { asker.send("POST", "/v1/exec", command).await.is_ok() });
    until("it sleeps", || running(&seconds) == 1).await;
    let soon = client.clone();
    let brief = tokio::spawn(async move { soon.exec(&["sh", "-c", "sleep 0.05; echo done"], None).await });
    until("it runs", || running("sleep 0.05; echo done") == 1 || brief.is_finished()).await;
    drop(world.status.take());
    assert_eq!(brief.await.unwrap().stdout, "done\n");
    tokio::time::timeout(PATIENCE, &mut world.serving).await.unwrap().unwrap().unwrap();
    // Here `serve` shares the test's event loop, whose tasks end with their connection.
    drop(client);
    asked.abort();
    until("the command is gone", || running(&seconds) == 0).await;
}

#[tokio::test]
async fn without_a_bootstrap_serve_ends_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places { bootstrap: folder.path().join("bootstrap.json"), ..Places::default() };
    let error = serve(places, tokio::io::empty(), tokio::io::sink()).await.unwrap_err();
    assert!(error.chain().contains("bootstrap.json"), "{}", error.chain());
}

#[test]
fn init_refuses_to_be_anything_but_pid_one() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_perry")).args(["worker", "init"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: perry worker init is PID 1"), "{output:?}");
}
