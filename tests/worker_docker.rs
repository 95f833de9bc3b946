//! The worker as PID 1 of real containers: in the workspace image, and in images that have next to nothing.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where and why")]

mod worker_box;
mod worker_client;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use perry::model::desired::WorkerPlan;
use perry::model::observed::{Service, WorkerSeen};
use perry::model::workspace::Hooks;
use perry::model::{TaskName, TaskSeen, TaskState};
use worker_box::{Box, FULL, Image, Options, docker, key_pair, run, wait_for, wait_until_all_run};
use worker_client::{Client, PATIENCE};

/// Makes an image of a shell inside a box, so that nothing is pulled.
const TINY: &str = "cd / && tar -ch bin/bash $(ldd /bin/bash | grep -o '/[^ ]*' | cut -c2-) | docker import - tiny";

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As the user of the workspace.
async fn as_user(client: &Client, script: &str) -> String {
    let done = client.exec(&["sh", "-c", script], Some(60)).await;
    assert_eq!(done.exit_code, 0, "{script}: {done:?}");
    done.stdout.trim().to_owned()
}

#[tokio::test]
async fn a_workspace_has_docker_inside_with_network_for_its_user() {
    let (made, client) = Box::start(&Options::full()).await;
    wait_until_all_run(&client).await;
    assert_eq!(as_user(&client, "id -un; pwd").await, "workspace\n/home/workspace");
    as_user(&client, TINY).await;
    assert_eq!(as_user(&client, "docker run --rm tiny /bin/bash -c 'echo nested'").await, "nested");
    // Out through two networks: whoever is called sees the workspace's own address.
    let gateway = docker(&["inspect", "-f", "{{.NetworkSettings.Gateway}}", &made.name]);
    let address = docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &made.name]);
    let listener = TcpListener::bind((gateway.as_str(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let call = format!("docker run --rm tiny /bin/bash -c 'echo hello >/dev/tcp/{gateway}/{port}'");
    let calling = tokio::spawn(async move { as_user(&client, &call).await });
    let (mut stream, peer) = tokio::task::spawn_blocking(move || listener.accept()).await.unwrap().unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!((heard.as_str(), peer.ip().to_string()), ("hello\n", address));
    calling.await.unwrap();
    let listening = made.sh("cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A ' || true");
    assert_eq!(listening, "2", "sshd on IPv4 and IPv6, and dockerd on no port");
}

#[tokio::test]
async fn ssh_takes_keys_only_and_its_host_key_is_made_here() {
    let keys = tempfile::tempdir().unwrap();
    let (key, public) = key_pair(keys.path(), "key");
    let (stranger, _) = key_pair(keys.path(), "stranger");
    let in_image = docker(&[
        "run",
        "--rm",
        "--label",
        "perry.test.worker=0",
        FULL,
        "sh",
        "-c",
        "ls /etc/ssh | grep -c host || true",
    ]);
    assert_eq!(in_image, "0", "no host key in the image");
    let (made, client) = Box::start(&Options { keys: vec![public], ..Options::full() }).await;
    wait_until_all_run(&client).await;
    let login = made.ssh(&key, "id -un; cat");
    assert_eq!((login.status.code(), login.stdout), (Some(0), b"workspace\n".to_vec()));
    let refused = made.ssh(&stranger, "true");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(255));
    assert!(said.contains("Permission denied (publickey)"), "no password is asked for: {said}");
    let folder = "/home/workspace/.perry/ssh";
    assert_eq!(made.sh(&format!("stat -c '%U %a' {folder} {folder}/ssh_host_ed25519_key")), "root 700\nroot 600");
}

#[tokio::test]
async fn a_new_plan_changes_keys_and_turns_docker_off_and_on() {
    let keys = tempfile::tempdir().unwrap();
    let (old, old_public) = key_pair(keys.path(), "old");
    let (new, new_public) = key_pair(keys.path(), "new");
    let (made, client) = Box::start(&Options { keys: vec![old_public], ..Options::full() }).await;
    wait_until_all_run(&client).await;
    let put = |docker: bool, hash: &str| {
        let plan = WorkerPlan {
            authorized_keys: vec![new_public.clone()],
            docker,
            hash: hash.into(),
            ..WorkerPlan::default()
        };
        (serde_json::to_vec(&plan).unwrap(), client.clone())
    };
    let (plan, asker) = put(false, "h2");
    assert_eq!(asker.ask("PUT", "/v1/config", plan).await.0, 204);
    let seen = client.health().await;
    assert_eq!((seen.config.as_str(), seen.docker), ("h2", Service::Off));
    until("both have ended", || made.sh("pgrep -c 'dockerd|containerd' || true") == "0").await;
    assert_eq!(made.ssh(&old, "true").status.code(), Some(255));
    assert_eq!(made.ssh(&new, "true").status.code(), Some(0));
    let (plan, asker) = put(true, "h3");
    assert_eq!(asker.ask("PUT", "/v1/config", plan).await.0, 204);
    wait_until_all_run(&client).await;
    as_user(&client, "docker info").await;
}

#[tokio::test]
async fn what_is_killed_is_started_again_and_its_end_is_told() {
    let (made, client) = Box::start(&Options::full()).await;
    wait_until_all_run(&client).await;
    as_user(&client, TINY).await;
    for (pattern, is_ssh) in [("^sshd: /usr", true), ("^/usr/s?bin/dockerd", false)] {
        let before = made.pid(pattern);
        // Its number may soon be another's, whom its successor would take for it.
        made.sh(&format!("kill -9 {before}; echo 1 >/run/docker.pid"));
        let failed = |service: &Service| matches!(service, Service::Failed { message } if message.starts_with("killed by signal 9"));
        wait_for(&client, "told", |seen| failed(if is_ssh { &seen.ssh } else { &seen.docker })).await;
        wait_until_all_run(&client).await;
        assert_ne!(made.pid(pattern), before);
    }
    // A dockerd whose containerd was replaced goes on with the new one.
    made.sh(&format!("kill -9 {}", made.pid("^/usr/bin/containerd")));
    until("it runs containers again", || {
        run("docker", &["exec", &made.name, "docker", "run", "--rm", "tiny", "/bin/bash", "-c", "true"])
            .status
            .success()
    })
    .await;
    let before = made.pid("^perry worker serve");
    made.sh(&format!("kill -9 {before}"));
    let client = made.client().await;
    wait_until_all_run(&client).await;
    assert_ne!(made.pid("^perry worker serve"), before);
}

#[tokio::test]
async fn a_reload_takes_the_new_executable_and_disturbs_nobody() {
    let keys = tempfile::tempdir().unwrap();
    let (key, public) = key_pair(keys.path(), "key");
    let (made, client) = Box::start(&Options { keys: vec![public], ..Options::full() }).await;
    wait_until_all_run(&client).await;
    as_user(&client, TINY).await;
    as_user(&client, "docker run -d --name waits tiny /bin/bash -c 'read -t 1000 <> <(:)'").await;
    as_user(&client, "setsid sleep 4321 >/dev/null 2>&1 &").await;
    let port = docker(&["port", &made.name, "22"]).rsplit(':').next().unwrap().to_owned();
    let mut session = Command::new("ssh")
        .args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"])
        .args([&key.display().to_string(), "-p", &port, "workspace@127.0.0.1", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patterns = ["^sshd: /usr", "^/usr/s?bin/dockerd", "^/usr/bin/containerd --", "sleep 4321"];
    let before: Vec<String> = patterns.iter().map(|pattern| made.pid(pattern)).collect();
    let serve = made.pid("^perry worker serve");
    // As an agent replaces it: a new file, and a bootstrap that names it.
    made.sh("cd /.perry && cp perry new && mv new perry && sed -i s/e1/e2/ bootstrap.json");
    assert_eq!(client.health().await.executable, "e1");
    assert_eq!(client.ask("POST", "/v1/reload", Vec::new()).await.0, 202);
    until("serve is another", || {
        run("docker", &["exec", &made.name, "sh", "-c", &format!("kill -0 {serve}")]).status.code() == Some(1)
    })
    .await;
    let client = made.client().await;
    let seen = client.health().await;
    assert_eq!(
        (seen.executable.as_str(), seen.ssh, seen.docker),
        ("e2", Service::Running, Service::Running),
        "without a gap"
    );
    let after: Vec<String> = patterns.iter().map(|pattern| made.pid(pattern)).collect();
    assert_eq!(before, after);
    assert_eq!(made.sh("readlink /proc/1/exe"), "/.perry/perry");
    assert_eq!(as_user(&client, "docker inspect -f '{{.State.Running}}' waits").await, "true");
    session.stdin.take().unwrap().write_all(b"still here").unwrap();
    let mut said = String::new();
    session.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), session.wait().unwrap().code()), ("still here", Some(0)));
    // The new one supervises what the old one started.
    made.sh(&format!("kill -9 {}", after[0]));
    wait_for(&client, "told", |seen| matches!(seen.ssh, Service::Failed { .. })).await;
    wait_until_all_run(&client).await;
}

#[tokio::test]
async fn a_torn_executable_is_refused_and_the_workspace_goes_on() {
    let (made, client) = Box::start(&Options { docker: false, ..Options::full() }).await;
    made.sh("cd /.perry && head -c 100000 perry >new && chmod 755 new && mv new perry");
    let (code, text) = client.ask("POST", "/v1/reload", Vec::new()).await;
    assert!(code == 500 && text.contains("/.perry/perry"), "{code} {text}");
    // What runs goes on from the file that is gone, commands and a new serve included.
    assert_eq!(as_user(&client, "echo on").await, "on");
    made.sh(&format!("kill -9 {}", made.pid("^perry worker serve")));
    let client = made.client().await;
    assert_eq!(as_user(&client, "echo on").await, "on");
}

#[tokio::test]
async fn orphans_are_reaped() {
    let (made, client) = Box::start(&Options { docker: false, ..Options::full() }).await;
    as_user(&client, "for i in $(seq 200); do (setsid sh -c 'exit 7' >/dev/null 2>&1 &) ; done").await;
    until("no zombie is left", || made.sh("ps -eo stat= | grep -c Z || true") == "0").await;
    wait_for(&client, "running", |seen| seen.ssh == Service::Running).await;
}

#[tokio::test]
async fn docker_stop_is_quick_and_ends_with_zero() {
    let (made, client) = Box::start(&Options::full()).await;
    wait_until_all_run(&client).await;
    as_user(&client, "setsid sleep 1000 >/dev/null 2>&1 &").await;
    let began = Instant::now();
    docker(&["stop", &made.name]);
    assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
    assert_eq!(docker(&["inspect", "-f", "{{.State.ExitCode}}", &made.name]), "0");
}

#[tokio::test]
async fn who_ignores_every_signal_is_killed_before_the_engine_loses_patience() {
    let (made, client) = Box::start(&Options::full()).await;
    wait_until_all_run(&client).await;
    as_user(&client, TINY).await;
    let stubborn = "trap : TERM; while :; do read -t 1000 <> <(:); done";
    as_user(&client, &format!("docker run -d --restart always --name nested tiny /bin/bash -c '{stubborn}'")).await;
    as_user(&client, "setsid sh -c \"trap '' TERM HUP; while :; do sleep 1; done\" >/dev/null 2>&1 &").await;
    let began = Instant::now();
    docker(&["stop", &made.name]);
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_millis(9900)).contains(&took), "took {took:?}");
    assert_eq!(docker(&["inspect", "-f", "{{.State.ExitCode}}", &made.name]), "0");
    // Its container was ended in time for dockerd to end in order, and is taken up again.
    docker(&["start", &made.name]);
    let client = made.client().await;
    wait_until_all_run(&client).await;
    assert_eq!(made.sh("grep -c 'Daemon shutdown complete' /var/log/perry/dockerd.log || true"), "1");
    assert_eq!(as_user(&client, "docker inspect -f '{{.State.Running}} {{.RestartCount}}' nested").await, "true 0");
}

#[tokio::test]
async fn a_restart_and_a_kill_keep_the_host_key_and_leave_nothing_stale() {
    let (made, client) = Box::start(&Options::full()).await;
    wait_until_all_run(&client).await;
    let fingerprint = || made.sh("ssh-keygen -lf /home/workspace/.perry/ssh/ssh_host_ed25519_key");
    let before = fingerprint();
    for how in [&["restart"][..], &["kill"], &["restart", "-t", "0"]] {
        docker(&[how, &[&made.name]].concat());
        if how == ["kill"] {
            docker(&["start", &made.name]);
        }
        let client = made.client().await;
        wait_until_all_run(&client).await;
        as_user(&client, "docker info").await;
        assert_eq!(fingerprint(), before);
    }
}

#[tokio::test]
async fn without_privileges_docker_fails_with_its_reason_and_the_rest_works() {
    let (_made, client) = Box::start(&Options { more: vec!["--privileged=false".into()], ..Options::full() }).await;
    let seen = wait_for(&client, "failed", |seen| {
        seen.ssh == Service::Running && matches!(seen.docker, Service::Failed { .. })
    })
    .await;
    let Service::Failed { message } = seen.docker else { unreachable!() };
    assert!(message.starts_with("ended with exit code 1: ") && message.len() < 5000, "{message}");
    assert_eq!(as_user(&client, "echo works").await, "works");
}

#[tokio::test]
async fn an_image_with_nothing_but_a_shell_has_a_healthy_worker() {
    let image = Image::with_a_shell();
    let (made, client) = Box::start(&Options::bare(&image.0)).await;
    let seen = client.health().await;
    assert_eq!((seen.ssh, seen.docker), (Service::NotInImage, Service::NotInImage));
    let done = client.exec(&["/bin/sh", "-c", "echo $USER $HOME; pwd; exit 4"], None).await;
    assert_eq!((done.stdout.as_str(), done.exit_code), ("root /root\n/\n", 4));
    assert_eq!(client.exec(&["ls"], None).await.exit_code, 127);
    let began = Instant::now();
    docker(&["stop", &made.name]);
    assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
    assert_eq!(docker(&["inspect", "-f", "{{.State.ExitCode}}", &made.name]), "0");
}

#[tokio::test]
async fn an_image_with_nothing_at_all_has_a_healthy_worker_that_can_be_reloaded() {
    let image = Image::of(&[]);
    let (made, client) = Box::start(&Options::bare(&image.0)).await;
    assert_eq!(client.health().await.ssh, Service::NotInImage);
    assert_eq!(client.exec(&["sh"], None).await.exit_code, 127);
    assert_eq!(client.exec(&["/.perry/perry", "worker", "check"], None).await.exit_code, 0);
    assert_eq!(client.ask("POST", "/v1/reload", Vec::new()).await.0, 202);
    until("it was reloaded", || made.logs().contains("reloaded")).await;
    assert_eq!(made.client().await.health().await.config, "h1");
}

#[tokio::test]
async fn connect_bridges_an_exec_to_the_worker() {
    let image = Image::of(&[]);
    let (made, _client) = Box::start(&Options::bare(&image.0)).await;
    let mut bridge = tokio::process::Command::new("docker")
        .args(["exec", "-i", &made.name, "/.perry/perry", "worker", "connect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stream = tokio::io::join(bridge.stdout.take().unwrap(), bridge.stdin.take().unwrap());
    let client = Client::over(stream, Some("s3cret")).await.unwrap();
    assert_eq!(client.health().await.config, "h1");
    let done = client.exec(&["/.perry/perry", "worker", "check"], None).await;
    assert_eq!(done.exit_code, 0);
    drop(client);
    bridge.kill().await.unwrap();
    until("the bridge ends with its client", || !docker(&["top", &made.name]).contains("worker connect")).await;
}

#[tokio::test]
async fn a_home_that_came_empty_and_as_roots_is_given_to_its_user() {
    let home = tempfile::tempdir().unwrap();
    let more = vec!["--mount".into(), format!("type=bind,source={},target=/home/workspace", home.path().display())];
    let (_made, client) = Box::start(&Options { more, docker: false, home: false, ..Options::full() }).await;
    wait_for(&client, "running", |seen| seen.ssh == Service::Running).await;
    assert_eq!(as_user(&client, "touch mine && stat -c %U . mine").await, "workspace\nworkspace");
}

#[tokio::test]
async fn a_broken_bootstrap_ends_the_container_and_its_log_says_why() {
    let image = Image::of(&[]);
    let made = Box::create(&Options::bare(&image.0));
    let broken = made.folder.path().join("broken");
    std::fs::write(&broken, "{\"uid\":1}").unwrap();
    docker(&["cp", "-q", &broken.display().to_string(), &format!("{}:/.perry/bootstrap.json", made.name)]);
    docker(&["start", &made.name]);
    assert_eq!(docker(&["wait", &made.name]), "1");
    let logs = made.logs();
    assert!(logs.contains("error: /.perry/bootstrap.json is not a valid bootstrap: invalid type"), "{logs}");
}

fn task(seen: &WorkerSeen, name: TaskName) -> Option<&TaskSeen> {
    seen.tasks.iter().find(|task| task.name == name)
}

fn is(seen: &WorkerSeen, name: TaskName, state: TaskState) -> bool {
    task(seen, name).is_some_and(|task| task.state == state)
}

fn with_hooks(on_create: &str, on_start: &str) -> Options<'static> {
    let hooks = Hooks { on_create: Some(on_create.to_owned()), on_start: Some(on_start.to_owned()) };
    Options { docker: false, plan: WorkerPlan { hooks, ..WorkerPlan::default() }, ..Options::full() }
}

#[tokio::test]
async fn a_new_worker_neither_stops_nor_repeats_a_hook_and_what_is_said_of_it_stays() {
    let wait = "echo run >>/home/workspace/runs; until [ -e /home/workspace/go ]; do sleep 0.02; done; echo the end";
    let (made, client) = Box::start(&with_hooks("echo secret-output; exit 0", wait)).await;
    let before = wait_for(&client, "it runs", |seen| is(seen, TaskName::OnStart, TaskState::Running)).await;
    made.sh("cd /.perry && cp perry new && mv new perry && sed -i s/e1/e2/ bootstrap.json");
    assert_eq!(client.ask("POST", "/v1/reload", Vec::new()).await.0, 202);
    until("PID 1 is another", || made.logs().contains("reloaded")).await;
    let client = made.client().await;
    let after = wait_for(&client, "it runs still", |seen| {
        seen.executable == "e2" && is(seen, TaskName::OnStart, TaskState::Running)
    })
    .await;
    let began = |seen: &WorkerSeen| task(seen, TaskName::OnStart).and_then(|task| task.started_at);
    assert_eq!(began(&before), began(&after));
    assert!(!made.sh("tr '\\0' ' ' </proc/1/cmdline").contains("secret"), "what hooks print is in no process list");
    as_user(&client, "touch go").await;
    let seen = wait_for(&client, "it ends", |seen| is(seen, TaskName::OnStart, TaskState::Succeeded)).await;
    assert_eq!(task(&seen, TaskName::OnStart).unwrap().message, "the end");
    assert!(is(&seen, TaskName::OnCreate, TaskState::Succeeded));
    assert_eq!(made.sh("cat /home/workspace/runs"), "run");
}

#[tokio::test]
async fn on_a_full_home_hooks_are_run_little_room_is_told_and_the_record_is_made_up_for() {
    let fill = "head -c 100M /dev/zero >/home/workspace/fill; echo created; exit 0";
    let options = Options {
        home: false,
        more: vec!["--tmpfs".to_owned(), "/home/workspace:size=16m,mode=755".to_owned()],
        ..with_hooks(fill, "echo started")
    };
    let (made, client) = Box::start(&options).await;
    let seen = wait_for(&client, "both have run", |seen| is(seen, TaskName::OnStart, TaskState::Succeeded)).await;
    assert!(is(&seen, TaskName::OnCreate, TaskState::Succeeded));
    assert!(made.logs().contains("what was run is not recorded"), "{}", made.logs());
    let seen = wait_for(&client, "little room is told", |seen| seen.pressure.is_some()).await;
    assert!(seen.pressure.unwrap().starts_with("/home/workspace has "), "by its place");
    as_user(&client, "rm fill").await;
    wait_for(&client, "there is room again", |seen| seen.pressure.is_none()).await;
    until("the record is written", || {
        run("docker", &["exec", &made.name, "grep", "-q", "onCreate.*succeeded", "/home/workspace/.perry/tasks.json"])
            .status
            .success()
    })
    .await;
}

#[tokio::test]
async fn a_container_that_dies_in_the_middle_of_a_hook_runs_it_again_at_its_next_start() {
    let hook = "echo create >>runs; [ $(wc -l <runs) = 2 ] || sleep 1000";
    let (made, client) = Box::start(&with_hooks(hook, "echo start >>runs")).await;
    wait_for(&client, "it runs", |seen| is(seen, TaskName::OnCreate, TaskState::Running)).await;
    // "Running" is said before the shell has come to its first command.
    until("its first command is done", || made.sh("cat /home/workspace/runs 2>/dev/null || true") == "create").await;
    docker(&["kill", &made.name]);
    docker(&["start", &made.name]);
    let client = made.client().await;
    wait_for(&client, "both have run", |seen| is(seen, TaskName::OnStart, TaskState::Succeeded)).await;
    docker(&["kill", &made.name]);
    docker(&["start", &made.name]);
    let client = made.client().await;
    wait_for(&client, "the second has run", |seen| is(seen, TaskName::OnStart, TaskState::Succeeded)).await;
    assert_eq!(made.sh("cat /home/workspace/runs"), "create\ncreate\nstart\nstart");
}
