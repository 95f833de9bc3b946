//! What a workspace prints and uses, as people see it.

use std::process::Stdio;

use perry::model::ConditionType;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::agent::{Agent, is_ready};
use crate::{BASE, PATIENCE};

async fn logs(agent: &Agent, words: &[&str]) -> String {
    agent.ok(&[&["logs", "a"], words].concat()).await
}

#[tokio::test]
async fn each_source_is_told_while_it_runs_and_afterwards_and_what_follows_survives_rotation() {
    let agent = Agent::start().await;
    let spec = format!("image: {BASE}\nhooks: {{ onStart: 'echo from the hook; echo twice' }}");
    agent.apply("a", &spec).await;
    agent.until("a", "the hook has run", |view| is_ready(view) && view.is_true(ConditionType::HooksSucceeded)).await;
    let hooks = "perry: onStart begins\nfrom the hook\ntwice\nperry: onStart ended with exit code 0\n";
    assert_eq!(logs(&agent, &["--source", "hooks"]).await, hooks);
    assert_eq!(logs(&agent, &["--source", "hooks", "--tail", "1"]).await, "perry: onStart ended with exit code 0\n");
    assert!(logs(&agent, &["--source", "boot"]).await.contains("perry worker: version "));
    let worker = logs(&agent, &["--source", "worker"]).await;
    assert!(worker.contains("Server listening on"), "{worker}");
    let all = logs(&agent, &[]).await;
    assert!(all.contains("\nhooks      | from the hook\n") && all.contains("\nsshd       | "), "{all}");

    // What comes is told as it comes, also when the file is set aside in between.
    let mut following = agent.begin(&["logs", "a", "-f", "--source", "hooks", "--tail", "0"], Stdio::piped());
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    let write = "exec 3>/.perry/pipes/hooks; for ((i = 0; i < 12000; i++)); do printf 'line %d %0100d\\n' $i 0 >&3; done; echo the end >&3";
    agent.ok(&["exec", "a", "--", "sudo", "bash", "-c", write]).await;
    let mut told = 0;
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            told += 1;
            if line == "the end" {
                return;
            }
        }
        panic!("it ended before");
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the end is told");
    assert_eq!(told, 12_001);
    let files = agent.ok(&["exec", "a", "--", "ls", "/var/log/perry"]).await;
    assert!(files.contains("hooks.log.1"), "{files}");
    let many = logs(&agent, &["--source", "hooks", "--tail", "10000"]).await;
    assert_eq!(many.lines().count(), 10_000, "back into the older file");

    // It stops: what follows ends, and everything can still be read.
    agent.ok(&["stop", "a", "--wait"]).await;
    let ended = tokio::time::timeout(PATIENCE, following.wait()).await.expect("it ends").expect("a status");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(logs(&agent, &["--source", "hooks", "--tail", "1"]).await, "the end\n");
    assert!(logs(&agent, &["--source", "boot"]).await.ends_with("perry worker: stopped\n"));
    assert!(logs(&agent, &["--source", "worker"]).await.contains("Server listening on"));
    agent.fails(3, &["logs", "other"]).await;
}

#[tokio::test]
async fn usage_tells_of_processors_memory_both_disks_and_ports() {
    let agent = Agent::start().await;
    let spec = format!("image: {BASE}\nresources: {{ memory: 1Gi }}");
    agent.apply("a", &spec).await;
    agent.until("a", "ready", is_ready).await;
    let work = "head -c 20000000 /dev/urandom >fill; (while :; do :; done) & x=$(head -c 100000000 /dev/zero | tr '\\0' x); \
        perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalPort=>3000,Listen=>1) or die; sleep 1000' & sleep 1000";
    let mut busy = agent.begin(&["exec", "a", "--", "bash", "-c", work], Stdio::null());
    let seeing = async {
        loop {
            let told: serde_json::Value = serde_json::from_str(&agent.ok(&["top", "--json"]).await).expect("JSON");
            let usage = &told[0];
            let number = |value: &serde_json::Value| value.as_f64().unwrap_or_default();
            let busy = number(&usage["cpu"]) > 0.5 && number(&usage["memory"]) > 100e6;
            let ports = usage["ports"].as_array().is_some_and(|ports| ports.contains(&3000.into()));
            if busy && ports && number(&usage["memoryLimit"]) == 1_073_741_824.0 && number(&usage["disk"]["home"]) > 0.0
            {
                return told;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, seeing).await.unwrap_or_else(|_| panic!("never\n{}", agent.log()));
    assert!(told[0]["disk"]["home"].as_f64() < Some(100e6), "{told}");
    busy.start_kill().expect("killed");
}
