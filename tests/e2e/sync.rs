//! Files and environment of the agent's host: in the workspace before anything is run, and after each change.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use perry::model::View;
use perry::model::condition::{ConditionStatus as Is, ConditionType};

use crate::BASE;
use crate::agent::{Agent, Options, is_ready};

fn files(view: &View) -> Option<(Is, &str)> {
    let condition = view.condition(ConditionType::FilesSynced)?;
    Some((condition.status, &condition.message))
}

fn synced(view: &View) -> bool {
    is_ready(view) && files(view).is_some_and(|(is, _)| is == Is::True)
}

async fn sh(agent: &Agent, script: &str) -> String {
    agent.ok(&["exec", "a", "--", "sh", "-c", script]).await.trim().to_owned()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn files_are_there_before_hooks_follow_their_source_and_are_kept_when_it_goes() {
    let host = tempfile::tempdir().expect("a folder");
    let host = host.path().canonicalize().expect("a path");
    let (mine, secret) = (host.join("gitconfig"), host.join("secret"));
    write(&mine, "one");
    write(&secret, "s3cret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("set");
    let settings = serde_json::json!({ "sync": {
        "files": [ { "from": text(&mine), "to": "~/.gitconfig" } ],
        "allow": [ format!("{}/**", text(&host)) ],
    } });
    let agent = Agent::start_with(Options { settings, ..Options::default() }).await;
    let spec = format!(
        "image: {BASE}\nfiles: [ {{ from: {}, to: ~/deep/down/secret }} ]\nhooks: {{ onStart: 'cat .gitconfig deep/down/secret >>seen' }}",
        text(&secret)
    );
    agent.apply("a", &spec).await;
    agent.until("a", "the hook has run", |view| view.is_true(ConditionType::HooksSucceeded) && synced(view)).await;
    assert_eq!(sh(&agent, "cat seen").await, "ones3cret", "before the hook");
    let rights = "stat -c '%U %a' deep deep/down/secret .gitconfig";
    assert_eq!(sh(&agent, rights).await, "workspace 755\nworkspace 600\nworkspace 644");

    // What changes is brought, also what is replaced as editors do.
    let follows = async |wanted: &str| {
        let script = format!("until [ \"$(cat .gitconfig)\" = {wanted} ]; do sleep 0.05; done");
        agent.ok(&["exec", "a", "--", "timeout", "60", "sh", "-c", &script]).await;
    };
    write(&mine, "two");
    follows("two").await;
    write(&host.join("new"), "three");
    std::fs::rename(host.join("new"), &mine).expect("moved");
    follows("three").await;

    // What goes is told and kept inside; what is changed inside is brought again when asked for.
    std::fs::remove_file(&mine).expect("removed");
    let view = agent.until("a", "a source is gone", |view| files(view).is_some_and(|(is, _)| is == Is::False)).await;
    assert!(is_ready(&view) && files(&view).expect("said").1.contains("gitconfig is not there"), "{view:#?}");
    assert_eq!(sh(&agent, "cat .gitconfig").await, "three");
    let told = agent.fails(1, &["sync", "a"]).await;
    assert!(told.contains("gitconfig is not there"), "{told}");
    write(&mine, "four");
    agent.until("a", "it is there again", synced).await;
    sh(&agent, "echo other >.gitconfig").await;
    assert_eq!(agent.ok(&["sync", "a"]).await, "a has its files\n");
    assert_eq!(sh(&agent, "cat .gitconfig").await, "four");
    assert_eq!(agent.ok(&["sync", "--all"]).await, "a has its files\n");

    // At each start they are brought again, also with an agent that was away.
    agent.ok(&["restart", "a", "--wait"]).await;
    agent.until("a", "the hook has run", |view| view.is_true(ConditionType::HooksSucceeded) && synced(view)).await;
    assert_eq!(sh(&agent, "cat seen").await, "ones3cretfours3cret");
    // No word of what they hold leaves the agent.
    let shown = agent.ok(&["get", "a", "-o", "json"]).await + &agent.ok(&["events", "a"]).await + &agent.log();
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn neither_side_follows_a_link_and_what_is_not_allowed_is_refused() {
    let host = tempfile::tempdir().expect("a folder");
    let host = host.path().canonicalize().expect("a path");
    write(&host.join("private"), "s3cret");
    write(&host.join("fine"), "fine");
    std::os::unix::fs::symlink(host.join("private"), host.join("link")).expect("linked");
    let allow = [text(&host.join("link")), text(&host.join("fine"))].map(str::to_owned);
    let settings = serde_json::json!({ "sync": { "allow": allow } });
    let agent = Agent::start_with(Options { settings, ..Options::default() }).await;
    let file = |from: &str, to: &str| format!("{{ from: {}, to: {to} }}", text(&host.join(from)));
    let manifest = agent.folder.path().join("bad.yaml");
    write(&manifest, &agent.manifest("b", &format!("files: [ {} ]", file("private", "~/x"))));
    let told = agent.fails(2, &["apply", "-f", text(&manifest)]).await;
    assert!(told.contains("is not allowed by this agent"), "{told}");

    // Inside somebody leads the target elsewhere.
    agent.ready("a", &format!("image: {BASE}")).await;
    sh(&agent, "sudo touch /etc/target && ln -s /etc/target linked && ln -s /etc folder").await;
    let wanted = [file("link", "~/a"), file("fine", "~/linked"), file("fine", "~/folder/x"), file("fine", "~/ok")];
    agent.apply("a", &format!("image: {BASE}\nfiles: [ {} ]", wanted.join(", "))).await;
    let parts = ["link is a symbolic link", "linked is a symbolic link inside", "through a symbolic link (folder)"];
    let told = |view: &View| files(view).is_some_and(|(_, message)| parts.iter().all(|part| message.contains(part)));
    agent.until("a", "not all is brought", |view| is_ready(view) && told(view)).await;
    assert_eq!(sh(&agent, "cat ok; ls a /etc/x 2>&1 | grep -c 'No such'; wc -c </etc/target").await, "fine2\n0");
}

#[tokio::test]
async fn settings_that_change_reach_running_workspaces_in_every_way_in() {
    let agent = Agent::start().await;
    let spec = format!("image: {BASE}\nenv: {{ BOTH: spec, QUOTED: \"a \\\"b\\\" c\" }}");
    let before = agent.ready("a", &spec).await;
    let config = agent.folder.path().join("config.json");
    let mut settings: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).expect("read")).expect("JSON");
    settings["sync"] = serde_json::json!({ "env": { "BOTH": "agent", "EDITOR": "vim" } });
    write(&config, &settings.to_string());
    let wait = async || {
        // Each is a new process with the environment of its time.
        for _ in 0..600 {
            if agent.perry(&["exec", "a", "--", "printenv", "EDITOR"]).await.stdout == "vim\n" {
                return;
            }
        }
        panic!("never:\n{}", agent.log());
    };
    wait().await;
    assert_eq!(sh(&agent, "echo $BOTH $QUOTED").await, "spec a \"b\" c", "the manifest's word comes first");
    // A login has what a command has, as sshd is told.
    let told = sh(&agent, "sudo cat /.perry/sshd_config | head -n 1").await;
    assert!(told.contains("\"EDITOR=vim\"") && told.contains("\"BOTH=spec\"") && !told.contains("agent"), "{told}");
    assert!(told.contains(r#""QUOTED=a \"b\" c""#), "{told}");
    // A broken edit changes nothing and is told.
    write(&config, "{ \"sync\": { \"envy\": {} } }");
    let told = async || {
        for _ in 0..600 {
            if agent.log().contains("sync.envy: there is no such key; did you mean env?") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("not told:\n{}", agent.log());
    };
    told().await;
    assert_eq!(sh(&agent, "echo $EDITOR").await, "vim");
    let after = agent.until("a", "it is ready", is_ready).await;
    assert_eq!(
        (&before.container_id, before.generation),
        (&after.container_id, after.generation),
        "nothing is replaced"
    );
}
