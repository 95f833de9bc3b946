//! Two agents: on one engine, and on one folder.

use crate::agent::{Agent, is_ready};

#[tokio::test]
async fn two_agents_on_one_engine_leave_each_others_workspaces_alone() {
    let (one, other) = tokio::join!(Agent::start(), Agent::start());
    let theirs = other.ready("same", "").await;
    let id = theirs.container_id.clone().expect("a container");
    let before = (other.engine.objects().await, other.engine.started_at(&id).await);
    one.ready("same", "").await;
    one.ok(&["restart", "same", "--wait"]).await;
    one.ok(&["stop", "same", "--wait"]).await;
    assert!(one.ok(&["agent", "info"]).await.contains("Orphans:    0"));
    one.ok(&["delete", "same", "--wait"]).await;
    assert_eq!((other.engine.objects().await, other.engine.started_at(&id).await), before);
    let after = other.until("same", "ready", is_ready).await;
    assert_eq!(after.container_id, theirs.container_id);
}

#[tokio::test]
async fn an_agent_whose_names_another_agent_has_is_blocked_and_takes_nothing() {
    let owner = Agent::start().await;
    let view = owner.ready("a", "").await;
    let mut intruder = Agent::start().await;
    intruder.sigkill().await;
    let config = intruder.folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).expect("read").replace(&intruder.prefix, &owner.prefix);
    std::fs::write(&config, text).expect("written");
    intruder.resume().await;
    intruder.apply("a", "").await;
    let stalled = perry::model::ConditionType::Stalled;
    let blocked = intruder.until("a", "stalled", |view| view.is_true(stalled)).await;
    let message = &blocked.condition(stalled).expect("judged").message;
    let id = std::fs::read_to_string(owner.folder.path().join("agent.id")).expect("an id");
    assert!(message.contains(&format!("another agent ({})", id.trim())), "{message}");
    intruder.delete("a").await;
    assert_eq!(owner.until("a", "ready", is_ready).await.container_id, view.container_id);
    assert_eq!(owner.engine.objects().await.volumes.len(), 1);
}

#[tokio::test]
async fn a_second_agent_on_a_folder_refuses_and_names_the_first() {
    let agent = Agent::start().await;
    let said = agent.perry(&["agent", "run"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let first = format!("process {} (at {}", agent.pid(), agent.client().address());
    assert!(said.stderr.contains(&first), "no {first:?} in {}", said.stderr);
    agent.ready("a", "").await;
}

#[tokio::test]
async fn an_agent_that_took_the_port_of_a_killed_one_is_not_asked_for_what_was_meant_for_that() {
    let (mut killed, mut other) = tokio::join!(Agent::start(), Agent::start());
    let theirs = other.ready("same", "").await;
    let address = killed.client().address().to_owned();
    killed.sigkill().await;
    other.sigkill().await;
    let config = other.folder.path().join("config.json");
    let port = address.rsplit_once(':').expect("a port").1;
    let text = std::fs::read_to_string(&config).expect("read").replace("\"port\":0", &format!("\"port\":{port}"));
    std::fs::write(&config, text).expect("written");
    other.resume().await;
    assert_eq!(other.client().address(), address);
    let told = killed.fails(5, &["delete", "same", "--wait"]).await;
    let right = format!(
        "error: the agent of {} does not run; another one answers at {address}\n",
        killed.folder.path().display()
    );
    assert!(told.starts_with(&right), "{told}");
    killed.resume().await;
    assert_eq!(killed.ok(&["get", "-o", "name"]).await, "");
    assert_eq!(other.ok(&["get", "-o", "name"]).await, "same\n");
    let after = other.until("same", "ready", is_ready).await;
    assert_eq!(after.container_id, theirs.container_id);
}
