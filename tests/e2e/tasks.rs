//! Clone and hooks in a real workspace: run once where once is meant, through the death of agent and worker, and whatever
//! a hook does.

use perry::client::{Goal, Wait};
use perry::model::condition::{ConditionStatus as Is, ConditionType};
use perry::model::{TaskName, TaskSeen, TaskState, View};

use crate::BASE;
use crate::agent::{Agent, Options, is_ready};
use crate::machine::{Lies, Machine};
use crate::repository::Repository;

/// What hooks note: one line a run.
const RUNS: &str = "/home/workspace/runs";

fn spec(more: &str) -> String {
    format!("image: {BASE}\n{more}")
}

fn task(view: &View, name: TaskName) -> Option<&TaskSeen> {
    view.worker.as_ref()?.tasks.iter().find(|task| task.name == name)
}

fn is(view: &View, name: TaskName, state: TaskState) -> bool {
    task(view, name).is_some_and(|task| task.state == state)
}

fn hooks(view: &View) -> Option<(Is, &str, &str)> {
    let condition = view.condition(ConditionType::HooksSucceeded)?;
    Some((condition.status, &condition.reason, &condition.message))
}

fn hooks_done(view: &View) -> bool {
    is_ready(view) && view.is_true(ConditionType::HooksSucceeded)
}

async fn sh(agent: &Agent, script: &str) -> String {
    agent.ok(&["exec", "a", "--", "sh", "-c", script]).await.trim().to_owned()
}

/// The address at which a workspace finds the machine that runs the tests.
async fn gateway(agent: &Agent) -> String {
    let network = agent.engine.networks().await.remove(0);
    network.ipam.and_then(|ipam| ipam.config?.first()?.gateway.clone()).expect("a gateway")
}

/// An agent whose network is there already, and the address at which its workspaces find this machine.
pub(crate) async fn agent_with_network(settings: serde_json::Value) -> (Agent, String) {
    let agent = Agent::start_with(Options { settings, ..Options::default() }).await;
    agent.ready("first", "").await;
    let gateway = gateway(&agent).await;
    (agent, gateway)
}

#[tokio::test]
async fn a_repository_is_cloned_and_hooks_are_run_in_it_once_and_at_each_start() {
    let repository = Repository::start(None).await;
    let (agent, gateway) = agent_with_network(serde_json::json!({ "sync": { "env": { "FROM_AGENT": "sync" } } })).await;
    let hooks = format!(
        "clone: {{ url: \"{}\" }}\nenv: {{ FROM_SPEC: spec }}\nhooks: {{ onCreate: 'echo create $(pwd) $(whoami) $FROM_SPEC $FROM_AGENT >>{RUNS}', onStart: 'cat README >>{RUNS}; (sleep 1000 &)' }}",
        repository.url(&gateway)
    );
    agent.apply("a", &spec(&hooks)).await;
    let view = agent.until("a", "hooks are done", hooks_done).await;
    let created = "create /home/workspace/app workspace spec sync";
    assert_eq!(sh(&agent, &format!("cat {RUNS}")).await, format!("{created}\ncloned"));
    assert_eq!(sh(&agent, "git -C app remote get-url origin").await, repository.url(&gateway));
    let times = TaskName::ALL[..3].iter().map(|name| task(&view, *name).expect("said"));
    assert!(times.clone().all(|task| task.exit_code == Some(0) && task.ended_at >= task.started_at), "{view:#?}");
    assert!(times.map(|task| task.started_at).is_sorted());
    let log = sh(&agent, "cat /var/log/perry/hooks.log").await;
    assert!(log.contains("perry: clone begins\n") && log.contains("perry: onStart ended with exit code 0"), "{log}");

    // What sshd is told is for root alone.
    assert_eq!(sh(&agent, "cat /.perry/sshd_config 2>&1 | grep -c SetEnv || true").await, "0");
    // At the next start only what is for each start, also in a new container.
    agent.ok(&["restart", "a", "--wait"]).await;
    agent.until("a", "hooks are done", hooks_done).await;
    assert_eq!(sh(&agent, &format!("cat {RUNS}")).await, format!("{created}\ncloned\ncloned"));
    let asked = repository.asked();
    let other = hooks.replace("FROM_SPEC: spec", "FROM_SPEC: other");
    let file = agent.folder.path().join("other.yaml");
    std::fs::write(&file, agent.manifest("a", &spec(&other))).expect("written");
    agent.ok(&["apply", "--replace", "--wait", "-f", file.to_str().expect("text")]).await;
    agent.until("a", "hooks are done", hooks_done).await;
    assert_eq!(sh(&agent, &format!("cat {RUNS}")).await, format!("{created}\ncloned\ncloned\ncloned"));
    assert_eq!(repository.asked(), asked, "what is cloned is not asked for again");
}

#[tokio::test]
async fn the_death_of_the_agent_neither_stops_nor_repeats_a_task() {
    let repository = Repository::start(None).await;
    let (mut agent, gateway) = agent_with_network(serde_json::json!({})).await;
    repository.hold();
    let wait = |name: &str| format!("echo {name} >>{RUNS}; until [ -e /home/workspace/{name} ]; do sleep 0.05; done");
    let hooks = format!(
        "clone: {{ url: \"{}\" }}\nhooks: {{ onCreate: '{}', onStart: '{}' }}",
        repository.url(&gateway),
        wait("create"),
        wait("start")
    );
    agent.apply("a", &spec(&hooks)).await;
    for (name, go) in [(TaskName::Clone, ""), (TaskName::OnCreate, "create"), (TaskName::OnStart, "start")] {
        let running = |view: &View| is_ready(view) && is(view, name, TaskState::Running);
        let before = agent.until("a", "a task runs", running).await;
        agent.sigkill().await;
        agent.resume().await;
        let after = agent.until("a", "it still runs", running).await;
        assert_eq!(task(&before, name).expect("said").started_at, task(&after, name).expect("said").started_at);
        match name {
            TaskName::Clone => repository.release(),
            _ => drop(sh(&agent, &format!("touch {go}")).await),
        }
        agent.until("a", "it succeeds", |view| is(view, name, TaskState::Succeeded)).await;
    }
    assert_eq!(sh(&agent, &format!("cat {RUNS}")).await, "create\nstart");
    assert!(hooks_done(&*agent.until("a", "hooks are done", hooks_done).await));
}

#[tokio::test]
async fn a_failing_hook_is_a_condition_with_code_and_last_words_and_a_restart_tries_again() {
    let agent = Agent::start().await;
    let hook = "echo first; printf \"\\033[31mno such\\001 thing\\n\" >&2; [ -e /home/workspace/mended ] || exit 7";
    agent.apply("a", &spec(&format!("hooks: {{ onCreate: '{hook}', onStart: 'echo started >>{RUNS}' }}"))).await;
    let failed = |view: &View| is_ready(view) && hooks(view).is_some_and(|(is, ..)| is == Is::False);
    let view = agent.until("a", "the hook has failed", failed).await;
    let (_, reason, message) = hooks(&view).expect("said");
    assert_eq!(reason, "OnCreateFailed");
    let last = "onCreate ended with exit code 7: first\n [31mno such  thing; a restart of the workspace tries again";
    assert_eq!(message, last);
    assert!(is(&view, TaskName::OnStart, TaskState::Waiting));
    let events = agent.ok(&["events", "a"]).await;
    assert!(events.contains("OnCreateFailed"), "{events}");
    let described = agent.ok(&["describe", "a"]).await;
    assert!(described.contains("onCreate") && described.contains("exit code 7"), "{described}");
    sh(&agent, "touch mended").await;
    agent.ok(&["restart", "a"]).await;
    agent.until("a", "hooks are done", hooks_done).await;
    assert_eq!(sh(&agent, &format!("cat {RUNS}")).await, "started");
}

#[tokio::test]
async fn a_hook_may_flood_print_binary_daemonise_or_hang_and_the_workspace_is_as_any_other() {
    let agent = Agent::start().await;
    let flood = "head -c 100000000 /dev/zero | tr \"\\\\0\" x; head -c 4096 /dev/urandom; setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 & echo; echo the end";
    agent.apply("a", &spec(&format!("hooks: {{ onCreate: '{flood}', onStart: 'echo hangs; sleep 10000' }}"))).await;
    let hangs = |view: &View| is_ready(view) && is(view, TaskName::OnStart, TaskState::Running);
    let view = agent.until("a", "the last hook hangs", hangs).await;
    let create = task(&view, TaskName::OnCreate).expect("said");
    assert!(create.exit_code == Some(0) && create.message.ends_with("the end"), "{create:?}");
    assert!(hooks(&view).expect("said").1 == "OnStartRunning");
    let sizes = sh(&agent, "stat -c %s /var/log/perry/hooks.log /var/log/perry/hooks.log.1").await;
    let sizes: Vec<u64> = sizes.lines().map(|size| size.parse().expect("a size")).collect();
    assert!(sizes.iter().all(|size| *size <= 1 << 20), "{sizes:?}");
    // The hook is said to run before its shell has come to the third sleep.
    let three = "until [ $(pgrep -c sleep) -ge 3 ]; do :; done; pgrep -c sleep";
    assert_eq!(sh(&agent, three).await, "3", "what went into the background goes on");
    agent.ok(&["stop", "a", "--wait"]).await;
    agent.delete("a").await;
}

#[tokio::test]
async fn a_repository_that_is_not_there_or_wants_a_login_is_a_condition_and_a_token_opens_it() {
    // me:t0ken-of-me and git:t0ken-of-settings
    let repository = Repository::start(Some("Z2l0OnQwa2VuLW9mLXNldHRpbmdz")).await;
    let (agent, gateway) = agent_with_network(serde_json::json!({})).await;
    let url = repository.url(&gateway);
    let clone = |url: &str| spec(&format!("clone: {{ url: \"{url}\", path: ~/src/app }}"));
    agent.apply("a", &clone(&url)).await;
    let failed = |view: &View| is_ready(view) && hooks(view).is_some_and(|(is, ..)| is == Is::False);
    let view = agent.until("a", "nobody may clone it", failed).await;
    let (_, reason, message) = hooks(&view).expect("said");
    assert_eq!(reason, "CloneFailed");
    assert!(message.contains("could not read Username") || message.contains("Authentication failed"), "{message}");
    assert_eq!(sh(&agent, "ls -A src").await, "", "nothing is left of a clone that broke off");

    agent.apply("b", &clone(&url.replace("app.git", "gone.git"))).await;
    let view = agent.until("b", "there is none", failed).await;
    assert!(hooks(&view).expect("said").2.contains("clone ended with exit code 1"), "{view:#?}");
    agent.delete("b").await;
    agent.delete("a").await;

    // With a token in the settings, which nobody sees but git.
    let settings = serde_json::json!({ "sync": { "env": { "GIT_TOKEN": "t0ken-of-settings" } } });
    let (agent, gateway) = agent_with_network(settings).await;
    repository.hold();
    agent.apply("a", &clone(&repository.url(&gateway))).await;
    let runs = |view: &View| is_ready(view) && is(view, TaskName::Clone, TaskState::Running);
    agent.until("a", "git waits", runs).await;
    let script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; cat /var/log/perry/*.log";
    let seen = sh(&agent, &format!("sudo sh -c \"{script}\"")).await;
    assert!(seen.contains("git") && seen.contains("clone") && !seen.contains("t0ken"), "{seen}");
    repository.release();
    agent.until("a", "it is cloned", hooks_done).await;
    assert_eq!(sh(&agent, "cat src/app/README").await, "cloned");
    let seen = sh(&agent, &format!("sudo sh -c \"{script}\"; cat src/app/.git/config")).await;
    assert!(!seen.contains("t0ken"), "{seen}");
    let shown = agent.ok(&["get", "a", "-o", "json"]).await + &agent.ok(&["events", "a"]).await + &agent.log();
    assert!(!shown.contains("t0ken"), "{shown}");
}

#[tokio::test]
async fn a_clone_goes_over_no_file_that_is_there() {
    let repository = Repository::start(None).await;
    let (agent, gateway) = agent_with_network(serde_json::json!({})).await;
    agent.ready("a", &spec("")).await;
    sh(&agent, "mkdir app && echo mine >app/file").await;
    let clone = format!("clone: {{ url: \"{}\" }}", repository.url(&gateway));
    let view = agent.apply("a", &spec(&clone)).await;
    agent.reach(Wait::since(&view, Goal::Ready)).await;
    let failed = |view: &View| hooks(view).is_some_and(|(is, ..)| is == Is::False);
    let view = agent.until("a", "it is refused", failed).await;
    assert!(hooks(&view).expect("said").2.contains("is there and not empty"), "{view:#?}");
    assert_eq!(sh(&agent, "ls -A app; cat app/file").await, "file\nmine");
}

/// An ssh agent with a key in it; both go when it is dropped.
struct SshAgent {
    folder: tempfile::TempDir,
    process: std::process::Child,
    public: String,
}

impl SshAgent {
    fn start() -> Self {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
        let run = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            let status = command.args(words).env("SSH_AUTH_SOCK", path("socket")).stderr(Stdio::null()).status();
            status.expect("an ssh client").success()
        };
        assert!(run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]));
        let process = Command::new("ssh-agent").args(["-D", "-a", &path("socket")]).stdout(Stdio::null()).spawn();
        let process = process.expect("ssh-agent");
        while !run("ssh-add", &["-q", &path("key")]) {}
        let public = std::fs::read_to_string(path("key.pub")).expect("a key");
        std::fs::remove_file(path("key")).expect("removed");
        Self { folder, process, public: public.trim().to_owned() }
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[tokio::test]
async fn a_private_repository_is_cloned_with_the_ssh_agent_outside_which_is_lent_for_that_alone() {
    let keys = SshAgent::start();
    let settings = serde_json::json!({ "ssh": { "forwardAgent": true, "authorizedKeys": [keys.public] } });
    let env = vec![("SSH_AUTH_SOCK", keys.folder.path().join("socket"))];
    let agent = Agent::start_with(Options { settings, env, ..Options::default() }).await;
    agent.ready("a", &spec("")).await;
    // Its own sshd stands for a server of repositories; it lets that key in alone.
    let make = "git init -q --bare -b main origin.git && git clone -q origin.git w 2>/dev/null && cd w && echo cloned >README && git add . \
        && git -c user.name=me -c user.email=me@laptop commit -qm first && git push -q origin HEAD:main && rm -rf ../w";
    sh(&agent, make).await;
    agent
        .apply("a", &spec("clone: { url: \"ssh://workspace@127.0.0.1/home/workspace/origin.git\", path: ~/app }"))
        .await;
    agent.until("a", "it is cloned", hooks_done).await;
    assert_eq!(sh(&agent, "cat app/README; ls -A .ssh/id_* 2>/dev/null | wc -l").await, "cloned\n0");
    let gone = "until ! [ -e /run/perry-ssh/agent.sock ]; do sleep 0.05; done; echo gone";
    assert_eq!(sh(&agent, gone).await, "gone", "nobody may use it any more");
}

#[tokio::test]
async fn a_machine_that_loses_power_in_the_middle_of_hooks_ends_them_when_it_is_back() {
    let machine = Machine::start(Lies::Together).await;
    let mut agent = machine.agent().await;
    // Nothing but a shell is in that image.
    let hooks = "hooks: { onCreate: 'echo create >>/home/workspace/runs', onStart: 'echo start >>/home/workspace/runs; \
        [ -e /home/workspace/again ] || sleep 1000' }";
    agent.apply("a", hooks).await;
    agent
        .until("a", "the second hook runs", |view| is_ready(view) && is(view, TaskName::OnStart, TaskState::Running))
        .await;
    // "Running" is said before the shell has come to its first command.
    let both = "{ read one && read two; } 2>/dev/null </home/workspace/runs";
    sh(&agent, &format!("until {both}; do :; done; echo >/home/workspace/again")).await;
    agent.sigkill().await;
    machine.power_off().await;
    machine.power_on().await;
    machine.engine_up().await;
    agent.resume().await;
    agent.until("a", "hooks are done", hooks_done).await;
    let runs = sh(&agent, "while read line; do echo $line; done </home/workspace/runs").await;
    assert_eq!(runs, "create\nstart\nstart");
}
