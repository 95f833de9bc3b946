//! Verbs and exit codes of the command line, and the end of an agent.

use crate::agent::{Agent, is_ready};

#[tokio::test]
async fn an_agent_that_is_ended_leaves_workspaces_running_and_the_next_finds_them_untouched() {
    let mut agent = Agent::start().await;
    let before = agent.ready("a", "").await;
    let id = before.container_id.clone().expect("a container");
    let started_at = agent.engine.started_at(&id).await;
    let said = agent.ok(&["agent", "kill"]).await;
    assert!(said.contains("workspaces go on running"), "{said}");
    assert!(agent.ended().await.success());
    let told = agent.fails(5, &["get"]).await;
    assert!(told.contains("hint: start one: perry agent run"), "{told}");
    let running = agent.engine.inspect(&id).await.state.and_then(|state| state.running);
    assert_eq!(running, Some(true));

    agent.resume().await;
    let after = agent.until("a", "ready", is_ready).await;
    assert_eq!((&after.container_id, &after.uid), (&before.container_id, &before.uid));
    assert_eq!(agent.engine.started_at(&id).await, started_at, "not restarted");
    let events = agent.ok(&["events", "a"]).await;
    assert!(!events.contains("Started"), "nothing was done:\n{events}");
    assert_eq!(agent.ok(&["exec", "a", "--", "sh", "-c", "echo works"]).await, "works\n");
}

#[tokio::test]
async fn start_stop_and_restart_do_what_they_say_and_keep_the_container() {
    let agent = Agent::start().await;
    agent.ready("a", "").await;
    let id = agent.until("a", "ready", is_ready).await.container_id.clone().expect("a container");
    let first = agent.engine.started_at(&id).await;
    agent.ok(&["restart", "a", "--wait"]).await;
    let second = agent.engine.started_at(&id).await;
    assert_ne!(first, second);
    agent.ok(&["stop", "a", "--wait"]).await;
    assert!(agent.ok(&["get", "a"]).await.contains("stopped"));
    agent.ok(&["stop", "a", "--wait"]).await;
    agent.fails(1, &["exec", "a", "--", "true"]).await;
    agent.ok(&["start", "a"]).await;
    assert_ne!(agent.engine.started_at(&id).await, second);
    let third = agent.engine.started_at(&id).await;
    agent.ok(&["start", "a"]).await;
    assert_eq!(agent.engine.started_at(&id).await, third, "a start of what runs changes nothing");
    agent.fails(4, &["start", "a", "--image", "another"]).await;
    agent.ok(&["restart", "a", "--upgrade", "--wait"]).await;
    let upgraded = agent.until("a", "ready", is_ready).await.container_id.clone().expect("a container");
    assert_ne!(upgraded, id);
    assert_eq!(agent.engine.objects().await.containers.len(), 1);
    let created = agent.ok(&["start", "b", "--image", &agent.image, "-e", "K=V", "--no-wait"]).await;
    assert!(created.contains('b'), "{created}");
    agent.ok(&["delete", "a", "b", "--wait"]).await;
    assert_eq!(agent.engine.objects().await.containers.len(), 0);
}

#[tokio::test]
async fn exit_codes_are_what_scripts_rely_on() {
    let agent = Agent::start().await;
    agent.ready("a", "").await;
    agent.fails(2, &["get", "--no-such-flag"]).await;
    let file = agent.folder.path().join("bad.yaml");
    let bad = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: bad }\nspec: { imag: x }\n";
    std::fs::write(&file, bad).expect("written");
    let told = agent.fails(2, &["apply", "-f", file.to_str().expect("text")]).await;
    assert!(told.contains("imag") && told.contains("image"), "{told}");
    for args in
        [&["describe", "nobody"][..], &["stop", "nobody"], &["delete", "nobody"], &["exec", "nobody", "--", "x"]]
    {
        let told = agent.fails(3, args).await;
        assert!(told.starts_with("error: ") && told.contains("nobody"), "{told}");
    }
    agent.fails(6, &["wait", "a", "--for", "stopped", "--timeout", "100ms"]).await;
    agent.fails(6, &["wait", "nobody", "--timeout", "100ms"]).await;
    agent.ok(&["wait", "nobody", "--for", "deleted"]).await;
    agent.ok(&["wait", "a", "--for", "condition=ContainerRunning=True"]).await;
    let said = agent.perry(&["exec", "a", "--", "sh", "-c", "exit 42"]).await;
    assert_eq!(said.code, Some(42));
    assert_eq!(agent.perry(&["exec", "a", "--", "no-such-program"]).await.code, Some(127));
    let said = agent.perry(&["--config-dir", "/nonexistent", "version"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}
